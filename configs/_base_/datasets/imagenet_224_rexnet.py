# ImageNet-1k as in imagenet_224.py, with ReXNet's published augmentation: RandAugment m9-mstd0.5,
# erasing 0.2. The paper does not name a test crop; 0.875 is our choice.
_base_ = ['imagenet_224.py']

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
rand_augment = dict(
    type='RandomChoice',
    transforms=[
        [
            dict(
                type='RandAugment',
                policies=policies,
                num_policies=2,
                total_level=10,
                magnitude_level=9,
                magnitude_std=0.5,
                hparams=dict(
                    pad_val=[round(value) for value in _base_.mean[::-1]], interpolation=name
                ),
            )
        ]
        for name in _base_.interpolations
    ],
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    _base_.random_crop,
    dict(type='RandomFlip', prob=0.5),
    rand_augment,
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
    batch_size=64,  # per GPU; 8 GPUs make the recipe's 512
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
