# Mask R-CNN, VGNetG-1.5MP, COCO 2017, 1x (12 epochs, 8 GPUs x 2 images). No published result.
#     tools/dist_train.sh configs/maskrcnn_vgnetg_1_5mp_coco.py 8
# The ImageNet weights are for the paper's version, and may not be online. For version 2, add:
#     --cfg-options model.backbone.version=v2 model.backbone.init_cfg.checkpoint=vgnetg_1_5mp
_base_ = [
    '_base_/models/maskrcnn_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='VGNet',
        arch='g_1_5mp',
        init_cfg=dict(type='Pretrained', checkpoint='vgnetg_1_5mp_paper'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
