# Semantic FPN, EfficientNet-B0, ADE20K, 40 000 iterations (8 GPUs x 4 images).
#     tools/dist_train.sh configs/semfpn_efficientnet_b0_ade20k.py 8
_base_ = [
    '_base_/models/semfpn.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/schedule_40k.py',
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
