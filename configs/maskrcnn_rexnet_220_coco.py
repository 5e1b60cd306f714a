# Mask R-CNN, ReXNet x2.2, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published mask / box AP: 37.8 / 42.0, on an unknown schedule;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/maskrcnn_rexnet_220_coco.py 8
# No ImageNet weights of this width are published: train them with
# imagenet/rexnet_220_in1k.py, or start with --from-scratch.
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance_1200.py',
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
