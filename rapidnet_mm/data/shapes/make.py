"""A small built-in data set, so that everything can be tried before anything is downloaded.

Photograph-like scenes of overlapping textured shapes between a sky and a ground, drawn from a
seed and written as ordinary COCO instances and ADE20K-style label images::

    ROOT/dataset.json                        what was asked for; marks the folder as ours
    ROOT/annotations/instances_train.json    boxes, polygons, crowds as RLE; ids have gaps
    ROOT/train/000001.jpg                    RGB photographs, JPEG quality 90
    ROOT/labels/train/000001.png             uint8: 0 unlabelled, then SEMANTIC_CLASSES from 1
    ... and the same for val

or, to classify, one object a picture in class folders, as ImageNet has them::

    ROOT/train/disc/000001.jpg               and the same for val
"""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ...errors import UserError
from .scenes import CATEGORY_IDS, CLASSES, SEMANTIC_CLASSES, Scene, draw_object, draw_scene  # noqa: F401

PALETTE = ((230, 60, 70), (60, 120, 230), (250, 190, 40), (170, 80, 220), (40, 180, 120))  # RGB
SEMANTIC_PALETTE = ((150, 200, 240), (125, 105, 75), *PALETTE)

MARKER = 'dataset.json'
SPLITS = ('train', 'val')
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)
CROWD_EVERY, EMPTY_EVERY = 10, 25  # by number, not by chance: a set of ten has both kinds

_GENERATOR = {'generator': 'rapidnet_mm.datasets.shapes', 'version': 2}
_SIDES = (64, 2048)  # px: smaller has no room for a shape, larger is not what this is for


def make_shapes(root, train: int = 200, val: int = 50, size=(256, 192), seed: int = 0) -> Path:
    """Write the data set to the folder ``root``, unless it is already there, and return its path.

    ``train`` and ``val`` count images, ``size`` is (width, height) in px; pictures vary around
    it, some are upright. The same arguments give the same bytes. A data set made with other
    arguments is replaced; any other folder with something in it is left alone. The folder appears
    complete or not at all. Raises UserError for impossible arguments and unusable folders.
    """
    return _make(root, _checked_spec(train, val, size, seed))


def make_classes(root, train: int = 1000, val: int = 100, size=(64, 64), seed: int = 0) -> Path:
    """Write class folders, one for each of ``CLASSES``; all the rest is as in :func:`make_shapes`.

    ``train`` and ``val`` count images of all classes together, as many of each as can be.
    """
    spec = {**_checked_spec(train, val, size, seed), 'layout': 'class folders'}
    if min(train, val) < len(CLASSES):
        raise UserError(
            f'train and val must be at least {len(CLASSES)} images, one of each class, not '
            f'{train} and {val}'
        )
    return _make(root, spec)


def _make(root, spec: dict) -> Path:
    path = Path(root)
    try:
        target = path.resolve()  # a link stays, what it points to is replaced
        if not _is_complete(target, spec):
            _refuse_what_is_not_ours(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'.{target.name}-') as aside:
                _build(Path(aside) / 'new', spec)
                _publish(Path(aside), target, spec)
    except OSError as error:
        raise UserError(f'cannot write the data set to {path}: {error.strerror}') from error
    return path


def _checked_spec(train, val, size, seed) -> dict:
    width, height = size
    for name, count in (('train', train), ('val', val)):
        if count < 1:
            raise UserError(f'{name} must be at least 1 image, not {count}')
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in size):
        raise UserError(
            f'size must be {_SIDES[0]} to {_SIDES[1]} px a side, not {width} x {height}'
        )
    if seed < 0:
        raise UserError(f'seed must be 0 or more, not {seed}')
    counts = {'train': train, 'val': val}
    return {**_GENERATOR, **counts, 'size': [width, height], 'seed': seed}


