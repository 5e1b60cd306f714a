# Faster R-CNN, ResNet-50, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published AP / AP50 / AP75: 37.6 / 58.2 / 40.9, on an unknown schedule;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/fasterrcnn_r50_coco.py 8
# The stem, the first stage and BatchNorm's statistics are frozen, as usual for this backbone.
_base_ = [
    '_base_/models/fasterrcnn_fpn.py',
    '_base_/datasets/coco_bbox_1200.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='resnet50'),
    ),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
)
