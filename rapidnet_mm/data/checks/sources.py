"""Where known data sets come from, for messages about a folder that does not exist."""

from __future__ import annotations

import os

ADVICE = {  # the key is a part of the folder's name; the first that fits counts
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
    'shapes_classes': 'run rapidnet make-shapes --classes --root {root}',
    'shapes': 'run rapidnet make-shapes --root {root}',
}


def how_to_get(root: str) -> str:
    """Return what to do if the folder ``root`` of a data set does not exist."""
    root = root.rstrip('/')
    name = os.path.basename(root).lower()
    advice = next((text for part, text in ADVICE.items() if part in name), None)
    if advice is None:
        return 'set data_root to the folder of your data'
    return advice.format(root=root, parent=os.path.dirname(root) or '.')
