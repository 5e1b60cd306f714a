# Faster R-CNN, ReXNet x0.9, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published AP / AP50 / AP75: 38.0 / 60.6 / 40.8, on an unknown schedule;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/fasterrcnn_rexnet_090_coco.py 8
# No ImageNet weights of this width are published: train them with
# imagenet/rexnet_090_in1k.py, or start with --from-scratch.
_base_ = [
    '_base_/models/fasterrcnn_fpn.py',
    '_base_/datasets/coco_bbox_1200.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='ReXNet',
        width_mult=0.9,
        init_cfg=dict(type='Pretrained', checkpoint='rexnet_090'),
    ),
    neck=dict(in_channels=[36, 56, 117, 168]),
)
