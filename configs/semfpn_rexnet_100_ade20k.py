# Semantic FPN, ReXNet x1.0, ADE20K, 40 000 iterations (8 GPUs x 4 images).
#     tools/dist_train.sh configs/semfpn_rexnet_100_ade20k.py 8
_base_ = [
    '_base_/models/semfpn.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/schedule_40k.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='ReXNet',
        width_mult=1.0,
        init_cfg=dict(type='Pretrained', checkpoint='rexnet_100'),
    ),
    neck=dict(in_channels=[38, 61, 128, 185]),
)
