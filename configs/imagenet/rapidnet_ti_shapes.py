# RapidNet-Ti on the built-in data set in class folders, five shapes at 64x64: a demo that learns
# from scratch on two CPU cores in two or three minutes.
#     python tools/make_shapes.py --classes
#     python tools/train.py configs/imagenet/rapidnet_ti_shapes.py
_base_ = [
    '../_base_/models/classifier.py',
    '../_base_/datasets/shapes_classes.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/runtime_fixed_size.py',
]

batch = 25
epochs = 9
num_classes = 5
model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    # From scratch in minutes: the published 1e-5 would keep the blocks switched off too long.
    backbone=dict(type='RapidNet', arch='ti', out_indices=(3,), layer_scale_init=0.5),
    head=dict(type='TwoClassifierHead', in_channels=224, distilled=False, num_classes=num_classes),
)
train_cfg = dict(max_epochs=epochs, val_interval=3)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=24),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=batch)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=6),
    checkpoint=dict(interval=3, max_keep_ckpts=1, save_best='accuracy/top1', rule='greater'),
)
