# RapidNet-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), distilled from RegNetY-16GF.
#     tools/dist_train.sh configs/imagenet/rapidnet_ti_in1k.py 8
# Top-1: 76.3 % published, 75.1 % without distillation (rapidnet_ti_in1k_nodistill.py).
_base_ = [
    '../_base_/models/classifier_distilled.py',
    '../_base_/datasets/imagenet_224_rapidnet.py',
    '../_base_/schedules/imagenet_300e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='RapidNet', arch='ti', out_indices=(3,)),
    head=dict(in_channels=224, hidden_channels=512),
)
