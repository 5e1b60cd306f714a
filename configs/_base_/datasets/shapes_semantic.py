# The built-in data set (python tools/make_shapes.py), label images, at its own size. Labels are 1
# to 7. Label 0 means "not labelled"; reduce_zero_label ignores it.
_base_ = ['semantic.py']

data_root = 'data/shapes/'
metainfo = dict(
    classes=('sky', 'ground', 'disc', 'square', 'triangle', 'star', 'cross'),
    palette=[
        (150, 200, 240),
        (125, 105, 75),
        (230, 60, 70),
        (60, 120, 230),
        (250, 190, 40),
        (170, 80, 220),
        (40, 180, 120),
    ],
)
data = dict(data_root=data_root, metainfo=metainfo, reduce_zero_label=True)
scale = (256, 192)
crop = (192, 192)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
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

train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **data,
        data_prefix=dict(img_path='train', seg_map_path='labels/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **data, data_prefix=dict(img_path='val', seg_map_path='labels/val'), pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
