# COCO 2017 as in coco_instance.py, boxes only, with SSD's augmentation at 320x320.
_base_ = ['coco_instance.py']

size = (320, 320)
mean_rgb = [123.675, 116.28, 103.53]

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Expand', mean=mean_rgb, to_rgb=True, ratio_range=(1, 4)),
    dict(type='MinIoURandomCrop', min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=32,
        contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
    ),
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
    batch_size=32,  # per GPU; 8 GPUs make the recipe's 256
    num_workers=8,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=None,  # all images get the same shape
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
