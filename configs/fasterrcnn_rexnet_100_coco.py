# Faster R-CNN, ReXNet x1.0, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published AP / AP50 / AP75: 38.5 / 60.6 / 41.5, on an unknown schedule;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/fasterrcnn_rexnet_100_coco.py 8
_base_ = [
    '_base_/models/fasterrcnn_fpn.py',
    '_base_/datasets/coco_bbox_1200.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='ReXNet',
        width_mult=1.0,
        init_cfg=dict(type='Pretrained', checkpoint='rexnet_100'),
    ),
    neck=dict(in_channels=[38, 61, 128, 185]),
)
