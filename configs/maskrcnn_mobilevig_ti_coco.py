# Mask R-CNN, MobileViG-Ti, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images): the static graph beside
# RapidNet's convolutions. Published ImageNet top-1: 75.7; no detection number is published.
#     tools/dist_train.sh configs/maskrcnn_mobilevig_ti_coco.py 8
# ImageNet weights, as the recipe has them (published files work unchanged):
#     --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(type='MobileViG', arch='ti'),
    neck=dict(in_channels=[42, 84, 168, 256]),
)
