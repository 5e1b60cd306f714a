# Semantic FPN, RapidNet-Ti, on the built-in data set: a demo that learns from scratch on two CPU
# cores in a few minutes.
#     python tools/make_shapes.py && python tools/train.py configs/semfpn_rapidnet_ti_shapes.py
_base_ = ['_base_/semfpn.py', '_base_/shapes_semantic.py', '_base_/schedule_40k.py']

iterations = 400
width = 128  # half of the usual 256: small scenes, seven classes
model = dict(
    # From scratch in minutes: the published 1e-5 would keep the blocks switched off too long.
    backbone=dict(type='RapidNet', arch='ti', layer_scale_init=0.5),
    neck=dict(in_channels=[32, 64, 112, 224], out_channels=width),
    decode_head=dict(
        in_channels=[width] * 4,
        channels=width // 2,
        num_classes=7,
        # Sky and ground are nearly all of the pixels, and learned at once.
        loss_decode=dict(
            type='WeightedCrossEntropy', class_weight=[0.2, 0.2, 1.0, 1.0, 1.0, 1.0, 1.0]
        ),
    ),
)
train_cfg = dict(max_iters=iterations, val_interval=iterations // 2)
optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=50, end=iterations),
]
auto_scale_lr = dict(base_batch_size=4)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=iterations // 2, max_keep_ckpts=1)
)
