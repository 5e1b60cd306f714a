# The recipe of the RapidNet and MobileViG papers for ImageNet: AdamW, 300 epochs, 20 of them
# warm-up, then cosine; strong augmentation, repeated; averaged weights. No weight decay on biases
# and normalisation, as timm has it.
_base_ = ['imagenet_224.py']

batch = 1024  # 8 GPUs x 128 images
lr = 2e-3 * batch / 1024
epochs = 300
warm_up = 20
smoothing = 0.1
test_crop_ratio = 0.9

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=_base_.size,
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    # rand-m9-mstd0.5-inc1. The recipe's colour jitter of 0.4 has no effect beside it: timm leaves
    # it out where there is RandAugment, and so do we.
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(
            pad_val=[round(value) for value in _base_.mean[::-1]], interpolation='bicubic'
        ),
    ),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=_base_.mean[::-1],  # BGR, as images are until the model sees them
        fill_std=_base_.std[::-1],
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='ResizeEdge',
        scale=int(_base_.size / test_crop_ratio),
        edge='short',
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='CenterCrop', crop_size=_base_.size),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=batch // 8,
    sampler=dict(type='RepeatAugSampler', num_repeats=3, shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    # The two in turns by chance, one of them in every batch.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
    head=dict(
        loss=dict(
            type='LabelSmoothLoss',
            label_smooth_val=smoothing,
            num_classes=_base_.num_classes,
            mode='original',
        )
    ),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6 / lr,
        by_epoch=True,
        begin=0,
        end=warm_up,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=warm_up,
        end=epochs,
        T_max=epochs - warm_up,
        eta_min=1e-5,
        convert_to_iter_based=True,
    ),
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 2e-3 * (GPUs * images per GPU) / 1024.
auto_scale_lr = dict(enable=False, base_batch_size=batch)
custom_hooks = [
    *_base_.custom_hooks,
    # Statistics of BatchNorm are averaged too, as in timm.
    dict(type='mmengine.EMAHook', momentum=1 - 0.99996, update_buffers=True),
]