def _read_spec(root: Path) -> dict | None:
    """What the folder's marker says, or None where there is none of ours."""
    try:
        spec = json.loads((root / MARKER).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    ours = isinstance(spec, dict) and spec.get('generator') == _GENERATOR['generator']
    return spec if ours else None


def _is_complete(root: Path, spec: dict) -> bool:
    """Whether the folder holds this very data set, and nobody has thinned it out since."""
    if _read_spec(root) != spec:
        return False
    if 'layout' in spec:
        return all(sum(1 for _ in (root / s).glob('*/*.jpg')) == spec[s] for s in SPLITS)
    return all(
        (root / f'annotations/instances_{split}.json').is_file()
        and sum(1 for _ in (root / split).glob('*.jpg')) == spec[split]
        and sum(1 for _ in (root / 'labels' / split).glob('*.png')) == spec[split]
        for split in SPLITS
    )


def _refuse_what_is_not_ours(root: Path) -> None:
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f'{root} is a file; the data set needs a folder')
    ours = {MARKER, 'annotations', 'labels', *SPLITS} if _read_spec(root) else set()
    if strangers := sorted({entry.name for entry in root.iterdir()} - ours):
        raise UserError(
            f'{root} holds {strangers[0]!r}, which is not of this data set; '
            'choose an empty or a new folder'
        )


def _build(root: Path, spec: dict) -> None:
    (_build_classes if 'layout' in spec else _build_scenes)(root, spec)
    (root / MARKER).write_text(json.dumps(spec, indent=2) + '\n')


def _build_classes(root: Path, spec: dict) -> None:
    for split in SPLITS:
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
        for k in range(spec[split]):
            category = k % len(CLASSES)
            seed = [spec['seed'], len(SPLITS) + SPLITS.index(split), k]
            image = draw_object(seed, tuple(spec['size']), category)
            path = root / split / CLASSES[category] / f'{k + 1:06d}.jpg'
            _write(path, '.jpg', image[..., ::-1], JPEG)


def _build_scenes(root: Path, spec: dict) -> None:
    for split in SPLITS:
        for folder in (root / split, root / 'labels' / split, root / 'annotations'):
            folder.mkdir(parents=True, exist_ok=True)
        images, annotations = [], []
        for name, scene in _scenes(split, spec):
            _write(root / split / f'{name}.jpg', '.jpg', scene.image[..., ::-1], JPEG)
            _write(root / 'labels' / split / f'{name}.png', '.png', scene.labels)
            height, width = scene.labels.shape
            image = {'id': int(name), 'file_name': f'{name}.jpg', 'license': 1}
            images.append({**image, 'width': width, 'height': height})
            for entry in scene.objects:
                # from 1: pycocotools takes annotation 0 for "not matched"
                ids = {'id': len(annotations) + 1, 'image_id': int(name)}
                annotations.append({**ids, **entry})
        text = json.dumps(_coco(split, images, annotations), separators=(',', ':'))
        (root / f'annotations/instances_{split}.json').write_text(text)


def _scenes(split: str, spec: dict) -> Iterator[tuple[str, Scene]]:
    for k in range(spec[split]):
        kind = {'crowd': k % CROWD_EVERY == 3, 'empty': k % EMPTY_EVERY == 7}
        seed = [spec['seed'], SPLITS.index(split), k]
        yield f'{k + 1:06d}', draw_scene(seed, tuple(spec['size']), **kind)


def _write(path: Path, suffix: str, image: np.ndarray, options: tuple[int, ...] = ()) -> None:
    # cv2.imwrite would only return False on a full disk
    path.write_bytes(cv2.imencode(suffix, image, options)[1].tobytes())


def _coco(split: str, images: list[dict], annotations: list[dict]) -> dict:
    return {
        'info': {'description': f'RapidNet shapes, {split}', 'version': str(_GENERATOR['version'])},
        'licenses': [{'id': 1, 'name': 'CC0 1.0', 'url': ''}],
        'images': images,
        'annotations': annotations,
        'categories': [
            {'id': number, 'name': name, 'supercategory': 'shape'}
            for number, name in zip(CATEGORY_IDS, CLASSES, strict=True)
        ],
    }


def _publish(aside: Path, root: Path, spec: dict) -> None:
    """Move ``aside/new`` to ``root``; what was there ends in ``aside``, which goes away."""
    if _is_complete(root, spec):  # another process was faster
        return
    if root.exists():
        os.rename(root, aside / 'old')
    os.rename(aside / 'new', root)
