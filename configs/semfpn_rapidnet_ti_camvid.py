# Semantic FPN, RapidNet-Ti, CamVid, from scratch: settings for a small data set.
#     python tools/train.py configs/semfpn_rapidnet_ti_camvid.py
_base_ = [
    '_base_/models/semfpn_camvid.py',
    '_base_/datasets/camvid.py',
    '_base_/schedules/schedule_2k.py',
    '_base_/runtime.py',
]

model = dict(
    # From scratch in minutes: the published 1e-5 would keep the blocks switched off too long.
    backbone=dict(type='RapidNet', arch='ti', layer_scale_init=0.5),
    neck=dict(in_channels=[32, 64, 112, 224]),
)
