# Semantic FPN, VGNetG-1.0MP, ADE20K, 40 000 iterations (8 GPUs x 4 images). No published result.
#     tools/dist_train.sh configs/semfpn_vgnetg_1_0mp_ade20k.py 8
# The ImageNet weights are for the paper's version, and may not be online. For version 2, add:
#     --cfg-options model.backbone.version=v2 model.backbone.init_cfg.checkpoint=vgnetg_1_0mp
_base_ = [
    '_base_/models/semfpn.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/schedule_40k.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='VGNet',
        arch='g_1_0mp',
        init_cfg=dict(type='Pretrained', checkpoint='vgnetg_1_0mp_paper'),
    ),
    neck=dict(in_channels=[56, 112, 224, 368]),
)
