"""Class folders: one folder a class, with its images in it; perhaps in ``train`` and ``val``."""

from __future__ import annotations

from pathlib import Path

from ....errors import UserError
from ...checks.messages import first_few
from ..folders import is_image, measure, split_of
from ..samples import Collection, Picture, check_class_names
from ..source import Source
from ..target import Place, target_names

ANNOTATIONS = ('.json', '.xml', '.txt', '.csv', '.yaml', '.yml')


def read(source: Source) -> Collection:
    """Return all images with the class that their folder names.

    Raises:
        UserError: there are less than two classes, or an image is in no class folder.
    """
    pictures, loose = [], []
    for path in filter(is_image, source.all_files):
        root = next(root for root in source.roots if path.is_relative_to(root))
        names = list(path.relative_to(root).parts[:-1])
        split = split_of(root.name) if len(source.roots) > 1 else None
        if names and split_of(names[0]) and len(names) > 1:
            split = split_of(names.pop(0))
        if not names:
            loose.append(path)
            continue
        pictures.append(Picture(path, 0, 0, split, label=names[0]))
    if all(split_of(str(picture.label)) for picture in pictures):  # train and val are no classes
        loose += [picture.path for picture in pictures]
    if loose:
        raise UserError(
            f'{len(loose)} images such as {loose[0]} are in no class folder; move each into the '
            'folder of its class, or annotate them'
        )
    classes = sorted({str(picture.label) for picture in pictures})
    others = [path for path in source.all_files if path.suffix.lower() in ANNOTATIONS]
    if len(classes) < 2:
        unknown = f' ({others[0]} holds none that can be read)' if others else ''
        raise UserError(
            f'{source.roots[0]} has no annotations{unknown}, and as class folders it has one class '
            f'only ({classes[0]}); a detector needs annotations, a classifier a folder for each '
            'of two or more classes'
        )
    check_class_names(classes, str(source.roots[0]))
    notes = _check_splits(pictures)
    if others:
        notes.append(f'{others[0]} holds no annotations that can be read, and is not used')
    measure(pictures)
    return Collection('folders', 'classes', classes, pictures, notes)


def _check_splits(pictures: list[Picture]) -> list[str]:
    classes = {split: {p.label for p in pictures if p.split == split} for split in ('train', 'val')}
    if not classes['train'] or not classes['val']:
        return []
    if unknown := sorted(classes['val'] - classes['train']):
        raise UserError(
            f'classes differ: val has {first_few(unknown)}, which train lacks; add images of them '
            'to train, or take them out of val'
        )
    absent = sorted(classes['train'] - classes['val'])
    return [f'val has no images of {first_few(absent, 8)}'] if absent else []


def write(collection: Collection, folder: Path, place: Place) -> list[str]:
    """Write ``SPLIT/CLASS/`` with the images; return what is lost."""
    if bad := [name for name in collection.classes if '/' in name or name in ('.', '..')]:
        raise UserError(f'a class named {bad[0]!r} cannot be the name of a folder; rename it')
    names = target_names(collection)
    for split, pictures in collection.parts().items():
        for picture in pictures:
            place(picture.path, folder / split / str(picture.label) / names[picture.path])
    return []
