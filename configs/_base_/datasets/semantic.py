# Shared by the data sets for semantic segmentation: the folders images and annotations, each with
# training and validation; loaders that count iterations; mIoU. Annotations are label images.
# A data set adds data_root, its classes (type or metainfo) and its pipelines.
train_dataloader = dict(
    batch_size=4,  # per GPU
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
    ),
)
val_dataloader = dict(
    batch_size=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        test_mode=True,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='SemanticIoU')
test_evaluator = val_evaluator

# The steps of a test after resizing.
after_resize = [
    # Both sides grow to multiples of 32, 683x512 to 704x512: published as AlignResize.
    dict(type='ResizeToMultiple', size_divisor=32),
    # The labels are not resized: predictions are scored at the size of the original.
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# The same with test-time augmentation (tools/test.py --tta): each step is a list of variants.
tta_after_resize = [
    [dict(type='ResizeToMultiple', size_divisor=32)],
    [dict(type='RandomFlip', prob=p, direction='horizontal') for p in (0.0, 1.0)],
    [dict(type='LoadAnnotations')],
    [dict(type='PackSegInputs')],
]
