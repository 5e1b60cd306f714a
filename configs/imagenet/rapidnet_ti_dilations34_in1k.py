# RapidNet-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), distilled from RegNetY-16GF.
# Ablation: dilations 3 and 4 instead of 2 and 3.
#     tools/dist_train.sh configs/imagenet/rapidnet_ti_dilations34_in1k.py 8
# Top-1: 75.9 % published.
_base_ = ['rapidnet_ti_in1k.py']

model = dict(
    backbone=dict(branches=(dict(kernel_size=3, dilation=3), dict(kernel_size=3, dilation=4)))
)
