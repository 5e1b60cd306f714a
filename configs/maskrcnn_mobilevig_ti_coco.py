# Mask R-CNN, MobileViG-Ti, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images): the static graph beside
# RapidNet's convolutions. Published ImageNet top-1: 75.7; no detection number is published.
#     tools/dist_train.sh configs/maskrcnn_mobilevig_ti_coco.py 8
# The name of a public file is not known: train one with
# imagenet/mobilevig_ti_in1k.py, or start with --from-scratch.
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='MobileViG',
        arch='ti',
        init_cfg=dict(type='Pretrained', checkpoint='mobilevig_ti'),
    ),
    neck=dict(in_channels=[42, 84, 168, 256]),
)
