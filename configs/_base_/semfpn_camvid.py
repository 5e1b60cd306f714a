# Semantic FPN on CamVid from scratch: settings for a small data set, no backbone. A leaf adds the
# backbone and the neck's in_channels.
_base_ = ['semfpn.py', 'camvid.py', 'schedule_40k.py']

iterations = 2_000
width = 128  # half of the usual 256: hundreds of images, eleven classes
model = dict(
    neck=dict(out_channels=width),
    decode_head=dict(
        in_channels=[width] * 4,
        channels=width // 2,
        num_classes=11,
        # Rare classes count more: roots of median frequency / frequency (arXiv 1511.00561).
        loss_decode=dict(
            type='WeightedCrossEntropy',
            class_weight=[0.5, 0.4, 2.1, 0.4, 1.0, 0.6, 3.1, 1.4, 0.8, 2.5, 2.7],
        ),
    ),
)
train_cfg = dict(max_iters=iterations, val_interval=iterations // 10)
optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=50, end=iterations),
]
auto_scale_lr = dict(base_batch_size=4)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=iterations // 10, max_keep_ckpts=1)
)
