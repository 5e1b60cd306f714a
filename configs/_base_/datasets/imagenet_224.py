# ImageNet-1k in class folders, data/imagenet/{train,val}/n01440764/*.JPEG, at 224x224.
# A recipe adds its augmentation, its sampler and its batch size: see imagenet_224_*.py.
size = 224
test_crop_ratio = 0.875  # of the resized image's shorter side
mean = [123.675, 116.28, 103.53]  # RGB
std = [58.395, 57.12, 57.375]

# Like timm's interpolation 'random': bilinear or bicubic, drawn for each image.
interpolations = ('bilinear', 'bicubic')
random_crop = dict(
    type='RandomChoice',
    transforms=[
        [dict(type='RandomResizedCrop', scale=size, backend='pillow', interpolation=name)]
        for name in interpolations
    ],
)

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='ResizeEdge',
        scale=int(size / test_crop_ratio),
        edge='short',
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='CenterCrop', crop_size=size),
    dict(type='PackInputs'),
]
# The classes are the sorted names of the folders, which is ImageNet's order.
train_dataloader = dict(
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    dataset=dict(type='ImageNet', data_root='data/imagenet/', data_prefix='train'),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageNet', data_root='data/imagenet/', data_prefix='val', pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='TopAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
