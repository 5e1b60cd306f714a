# The built-in data set in class folders (python tools/make_shapes.py --classes): 5 shapes, 64x64.
_base_ = ['imagenet_224.py']

size = 64
data = dict(type='CustomDataset', data_root='data/shapes_classes/')

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
