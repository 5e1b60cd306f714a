# The built-in data set as in shapes_instance.py, boxes only, at 320x320.
_base_ = ['shapes_instance.py']

size = (320, 320)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='MinIoURandomCrop', min_ious=(0.5, 0.7, 0.9), min_crop_size=0.5),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
# The same with test-time augmentation (tools/test.py --tta): each step is a list of variants.
tta_after_resize = [
    [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)],
    [dict(type='LoadAnnotations', with_bbox=True)],
    [dict(type='PackDetInputs')],
]
# SSDLite's anchors are made for one size, so the variants differ only in the flip.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='Resize', scale=size, keep_ratio=False)], *tta_after_resize],
    ),
]

train_dataloader = dict(
    batch_size=4,
    drop_last=True,
    batch_sampler=None,  # all images get the same shape
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
