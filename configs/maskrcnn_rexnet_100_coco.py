# Mask R-CNN, ReXNet x1.0, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published mask / box AP: 35.4 / 38.9, on an unknown schedule;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/maskrcnn_rexnet_100_coco.py 8
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance_1200.py',
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
