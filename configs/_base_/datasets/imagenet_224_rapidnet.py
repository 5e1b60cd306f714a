# ImageNet-1k as in imagenet_224.py, with the augmentation of the RapidNet and MobileViG papers:
# RandAugment, erasing, three versions of every image (repeated augmentation); a test crop of 0.9.
_base_ = ['imagenet_224.py']

test_crop_ratio = 0.9

# rand-m9-mstd0.5-inc1. The recipe also names a colour jitter of 0.4. It has no effect: timm leaves
# it out where there is RandAugment, and so do we.
rand_augment = dict(
    type='RandomChoice',
    transforms=[
        [
            dict(
                type='RandAugment',
                policies='timm_increasing',
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
    batch_size=128,  # per GPU; 8 GPUs make the recipe's 1024
    sampler=dict(type='RepeatAugSampler', num_repeats=3, shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
