"""Write the built-in data set to a folder. It lets you try everything without a download.

The pictures look like photographs: textured shapes overlap between a sky and a ground. They are
drawn from a seed and stored as COCO instances and as label images like ADE20K's::

    ROOT/dataset.json                        arguments and hashes; marks the folder as ours
    ROOT/annotations/instances_train.json    boxes, polygons, crowds as RLE; ids have gaps
    ROOT/train/000001.jpg                    RGB, JPEG quality 90
    ROOT/labels/train/000001.png             uint8: 0 unlabelled, then SEMANTIC_CLASSES from 1
    ... and the same for val

For classification each picture has one object, in class folders like ImageNet's::

    ROOT/train/disc/000001.jpg               and the same for val
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ...errors import UserError
from ...files import hash_of
from .classes import CATEGORY_IDS, CLASSES
from .scenes import Scene, draw_object, draw_scene

MARKER = 'dataset.json'
SPLITS = ('train', 'val')
HASHES = 'files'  # key in dataset.json: the hashes of the files, to keep files that were changed
NAMES = re.compile(
    r'(train|val)/(\w+/)?\d{6}\.jpg|labels/(train|val)/\d{6}\.png'
    r'|annotations/instances_(train|val)\.json'
)
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)
# One scene of so many has a crowd, one has no objects. They are counted, so that a small data set
# has both.
CROWD_EVERY, EMPTY_EVERY = 10, 25

# The name in dataset.json. It must not change: it marks the data sets that people have already.
_GENERATOR = {'generator': 'rapidnet_mm.datasets.shapes', 'version': 2}
_SIDES = (64, 2048)  # px, smallest and largest: a shape needs some room


def make_shapes(root, train: int = 200, val: int = 50, size=(256, 192), seed: int = 0) -> Path:
    """Write scenes with boxes, masks and label images to the folder ``root``; return its path.

    The same arguments give the same bytes. If the folder holds this data set already, nothing is
    written. A data set that was made with other arguments is replaced. A folder with other
    files, or with changed files, stays as it is. An interrupted call leaves no incomplete data set.

    Args:
        root: the folder to write.
        train: images to train on.
        val: images to evaluate on.
        size: width and height in px. The images vary around it, and some are upright.
        seed: another seed gives other pictures.

    Raises:
        UserError: an argument is out of range, or the folder cannot be used.
    """
    return _make(root, _checked_spec(train, val, size, seed))


def make_classes(root, train: int = 1000, val: int = 100, size=(64, 64), seed: int = 0) -> Path:
    """Write pictures of one object each, in a folder for each class, to ``root``; return its path.

    ``train`` and ``val`` count the images of all classes together. Everything else is as in
    :func:`make_shapes`.
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
        target = path.resolve()  # of a link, replace the folder that it points to
        if not _is_complete(target, spec):
            _check_replaceable(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'.{target.name}-') as aside:
                _build(Path(aside) / 'new', spec)
                _publish(Path(aside), target, spec)
    except OSError as error:
        raise UserError(f'cannot write the data set to {path}: {error.strerror}') from error
    return path


def _checked_spec(train, val, size, seed) -> dict:
    """Return the arguments as they stand in ``dataset.json``."""
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


def _read_marker(root: Path) -> dict | None:
    """Return the content of ``dataset.json``, None if it does not exist or is not ours."""
    try:
        content = json.loads((root / MARKER).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(content, dict) or content.get('generator') != _GENERATOR['generator']:
        return None
    return content


def _read_spec(root: Path) -> dict | None:
    """Return the arguments in ``dataset.json``, None if it does not exist or is not ours."""
    content = _read_marker(root)
    return content and {key: value for key, value in content.items() if key != HASHES}


def _is_complete(root: Path, spec: dict) -> bool:
    """Return whether the folder holds this data set with all its files."""
    if _read_spec(root) != spec:
        return False
    if 'layout' in spec:
        return all(_count(root / split, '*/*.jpg') == spec[split] for split in SPLITS)
    return all(
        (root / f'annotations/instances_{split}.json').is_file()
        and _count(root / split, '*.jpg') == spec[split]
        and _count(root / 'labels' / split, '*.png') == spec[split]
        for split in SPLITS
    )


def _count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


def _check_replaceable(root: Path) -> None:
    """Check that nothing is lost when the folder is replaced.

    Raises:
        UserError: there is a file or a folder that is not of our data set.
    """
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f'{root} is a file; the data set needs a folder')
    marker = _read_marker(root)
    others = [name for name, path in _files_in(root) if not _is_ours(name, path, marker)]
    if others:
        raise UserError(
            f'{root} holds {others[0]!r}, which is not a part of this data set, or was changed '
            'since; choose an empty or a new folder'
        )


def _files_in(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield all files in a folder, each with its path relative to the folder."""
    for path in sorted(root.rglob('*')):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(root).as_posix(), path


def _is_ours(name: str, path: Path, marker: dict | None) -> bool:
    """Return whether a file of a data set was not changed since it was written."""
    if marker is None:
        return False
    if name == MARKER:
        return True
    hashes = marker.get(HASHES)
    if hashes is None:  # written by an earlier version, without hashes
        return NAMES.fullmatch(name) is not None
    return path.is_file() and not path.is_symlink() and hashes.get(name) == _short_hash(path)


def _short_hash(path: Path) -> str:
    return hash_of(path)[:16]


def _build(root: Path, spec: dict) -> None:
    if 'layout' in spec:
        _build_classes(root, spec)
    else:
        _build_scenes(root, spec)
    hashes = {name: _short_hash(path) for name, path in _files_in(root)}
    (root / MARKER).write_text(json.dumps({**spec, HASHES: hashes}, indent=2) + '\n')


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
                # Ids begin with 1, because pycocotools reads an id of 0 as "not matched".
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
    # On a full disk cv2.imwrite only returns False; write_bytes raises.
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
    """Move ``aside/new`` to ``root``. An old data set goes to ``aside``, which is deleted later."""
    if _is_complete(root, spec):  # another process has written it in the meantime
        return
    if root.exists():
        os.rename(root, aside / 'old')
    os.rename(aside / 'new', root)
