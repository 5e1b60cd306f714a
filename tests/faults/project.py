"""The project that faults are planted in: small good data and configs of every kind.

:func:`make_project` fills a folder. Commands run in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from . import data

CONFIGS = Path(__file__).parents[2] / 'configs'
RUN = """
train_cfg = dict(LOOP)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(by_epoch=False, interval=5, max_keep_ckpts=-1, save_best=None),
)
randomness = dict(seed=4)
"""
DETECTION = f"""
_base_ = ['{CONFIGS}/maskrcnn_rapidnet_ti_shapes.py']
data = dict(
    data_root='data/',
    metainfo=dict(_delete_=True, classes={data.CLASSES}),
)
train_dataloader = dict(
    num_workers=0,
    dataset=dict(
        **data,
        ann_file='annotations/train.json',
        filter_cfg=dict(min_size=1),
    ),
)
val_dataloader = dict(num_workers=0, dataset=dict(**data, ann_file='annotations/val.json'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/annotations/val.json')
test_evaluator = val_evaluator
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=2), mask_head=dict(num_classes=2)),
)
param_scheduler = []
""" + RUN.replace('LOOP', 'max_epochs=1, val_interval=1')
SEGMENTATION = f"""
_base_ = ['{CONFIGS}/semfpn_rapidnet_ti_shapes.py']
data = dict(
    data_root='labels/',
    metainfo=dict(_delete_=True, classes=('road', 'tree', 'car')),
    reduce_zero_label=False,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    dataset=dict(**data, data_prefix=dict(img_path='images/train', seg_map_path='labels/train')),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(**data, data_prefix=dict(img_path='images/val', seg_map_path='labels/val')),
)
test_dataloader = val_dataloader
model = dict(
    decode_head=dict(num_classes=3, loss_decode=dict(class_weight=None)),
)
scale, crop = (48, 40), (32, 32)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop),
    dict(type='PackSegInputs'),
]
train_dataloader['dataset']['pipeline'] = train_pipeline
param_scheduler = [dict(type='PolyLR', power=0.9, by_epoch=False, begin=0, end=50)]
""" + RUN.replace('LOOP', 'max_iters=10, val_interval=10')
CLASSIFICATION = f"""
_base_ = ['{CONFIGS}/imagenet/rapidnet_ti_shapes.py']
train_dataloader = dict(num_workers=0, batch_size=2, dataset=dict(data_root='birds/'))
val_dataloader = dict(num_workers=0, batch_size=2, dataset=dict(data_root='birds/'))
test_dataloader = val_dataloader
model = dict(data_preprocessor=dict(num_classes=2), head=dict(num_classes=2))
""" + RUN.replace('LOOP', 'max_epochs=1, val_interval=1')
FILES = {
    'detection.py': DETECTION,
    'segmentation.py': SEGMENTATION,
    'classification.py': CLASSIFICATION,
}


def make_project(folder: Path) -> None:
    """Fill a folder with ``data/``, ``labels/``, ``birds/`` and the three configs."""
    data.make_detection(folder / 'data')
    data.make_labels(folder / 'labels')
    make_birds(folder / 'birds')
    for name, text in FILES.items():
        (folder / name).write_text(text)


def make_birds(root: Path) -> None:
    """Make class folders with two images each."""
    for split in ('train', 'val'):
        for name in ('duck', 'owl'):
            (root / split / name).mkdir(parents=True)
            for number in range(2):
                pixels = np.full((40, 48, 3), 60 * number, np.uint8)
                Image.fromarray(pixels).save(root / split / name / f'{number}.png')
