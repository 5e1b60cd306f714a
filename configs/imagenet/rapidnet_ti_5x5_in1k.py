# RapidNet-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), distilled from RegNetY-16GF.
# Ablation: one of the two dilated kernels is 5x5. The published 8.6 M parameters do not show
# which one, nor its dilation.
#     tools/dist_train.sh configs/imagenet/rapidnet_ti_5x5_in1k.py 8
# Top-1: 76.4 % published.
_base_ = ['rapidnet_ti_in1k.py']

model = dict(
    backbone=dict(branches=(dict(kernel_size=3, dilation=2), dict(kernel_size=5, dilation=3)))
)
