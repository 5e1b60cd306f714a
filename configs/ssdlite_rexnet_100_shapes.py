# SSDLite, ReXNet x1.0, on the built-in data set: a demo that learns from scratch on two CPU cores
# in a few minutes.
#     python tools/make_shapes.py && python tools/train.py configs/ssdlite_rexnet_100_shapes.py
_base_ = [
    '_base_/models/ssdlite.py',
    '_base_/datasets/shapes_bbox_320.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/runtime.py',
]

epochs = 10
maps = (768, 1280)  # the expansion inside the first stride-32 block, the last convolution
channels = (*maps, 512, 256, 256, 128)
model = dict(
    backbone=dict(
        type='TappedBackbone',
        backbone=dict(type='ReXNet', width_mult=1.0, out_indices=(4,)),
        taps=['stages.3.0.expand', 'stages.4.0'],
    ),
    neck=dict(in_channels=maps, out_channels=channels),
    bbox_head=dict(num_classes=5, in_channels=channels),
)
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
optim_wrapper = dict(optimizer=dict(lr=2e-3), clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=4)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
