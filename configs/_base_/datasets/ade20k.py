# ADE20K (SceneParse150) under data/ade/ADEChallengeData2016 as distributed: 150 classes, labels 1
# to 150. Label 0 means "not labelled"; reduce_zero_label ignores it.
# For your own data in this layout set data_root, type='BaseSegDataset' and
# metainfo=dict(classes=(...)) in both dataloaders, and num_classes in the model. If your labels
# begin with 0, set reduce_zero_label=False too; 255 is ignored. With another crop, set
# model.data_preprocessor.size to its size.
_base_ = ['semantic.py']

data_root = 'data/ade/ADEChallengeData2016/'
data = dict(type='ADE20KDataset', data_root=data_root, reduce_zero_label=True)
scale = (2048, 512)
crop = (512, 512)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
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
    for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[sizes, *_base_.tta_after_resize]),
]

# 8 GPUs x 4 images make the recipe's batch of 32.
train_dataloader = dict(num_workers=4, dataset=dict(**data, pipeline=train_pipeline))
val_dataloader = dict(num_workers=4, dataset=dict(**data, pipeline=test_pipeline))
test_dataloader = val_dataloader
