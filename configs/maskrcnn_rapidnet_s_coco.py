# Mask R-CNN, RapidNet-S, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images).
#     tools/dist_train.sh configs/maskrcnn_rapidnet_s_coco.py 8
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='RapidNet',
        arch='s',
        init_cfg=dict(type='Pretrained', checkpoint='rapidnet_s'),
    ),
    neck=dict(in_channels=[32, 64, 112, 224]),
)
