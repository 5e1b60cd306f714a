"""Where known data come from, for messages that say that they are missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

GET = {  # by a part of the folder's name
    'coco': (
        'download train2017.zip, val2017.zip and annotations_trainval2017.zip from '
        'https://cocodataset.org/#download and unpack them under {root}, or link your copy: '
        'ln -s /path/to/coco {root}, or set data_root'
    ),
    'adechallenge': (
        'download http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip and '
        'unpack it in {parent}, or link your copy: ln -s /path/to/ADEChallengeData2016 {root}, or '
        'set data_root'
    ),
    'imagenet': (
        'download the training and validation images of ILSVRC2012 from https://image-net.org, '
        'unpack them into class folders, {root}/train/n01440764/*.JPEG and so on, or link your '
        'copy: ln -s /path/to/imagenet {root}, or set data_root'
    ),
    'shapes_classes': 'run python tools/make_shapes.py --classes --root {root}',
    'shapes': 'run python tools/make_shapes.py --root {root}',
}


def how_to_get(root: str) -> str:
    """What to do where the folder ``root`` does not exist."""
    root = root.rstrip('/')
    name = os.path.basename(root).lower()
    advice = next((text for part, text in GET.items() if part in name), None)
    if advice is None:
        return 'set data_root to the folder of your data'
    return advice.format(root=root, parent=os.path.dirname(root) or '.')


def folders_beside(folder: str) -> str:
    """The folders where ``folder`` was expected, for a message."""
    beside = sorted(path.name for path in Path(folder).parent.glob('*') if path.is_dir())
    return some(beside, 8) or 'none'


def some(names: Sequence[str], limit: int = 3) -> str:
    """The first few of some names, and how many more there are."""
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more
