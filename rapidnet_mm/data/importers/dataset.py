"""``dataset.json``: what an imported data set is, where its images are and how it is divided.

A folder with this file needs no other description. Configs, reports and checks read classes, paths
and splits from it, so that nobody types them again::

    OUT/dataset.json
    OUT/annotations/train.json    boxes and masks in COCO format: categories 1, 2, ... without gaps
    OUT/annotations/train.txt     label maps: a name a line; class folders: 'path index' a line
    OUT/labels/                   label maps only: the index of the class, 255 is not labelled

The images stay in the user's folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError, one_line
from ...files import write_output

FILE = 'dataset.json'
VERSION = 1
TASKS = ('instance', 'boxes', 'semantic', 'classes')
SPLITS = ('train', 'val', 'test')
NEEDED = ('version', 'task', 'format', 'classes', 'images', 'splits')

Colour = tuple[int, int, int]


class Split(NamedTuple):
    """One part of a data set.

    Attributes:
        annotations: the file with its annotations.
        images: how many images it has.
    """

    annotations: Path
    images: int


class Dataset(NamedTuple):
    """What ``dataset.json`` says. All paths are absolute.

    Attributes:
        folder: the folder with ``dataset.json``.
        task: ``instance``, ``boxes``, ``semantic`` or ``classes``.
        format: the format that the data came in, such as ``yolo``.
        classes: the names of the classes, in the order of their indexes.
        palette: a colour (R, G, B) for each class, or None.
        images: the folder that the names of the images begin at.
        splits: ``train``, ``val`` and perhaps ``test``.
        notes: what was decided or could not be kept, a sentence each.
        labels: the folder of the label maps, None for other tasks.
        img_suffix: what follows the names in the lists of a data set of label maps.
        seg_map_suffix: the same for the label maps.
    """

    folder: Path
    task: str
    format: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...] | None
    images: Path
    splits: dict[str, Split]
    notes: tuple[str, ...] = ()
    labels: Path | None = None
    img_suffix: str | None = None
    seg_map_suffix: str | None = None


def read_dataset(path: str | Path) -> Dataset:
    """Return what a ``dataset.json`` says.

    Args:
        path: the file, or its folder.

    Raises:
        UserError: the file or what it names is missing, or a value is not valid.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    content = _read_json(path)
    folder = Path(os.path.abspath(path.parent))
    _check(content, path)
    dataset = Dataset(
        folder=folder,
        task=content['task'],
        format=content['format'],
        classes=tuple(content['classes']),
        palette=_palette(content.get('palette')),
        images=folder / content['images'],
        splits={
            name: Split(folder / split['annotations'], split['images'])
            for name, split in content['splits'].items()
        },
        notes=tuple(content.get('notes') or ()),
        labels=folder / content['labels'] if content.get('labels') else None,
        img_suffix=content.get('img_suffix'),
        seg_map_suffix=content.get('seg_map_suffix'),
    )
    _check_paths(dataset, path)
    return dataset


def write_dataset(dataset: Dataset) -> Path:
    """Write ``dataset.json`` into the folder of a data set, and return its path.

    Raises:
        UserError: the file cannot be written, or one that is not from a command is there.
    """
    write_output(to_json(dataset), dataset.folder / FILE)
    return dataset.folder / FILE


def to_json(dataset: Dataset) -> bytes:
    """Return the content of ``dataset.json``."""
    content: dict[str, Any] = {
        'version': VERSION,
        'task': dataset.task,
        'format': dataset.format,
        'classes': list(dataset.classes),
        'palette': dataset.palette and [list(colour) for colour in dataset.palette],
        'images': _stored(dataset.images, dataset.folder),
        'splits': {
            name: {
                'annotations': _stored(split.annotations, dataset.folder),
                'images': split.images,
            }
            for name, split in dataset.splits.items()
        },
        'notes': list(dataset.notes),
    }
    if dataset.labels is not None:
        content['labels'] = _stored(dataset.labels, dataset.folder)
        content['img_suffix'] = dataset.img_suffix
        content['seg_map_suffix'] = dataset.seg_map_suffix
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return f'{text}\n'.encode(errors='surrogateescape')


