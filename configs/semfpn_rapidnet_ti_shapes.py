# Semantic FPN, RapidNet-Ti, on the built-in data set: a demo that learns from scratch on two CPU
# cores in a few minutes.
#     python tools/make_shapes.py && python tools/train.py configs/semfpn_rapidnet_ti_shapes.py
_base_ = [
    '_base_/models/semfpn_128.py',
    '_base_/datasets/shapes_semantic.py',
    '_base_/schedules/schedule_2k.py',
    '_base_/runtime.py',
]

iterations = 400
interval = iterations // 2  # iterations between validations and between checkpoints
model = dict(
    data_preprocessor=dict(size=(192, 192)),
    # From scratch in minutes: the published 1e-5 would keep the blocks switched off too long.
    backbone=dict(type='RapidNet', arch='ti', layer_scale_init=0.5),
    neck=dict(in_channels=[32, 64, 112, 224]),
    decode_head=dict(
        num_classes=7,
        # Sky and ground are nearly all of the pixels, and easy: they count less.
        loss_decode=dict(
            type='WeightedCrossEntropy', class_weight=[0.2, 0.2, 1.0, 1.0, 1.0, 1.0, 1.0]
        ),
    ),
)
train_cfg = dict(max_iters=iterations, val_interval=interval)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=50, end=iterations),
]
default_hooks = dict(checkpoint=dict(interval=interval))
