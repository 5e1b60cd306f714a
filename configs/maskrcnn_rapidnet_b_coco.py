# Mask R-CNN, RapidNet-B, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images).
#     tools/dist_train.sh configs/maskrcnn_rapidnet_b_coco.py 8
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='RapidNet',
        arch='b',
        init_cfg=dict(type='Pretrained', checkpoint='rapidnet_b'),
    ),
    neck=dict(in_channels=[64, 128, 224, 416]),
)
