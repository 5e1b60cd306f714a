# ReXNet's published recipe for ImageNet: SGD 0.5 at batch 512, weight decay 1e-5, 400 epochs,
# cosine, RandAugment m9-mstd0.5, erasing 0.2 (dropout 0.2 is in the head). What it leaves open is
# ours: Nesterov momentum 0.9, 5 epochs of warm-up, plain cross entropy, a test crop of 0.875, and
# no weight decay on biases and normalisation (timm's convention).
_base_ = ['imagenet_224.py']

batch = 512  # 8 GPUs x 64 images
lr = 0.5 * batch / 512
epochs = 400
warm_up = 5

# rand-m9-mstd0.5, without "inc1": posterize and solarize weaken as the level grows, and factors
# run from 0.1 to 1.9.
factor = dict(magnitude_range=(-0.9, 0.9), random_negative_prob=0.0)
policies = [
    dict(type='AutoContrast'),
    dict(type='Equalize'),
    dict(type='Invert'),
    dict(type='Rotate', magnitude_range=(0, 30)),
    dict(type='Posterize', magnitude_range=(-1, 3)),  # bits: rounded up, where timm rounds down
    dict(type='Solarize', magnitude_range=(0, 256)),
    dict(type='SolarizeAdd', magnitude_range=(0, 110)),
    dict(type='ColorTransform', **factor),
    dict(type='Contrast', **factor),
    dict(type='Brightness', **factor),
    dict(type='Sharpness', **factor),
    dict(type='Shear', magnitude_range=(0, 0.3), direction='horizontal'),
    dict(type='Shear', magnitude_range=(0, 0.3), direction='vertical'),
    dict(type='Translate', magnitude_range=(0, 0.45), direction='horizontal'),
    dict(type='Translate', magnitude_range=(0, 0.45), direction='vertical'),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=_base_.size,
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandAugment',
        policies=policies,
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
        erase_prob=0.2,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=_base_.mean[::-1],  # BGR, as images are until the model sees them
        fill_std=_base_.std[::-1],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=batch // 8,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-5),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
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
        convert_to_iter_based=True,
    ),
]
# With another number of GPUs or images: tools/train.py --auto-scale-lr makes
# lr = 0.5 * (GPUs * images per GPU) / 512.
auto_scale_lr = dict(enable=False, base_batch_size=batch)
