"""Import a data set for a training, or write it in another format.

The new folder appears when all its files are written. Nothing is written into folders of the user,
and nothing is replaced.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import UserError
from ..checks.image_files import read_in_threads
from ..checks.messages import counted
from .dataset import FILE, TASKS, Dataset, Split, read_dataset, to_json
from .detect import detect
from .folders import is_image
from .formats import class_folders, coco, cvat, imported, label_maps, labelme, voc, yolo
from .pairs import PANOPTIC, label_files
from .samples import BOXES, UNLABELLED, Collection, Picture
from .source import Source
from .split import complete_splits
from .target import PLACES, common_folder

READERS = {
    'coco': coco,
    'yolo': yolo,
    'voc': voc,
    'labelme': labelme,
    'cvat': cvat,
    'labels': label_maps,
    'folders': class_folders,
    'imported': imported,
}
WRITERS = {name: module for name, module in READERS.items() if name != 'imported'}
# Formats that can hold a task. Masks can be painted as label maps.
HOLDS = {
    'boxes': ('coco', 'yolo', 'voc', 'labelme', 'cvat'),
    'instance': ('coco', 'yolo', 'voc', 'labelme', 'cvat', 'labels'),
    'semantic': ('labels',),
    'classes': ('folders',),
}
_BATCH = 16


class Export(NamedTuple):
    """What was written.

    Attributes:
        collection: the data set.
        summary: format, task and counts, in a line.
        notes: what was decided or could not be kept, a sentence each.
    """

    collection: Collection
    summary: str
    notes: list[str]


def import_data(
    paths: Sequence[str | Path],
    out: str | Path,
    task: str | None = None,
    val: float = 0.2,
    seed: int = 0,
    format: str | None = None,
    divide: bool = False,
) -> Dataset:
    """Read a data set in any format, and write annotations and ``dataset.json`` for a training.

    The images stay where they are.

    Args:
        paths: folders and files of one data set.
        out: the folder to write; it must be new or empty.
        task: one of ``TASKS``; None takes what the data are for.
        val: the share of images for val, if the data are not divided.
        seed: another one gives another division.
        format: one of ``READERS``, if the data have several.
        divide: divide the data anew, although they are divided.

    Raises:
        UserError: the data have a fault; the message names the file, and what can be done.
    """
    collection, source = load(paths, task, format)
    with new_folder(out, _folders(collection, source)) as folder:
        names, classes_of = _names(collection), None
        if collection.task == 'semantic':
            classes_of = _write_labels(collection, names, folder)
        complete_splits(collection, val, seed, classes_of, divide)
        dataset = _write_annotations(collection, names, folder)
        (folder / FILE).write_bytes(to_json(dataset))
    return read_dataset(out)


def export_data(
    paths: Sequence[str | Path],
    to: str,
    out: str | Path,
    task: str | None = None,
    format: str | None = None,
    images: str = 'copy',
) -> Export:
    """Read a data set and write it in another format, with its images.

    Args:
        paths: folders and files of one data set.
        to: one of ``WRITERS``.
        out: the folder to write; it must be new or empty.
        task: one of ``TASKS``; None takes what the data are for.
        format: one of ``READERS``, if the data have several.
        images: ``copy`` or ``link``.

    Raises:
        UserError: the data have a fault, or the format cannot hold them.
    """
    if to not in WRITERS:
        raise UserError(f'there is no format {to!r}; choose one of {", ".join(WRITERS)}')
    collection, source = load(paths, task, format)
    if to not in HOLDS[collection.task]:
        raise UserError(
            f'{source.roots[0]} has the format {source.format} and data for the task '
            f'{collection.task}, which {to} does not hold; choose --to '
            f'{" or ".join(HOLDS[collection.task])}'
        )
    with new_folder(out, _folders(collection, source)) as folder:
        notes = WRITERS[to].write(collection, folder, PLACES[images])
    if all(picture.split is None for picture in collection.pictures):
        notes.append('the data are not divided: all are in train; rapidnet data split divides them')
    return Export(collection, summary_of(collection), [*collection.notes, *notes])


def load(
    paths: Sequence[str | Path], task: str | None = None, format: str | None = None
) -> tuple[Collection, Source]:
    """Return the data set that some files and folders hold, and the files.

    Raises:
        UserError: the data have a fault, or do not suit the task.
    """
    if task is not None and task not in TASKS:
        raise UserError(f'there is no task {task!r}; choose one of {", ".join(TASKS)}')
    source = detect(paths, format, task)
    collection = READERS[source.format].read(source)
    if source.format not in ('imported', 'folders'):
        _note_unused(collection, source)
    if task and task != collection.task:
        _change_task(collection, task, source)
    return collection, source


def _note_unused(collection: Collection, source: Source) -> None:
    """Say how many images have no annotations in the data set."""
    used = {picture.path for picture in collection.pictures}
    used |= {picture.label_map for picture in collection.pictures if picture.label_map}
    labels = {*label_files(source.all_files, source.roots)}
    unused = [
        path
        for path in source.all_files
        if is_image(path) and path not in used | labels and not PANOPTIC.search(str(path.parent))
    ]
    if unused:
        collection.notes.append(
            f'{counted(len(unused), "image")} without annotations left out, such as '
            f'{unused[0].name}'
        )


def _change_task(collection: Collection, task: str, source: Source) -> None:
    """Use a data set for another task than it was made for, if it has what that needs."""
    if collection.task == 'instance' and task == 'boxes':
        collection.task = task
        return
    if collection.task == 'instance' and task == 'semantic':
        collection.task = task
        collection.notes.append(
            'the masks of the objects are painted as label maps, small ones over large ones; '
            'the rest is not labelled'
        )
        return
    objects = [one for picture in collection.pictures for one in picture.objects]
    bare = sum(not one.has_mask for one in objects)
    why = f'{bare} of {len(objects)} objects have no mask' if objects else 'that needs other labels'
    raise UserError(
        f'{source.roots[0]} has data for the task {collection.task}, not {task}: {why}; leave '
        f'--task out, or give other data'
    )


def _folders(collection: Collection, source: Source) -> list[Path]:
    """Return the folders with the user's data."""
    if source.format != 'imported':
        return list(source.roots)
    return [*source.roots, common_folder([picture.path for picture in collection.pictures])]


