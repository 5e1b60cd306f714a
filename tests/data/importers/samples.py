"""Small data sets in many layouts, drawn and written by the tests themselves."""

import itertools
import json
from pathlib import Path

import cv2
import numpy as np

from rapidnet_mm.data.importers.run import load
from rapidnet_mm.data.importers.samples import Annotation, Collection, Picture
from tests.messages import refusal

W, H = 40, 30
RING = [4.25, 3.5, 20.75, 3.5, 20.75, 18.125, 4.25, 18.125]
HOLE = [8.0, 8.0, 12.0, 8.0, 12.0, 12.0, 8.0, 12.0]
ISLAND = [28.5, 20.0, 36.5, 20.0, 36.5, 27.0]
RLE = {'size': [H, W], 'counts': [33, 5, 25, 5, 1132]}
CLASSES = ['pear', 'apple', 'fig']  # not in alphabetical order


def image(path, seed=0, size=(W, H)):
    """Write a picture that resembles no other; return its path."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    return path


def text(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def collection(root, boxes_only=False):
    """A data set with all that a format can hold."""
    objects = [
        [Annotation('pear', (4.25, 3.5, 16.5, 14.625), [RING])],
        [
            Annotation('apple', (1, 2, 3.1, 4.7), [[1, 2, 4.1, 2, 4.1, 6.7]]),
            Annotation('fig', (4.25, 3.5, 32.25, 23.5), [RING, ISLAND]),
        ],
        [],
        [Annotation('pear', (0.5, 0.25, 30, 20), [[0.5, 0.25, 30.5, 20.25, 3, 9]])],
    ]
    for one in itertools.chain(*objects) if boxes_only else ():
        one.polygons = []
    splits = ['train', 'train', 'val', 'test']
    pictures = [
        Picture(image(root / f'{s}/p{i}.png', i), W, H, s, one)
        for i, (s, one) in enumerate(zip(splits, objects, strict=True))
    ]
    return Collection('coco', 'boxes' if boxes_only else 'instance', CLASSES, pictures)


def contents(data):
    """What a data set says of each image: split, and class, box, rings, crowd of each object."""
    return {
        picture.path.stem: (
            picture.split,
            [
                (one.name, tuple(one.box), one.polygons, one.holes, one.rle, one.crowd, one.extra)
                for one in picture.objects
            ],
        )
        for picture in data.pictures
    }


def read(*paths, **options):
    return load(paths, **options)[0]


def fault(*paths, **options):
    return refusal(lambda: load(paths, **options))


def coco(root, objects, names=('a', 'b'), split='train', images=2, seed=0):
    """Write a COCO file with images beside it in a folder of the split."""
    for i in range(images):
        image(root / f'{split}/{split}{i}.png', seed + i)
    content = {
        'images': [
            {'id': i, 'file_name': f'{split}{i}.png', 'width': W, 'height': H}
            for i in range(images)
        ],
        'annotations': [
            {'id': n, 'image_id': 0, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'area': 12, **one}
            for n, one in enumerate(objects, 1)
        ],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(names, 1)],
    }
    return text(root / f'annotations/instances_{split}2017.json', content)


def yolo(root, lines, names=('a', 'b'), **settings):
    """Write images, labels and data.yaml: the lines are those of each training image."""
    for i, line in enumerate(lines):
        image(root / f'images/train/t{i}.png', i)
        text(root / f'labels/train/t{i}.txt', line)
    image(root / 'images/val/v.png', 99)
    text(root / 'labels/val/v.txt', '0 0.5 0.5 0.2 0.2\n')
    content = {'train': 'images/train', 'val': 'images/val', 'names': list(names), **settings}
    return text(root / 'data.yaml', content)  # json is yaml too


def voc(root, corners, stem='a', name='dog', extra='', suffix='.png'):
    """Write an image and its xml file."""
    image(root / f'JPEGImages/{stem}{suffix}', sum(map(ord, stem)))
    names = ('xmin', 'ymin', 'xmax', 'ymax')
    box = ''.join(f'<{k}>{v}</{k}>' for k, v in zip(names, corners, strict=True))
    return text(
        root / f'Annotations/{stem}.xml',
        f'<annotation><filename>{stem}{suffix}</filename>\n<object><name>{name}</name>\n{extra}'
        f'<bndbox>{box}</bndbox></object></annotation>',
    )


def labelme(root, shapes, stem='a'):
    image(root / f'{stem}.png', sum(map(ord, stem)))
    content = {'version': '5.5.0', 'shapes': shapes, 'imagePath': f'{stem}.png', 'imageData': None}
    return text(root / f'{stem}.json', {**content, 'imageWidth': W, 'imageHeight': H})


def shape(label, points, kind='polygon', **more):
    return {'label': label, 'points': points, 'shape_type': kind, 'group_id': None, **more}


def cvat(root, objects, name='a.png'):
    image(root / f'images/{name}', 1)
    return text(
        root / 'annotations.xml',
        f'<annotations><version>1.1</version>\n<image id="0" name="{name}" width="{W}" '
        f'height="{H}">\n{objects}</image></annotations>',
    )


def label_map(path, values, palette=None):
    """Write a label map of 8 bits; with a palette, of indexes into it."""
    from PIL import Image

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(values, np.uint8))
    if palette:
        picture.putpalette([value for colour in palette for value in colour])
    picture.save(path)
    return path


def stripes(*values):
    """A label map with a stripe of each value."""
    return np.repeat(np.resize(np.array(values, np.uint8), W)[None], H, 0)
