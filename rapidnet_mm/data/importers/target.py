"""Where a converted data set puts its images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..checks.messages import counted
from .geometry import box_of_mask, decode_rle, extent
from .samples import Annotation, Box, Collection

Place = Callable[[Path, Path], None]  # makes an image appear at another path


def copy(image: Path, target: Path) -> None:
    """Copy an image."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, target)


def link(image: Path, target: Path) -> None:
    """Make a symbolic link to an image."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(image.resolve())


PLACES: dict[str, Place] = {'copy': copy, 'link': link}


def target_names(collection: Collection) -> dict[Path, str]:
    """Return a file name for each image, without folders.

    Two images never share a name without its ending, because labels are found by it.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    root = common_folder([picture.path for picture in collection.pictures])
    for picture in collection.pictures:
        path, number = picture.path, 1
        stem = path.stem
        if stem.casefold() in taken:
            stem = '_'.join(path.relative_to(root).with_suffix('').parts)
        base = stem
        while stem.casefold() in taken:
            number += 1
            stem = f'{base}_{number}'
        taken.add(stem.casefold())
        names[path] = f'{stem}{path.suffix}'
    return names


def common_folder(paths: list[Path]) -> Path:
    """Return the innermost folder that holds all files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def _extent(one: Annotation) -> Box:
    return box_of_mask(decode_rle(one.rle)) if one.rle else extent(one.polygons)


def losses(
    collection: Collection, format: str, polygons: bool = True, extra: tuple[str, ...] = ()
) -> list[str]:
    """Return what a format with one shape an object cannot hold.

    Args:
        collection: the data set.
        format: the name of the format.
        polygons: whether an object with a mask is written as its mask, otherwise as its box.
        extra: the facts of an object that the format holds.
    """
    objects = [one for picture in collection.pictures for one in picture.objects]
    masked = [one for one in objects if one.has_mask and not one.crowd]
    notes = []
    if not polygons and masked:
        notes.append(f'{format} has no polygons: only the boxes of {counted(len(masked), "mask")}')
    if polygons:
        masked = [one for one in objects if one.has_mask and not (one.crowd and format == 'YOLO')]
        changed = sum(_extent(one) != tuple(one.box) for one in masked)
        if changed:
            notes.append(
                f'{format} has no box beside a mask: {counted(changed, "box")} of {len(masked)} '
                'become the extent of the mask'
            )
    kinds = sorted({key for one in objects for key in one.extra} - {*extra})
    if kinds:
        notes.append(f'{format} does not hold {", ".join(kinds)} of the objects')
    return notes
