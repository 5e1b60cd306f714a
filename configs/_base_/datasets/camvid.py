# CamVid under data/camvid: images/{training,validation} and annotations/{training,validation}, PNG,
# 11 classes as labels 0 to 10; 255 is ignored.
_base_ = ['semantic.py']

data_root = 'data/camvid/'
metainfo = dict(
    classes=(
        'sky',
        'building',
        'pole',
        'road',
        'pavement',
        'tree',
        'sign',
        'fence',
        'car',
        'pedestrian',
        'bicyclist',
    ),
    palette=[
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ],
)
data = dict(data_root=data_root, metainfo=metainfo, img_suffix='.png')
scale = (480, 360)
crop = (288, 288)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    *_base_.after_resize,
]
sizes = [
    dict(type='Resize', scale=(int(scale[0] * r), int(scale[1] * r)), keep_ratio=True)
    for r in (0.75, 1.0, 1.25)
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[sizes, *_base_.tta_after_resize]),
]

train_dataloader = dict(num_workers=2, dataset=dict(**data, pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(**data, pipeline=test_pipeline))
test_dataloader = val_dataloader
