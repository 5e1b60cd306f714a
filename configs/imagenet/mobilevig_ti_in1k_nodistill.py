# MobileViG-Ti, ImageNet-1k, 224x224, 300 epochs (8 GPUs x 128 images), labels alone.
#     tools/dist_train.sh configs/imagenet/mobilevig_ti_in1k_nodistill.py 8
# Top-1: 74.5 % published.
_base_ = [
    '../_base_/models/classifier_mixup.py',
    '../_base_/datasets/imagenet_224_rapidnet.py',
    '../_base_/schedules/imagenet_300e.py',
    '../_base_/runtime_fixed_size.py',
]

model = dict(
    backbone=dict(type='MobileViG', arch='ti', out_indices=(3,)),
    head=dict(type='TwoClassifierHead', in_channels=256, hidden_channels=512, distilled=False),
)
