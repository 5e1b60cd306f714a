# Semantic FPN, VGNetG-1.0MP, CamVid, from scratch: settings for a small data set.
# No published result.
#     python tools/train.py configs/semfpn_vgnetg_1_0mp_camvid.py
_base_ = [
    '_base_/models/semfpn_camvid.py',
    '_base_/datasets/camvid.py',
    '_base_/schedules/schedule_2k.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(type='VGNet', arch='g_1_0mp'),
    neck=dict(in_channels=[56, 112, 224, 368]),
)
