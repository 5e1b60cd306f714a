# ImageNet-1k in class folders, data/imagenet/{train,val}/n01440764/*.JPEG, at 224x224: everything
# but how it is trained, which is in schedule_imagenet_*.py. No backbone and no head.
_base_ = ['runtime.py']
default_scope = 'mmpretrain'

num_classes = 1000
size = 224
test_crop_ratio = 0.875  # of the resized image's shorter side
mean = [123.675, 116.28, 103.53]  # RGB
std = [58.395, 57.12, 57.375]

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor', mean=mean, std=std, to_rgb=True, num_classes=num_classes
    ),
    head=dict(num_classes=num_classes),
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
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(interval=100), checkpoint=dict(save_best='accuracy/top1', rule='greater')
)
env_cfg = dict(cudnn_benchmark=True)  # all images have one size
visualizer = dict(
    type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
