# SSDLite, VGNetG-1.5MP, COCO 2017, 320x320, from ImageNet weights.
# No published result; the schedule is that of the other SSDLite configs, see schedule_ssdlite.py.
#     tools/dist_train.sh configs/ssdlite_vgnetg_1_5mp_coco.py 8
# The paper has no detector. This network has no expansions to tap, so the maps are its last ones at
# strides 16 and 32.
# The ImageNet weights are for the paper's version, and may not be online. For version 2, add:
#     --cfg-options model.backbone.version=v2 model.backbone.init_cfg.checkpoint=vgnetg_1_5mp
_base_ = [
    '_base_/models/ssdlite.py',
    '_base_/datasets/coco_bbox_320.py',
    '_base_/schedules/schedule_ssdlite.py',
    '_base_/runtime.py',
]

maps = (256, 512)
channels = (*maps, 512, 256, 256, 128)
model = dict(
    backbone=dict(
        type='VGNet',
        arch='g_1_5mp',
        out_indices=(2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='vgnetg_1_5mp_paper'),
    ),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(in_channels=channels),
)
