# Mask R-CNN, VGNetG-1.5MP, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images). No published result.
#     tools/dist_train.sh configs/maskrcnn_vgnetg_1_5mp_coco.py 8
# ImageNet weights, as the recipe has them (published files work unchanged):
#     --cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(type='VGNet', arch='g_1_5mp'),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
