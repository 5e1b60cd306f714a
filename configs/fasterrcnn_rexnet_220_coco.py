# Faster R-CNN, ReXNet x2.2, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published AP / AP50 / AP75: 41.5 / 64.0 / 44.9, on an unknown schedule;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/fasterrcnn_rexnet_220_coco.py 8
# No ImageNet weights of this width are published: train them with
# imagenet/rexnet_220_in1k.py, or start with --from-scratch.
_base_ = [
    '_base_/models/fasterrcnn_fpn.py',
    '_base_/datasets/coco_bbox_1200.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='ReXNet',
        width_mult=2.2,
        init_cfg=dict(type='Pretrained', checkpoint='rexnet_220'),
    ),
    neck=dict(in_channels=[85, 134, 283, 406]),
)