@contextmanager
def new_folder(out: str | Path, folders: Sequence[Path]) -> Iterator[Path]:
    """Give a folder to write into, and move it to ``out`` when the block ends without an error.

    Args:
        out: the new folder.
        folders: the user's folders, in which nothing is written.

    Raises:
        UserError: ``out`` has files, is inside the user's data, or cannot be written.
    """
    target = Path(os.path.abspath(out))
    for root in folders:
        if target.resolve().is_relative_to(root.resolve()):
            raise UserError(
                f'--out {out} is inside the data {root}, where nothing is written; choose a folder '
                'outside'
            )
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f'--out {out} is there already; choose a new folder')
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'.{target.name}-') as aside:
            folder = Path(aside) / 'new'
            folder.mkdir()
            yield folder
            if target.exists():
                target.rmdir()  # it is empty
            os.rename(folder, target)
    except OSError as error:
        reason = f'{error.filename}: {error.strerror}' if error.filename else error.strerror
        raise UserError(f'--out {out} cannot be written: {reason}') from error


class _Names(NamedTuple):
    """Where the images are, and what the lists call them."""

    folder: Path
    names: dict[Path, str]
    suffix: str


def _names(collection: Collection) -> _Names:
    """Return the name of each image inside the folder that holds all of them."""
    paths = [picture.path for picture in collection.pictures]
    folder = common_folder(paths)
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    suffixes = {path.suffix for path in paths}
    # MMSegmentation adds one ending to all names of a list.
    suffix = suffixes.pop() if len(suffixes) == 1 and collection.task == 'semantic' else ''
    if suffix:
        names = {path: name.removesuffix(suffix) for path, name in names.items()}
    if bad := [name for name in names.values() if name != name.strip() or '\n' in name]:
        raise UserError(f'the name {bad[0]!r} begins or ends with a space; rename the file')
    return _Names(folder, names, suffix)


def _write_labels(collection: Collection, names: _Names, folder: Path) -> dict[str, set[str]]:
    """Write the label maps, and return the classes of each, by the path of its image."""

    def write(picture: Picture) -> set[str]:
        labels = label_maps.labels_of(picture, collection)
        if 1 in labels.shape:
            raise UserError(
                f'the label map of {picture.path} is one pixel wide or high, and MMSegmentation '
                'loads no such file; take image and label map out of the data'
            )
        target = folder / 'labels' / f'{names.names[picture.path]}.png'
        label_maps.write_label_map(labels, target, collection.palette)
        counts = np.bincount(labels.ravel(), minlength=UNLABELLED + 1)[:UNLABELLED]
        return {collection.classes[index] for index in np.flatnonzero(counts)}

    pictures = collection.pictures
    classes = read_in_threads(write, pictures, _BATCH, f'writing {len(pictures)} label maps')
    return {str(p.path): one for p, one in zip(pictures, classes, strict=True)}


def _write_annotations(collection: Collection, names: _Names, folder: Path) -> Dataset:
    """Write the annotations of each split, and return the data set."""
    splits = {}
    index = {name: number for number, name in enumerate(collection.classes)}
    for split, pictures in collection.parts().items():
        if collection.task in BOXES:
            target = folder / f'annotations/{split}.json'
            coco.write_json(collection, pictures, names.names, target)
        else:
            target = folder / f'annotations/{split}.txt'
            lines = [names.names[picture.path] for picture in pictures]
            if collection.task == 'classes':
                lines = [f'{names.names[p.path]} {index[str(p.label)]}' for p in pictures]
            voc.write_list(lines, target)
        splits[split] = Split(target, len(pictures))
    is_semantic = collection.task == 'semantic'
    return Dataset(
        folder=folder,
        task=collection.task,
        format=collection.format,
        classes=tuple(collection.classes),
        palette=tuple(collection.palette) if collection.palette else None,
        images=names.folder,
        splits=splits,
        notes=tuple(collection.notes),
        labels=folder / 'labels' if is_semantic else None,
        img_suffix=names.suffix if is_semantic else None,
        seg_map_suffix='.png' if is_semantic else None,
    )


def summary_of(collection: Collection) -> str:
    """Return format, task and counts of a data set in a line."""
    parts = ', '.join(f'{split} {len(p)}' for split, p in collection.parts().items())
    line = f'{collection.format}, {collection.task}, {counted(len(collection.classes), "class")}'
    objects = sum(len(picture.objects) for picture in collection.pictures)
    return f'{line}, images: {parts}' + (f'; {counted(objects, "object")}' if objects else '')
