# RapidNet-Ti on the built-in data set in class folders, five shapes at 64x64: a demo that learns
# from scratch on two CPU cores in two or three minutes.
#     python tools/make_shapes.py --classes
#     python tools/train.py configs/imagenet/rapidnet_ti_shapes.py
_base_ = ['../_base_/imagenet_224.py']

epochs = 9
num_classes = 5
size = 64
data = dict(type='CustomDataset', data_root='data/shapes_classes/')

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    # From scratch in minutes: the published 1e-5 would keep the blocks switched off too long.
    backbone=dict(type='RapidNet', arch='ti', out_indices=(3,), layer_scale_init=0.5),
    head=dict(type='TwoClassifierHead', in_channels=224, distilled=False, num_classes=num_classes),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.7, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=size, edge='short'),
    dict(type='CenterCrop', crop_size=size),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=25,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**data, pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=25, num_workers=1, dataset=dict(**data, pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=3)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=24),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=25)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=6), checkpoint=dict(interval=3, max_keep_ckpts=1))