def _stored(path: Path, folder: Path) -> str:
    """Return a path as the file has it: relative only inside the folder of the data set."""
    path, folder = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8', errors='surrogateescape'))
    except FileNotFoundError as error:
        raise UserError(
            f'{path} does not exist; `rapidnet data convert FOLDER --to coco --out DIR` writes one'
        ) from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error
    except json.JSONDecodeError as error:
        raise UserError(f'{path} line {error.lineno}: not valid json: {error.msg}') from error
    except (RecursionError, ValueError) as error:  # nested too deeply, or too many digits
        reason = one_line(error)
        raise UserError(f'{path} is not valid: {reason:.60}; import the data again') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} must hold a dict with the keys {", ".join(NEEDED)}')
    return content


def _check(content: Mapping[str, Any], path: Path) -> None:
    """Check keys and values, without looking at files."""
    if 'generator' in content:
        raise UserError(
            f'{path} marks the built-in data set; give its folder {path.parent} as data to import'
        )
    if missing := [key for key in NEEDED if key not in content]:
        raise UserError(f'{path} lacks {", ".join(missing)}')
    if content['version'] != VERSION:
        raise UserError(
            f'{path} has version {content["version"]!r}; this release reads version {VERSION}: '
            'import the data again'
        )
    if content['task'] not in TASKS:
        raise UserError(f'{path}: task is {content["task"]!r}; it can be {", ".join(TASKS)}')
    classes = content['classes']
    names = isinstance(classes, list) and all(isinstance(name, str) and name for name in classes)
    if not names or not classes or len(set(classes)) != len(classes):
        raise UserError(f'{path}: classes must be a list of different names, not {classes!r:.80}')
    for key in ('images', 'format', *(('labels',) if content['task'] == 'semantic' else ())):
        if not isinstance(content.get(key), str) or not content[key]:
            raise UserError(f'{path}: {key} must be a text, not {content.get(key)!r:.80}')
    notes = content.get('notes') or []
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise UserError(f'{path}: notes must be a list of texts, not {notes!r:.80}')
    for key in ('img_suffix', 'seg_map_suffix'):
        if not isinstance(content.get(key) or '', str):
            raise UserError(f'{path}: {key} must be a text or null, not {content[key]!r:.80}')
    _check_palette(content.get('palette'), len(classes), path)
    _check_splits(content['splits'], path)


def _check_palette(palette: Any, count: int, path: Path) -> None:
    if palette is None:
        return
    valid = isinstance(palette, list) and all(
        isinstance(colour, list)
        and len(colour) == 3
        and all(type(value) is int and 0 <= value <= 255 for value in colour)
        for colour in palette
    )
    if not valid or len(palette) != count:
        raise UserError(
            f'{path}: palette must be null or one [red, green, blue] of 0 to 255 for each of the '
            f'{count} classes'
        )


def _check_splits(splits: Any, path: Path) -> None:
    if not isinstance(splits, dict) or not {'train', 'val'} <= splits.keys() <= {*SPLITS}:
        raise UserError(f'{path}: splits must be train and val, and may have test')
    for name, split in splits.items():
        valid = (
            isinstance(split, dict)
            and isinstance(split.get('annotations'), str)
            and type(split.get('images')) is int
            and split['images'] >= 0
        )
        if not valid:
            raise UserError(
                f'{path}: splits.{name} must be {{"annotations": FILE, "images": NUMBER}}'
            )


def _check_paths(dataset: Dataset, path: Path) -> None:
    """Check that the files and folders are there."""
    if not dataset.images.is_dir():
        raise UserError(
            f'image folder {dataset.images} does not exist; correct "images" in {path} if the '
            'folder was moved'
        )
    for name, split in dataset.splits.items():
        if not split.annotations.is_file():
            raise UserError(
                f'{split.annotations} does not exist ({path} names it for {name}); import the '
                'data again'
            )
    if dataset.labels is not None and not dataset.labels.is_dir():
        raise UserError(
            f'folder of label maps {dataset.labels} does not exist ({path} names it); import the '
            'data again'
        )


def _palette(colours: Any) -> tuple[Colour, ...] | None:
    return tuple((r, g, b) for r, g, b in colours) if colours else None
