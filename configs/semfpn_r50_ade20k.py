# Semantic FPN, ResNet-50, ADE20K, 40 000 iterations (8 GPUs x 4 images): what others compare with.
#     tools/dist_train.sh configs/semfpn_r50_ade20k.py 8
_base_ = [
    '_base_/models/semfpn.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/schedule_40k.py',
    '_base_/runtime.py',
]

model = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='resnet50'),
    ),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
)
