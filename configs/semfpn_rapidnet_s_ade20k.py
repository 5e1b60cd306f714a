# Semantic FPN, RapidNet-S, ADE20K, 40 000 iterations (8 GPUs x 4 images).
#     tools/dist_train.sh configs/semfpn_rapidnet_s_ade20k.py 8
_base_ = [
    '_base_/models/semfpn.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/schedule_40k.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='RapidNet',
        arch='s',
        init_cfg=dict(type='Pretrained', checkpoint='rapidnet_s'),
    ),
    neck=dict(in_channels=[32, 64, 112, 224]),
)
