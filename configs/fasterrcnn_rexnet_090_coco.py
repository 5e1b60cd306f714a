# Faster R-CNN, ReXNet x0.9, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published AP / AP50 / AP75: 38.0 / 60.6 / 40.8, on a schedule not known to us;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/fasterrcnn_rexnet_090_coco.py 8
# We know of no ImageNet weights of this width to download. Put yours where init_cfg says, with the
# authors' layer names or ours; for another place: --cfg-options
#     model.backbone.init_cfg.checkpoint=FILE
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
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/rexnet_090.pth'),
    ),
    neck=dict(in_channels=[36, 56, 117, 168]),
)
