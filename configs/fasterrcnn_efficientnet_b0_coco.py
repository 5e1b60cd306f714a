# Faster R-CNN, EfficientNet-B0, COCO 2017, 1200x800, 1x (12 epochs, 8 GPUs x 2 images).
# Published AP / AP50 / AP75: 38.0 / 60.1 / 40.4, on an unknown schedule;
# here all backbones share the 1x recipe.
#     tools/dist_train.sh configs/fasterrcnn_efficientnet_b0_coco.py 8
_base_ = [
    '_base_/models/fasterrcnn_fpn.py',
    '_base_/datasets/coco_bbox_1200.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='TFEfficientNet',
        arch='b0',
        init_cfg=dict(type='Pretrained', checkpoint='tf_efficientnet_b0_ns'),
    ),
    neck=dict(in_channels=[24, 40, 112, 320]),
)
