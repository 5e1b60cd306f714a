# RapidNet-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), distilled from RegNetY-16GF.
# Ablation: a deformable 3x3 kernel without dilation beside a dilated one. The published 6.7 M
# parameters allow one deformable and one dilated branch, and no third. They do not show whether the
# dilated one has dilation 2 or 3.
#     tools/dist_train.sh configs/imagenet/rapidnet_ti_deformable_in1k.py 8
# Top-1: 76.0 % published.
_base_ = ['rapidnet_ti_in1k.py']

model = dict(
    backbone=dict(branches=(dict(kernel_size=3, dilation=2), dict(kernel_size=3, deformable=True)))
)
