"""The form in memory that all formats are read into and written from.

Coordinates are pixels from the upper left corner of the image, as in COCO: the left edge of the
first pixel is 0, its right edge is 1. Numbers are kept as they are read.

Own readers, not a library such as datumaro or supervision: they name file and line of a fault,
keep every digit, crowds and holes, and say what a format cannot hold.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ..checks.messages import counted, first_few
from .dataset import SPLITS, Colour

Box = tuple[float, float, float, float]  # x, y, width, height
Ring = list[float]  # x1, y1, x2, y2, ...
BOXES = ('boxes', 'instance')  # the tasks whose pictures have objects
UNLABELLED = 255


@dataclass
class Annotation:
    """One object of a picture.

    Attributes:
        name: its class.
        box: its box.
        polygons: the outer rings of its mask.
        holes: rings inside the mask that do not belong to it.
        rle: the mask as run lengths in COCO's form, if it does not come as polygons.
        crowd: whether it is a group of objects that nobody counted.
        area: COCO's area of the mask, if the format has it.
        extra: other facts such as ``{'difficult': True}``.
    """

    name: str
    box: Box
    polygons: list[Ring] = field(default_factory=list)
    holes: list[Ring] = field(default_factory=list)
    rle: dict[str, Any] | None = None
    crowd: bool = False
    area: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def has_mask(self) -> bool:
        """Whether the object has more than a box."""
        return bool(self.polygons) or self.rle is not None


@dataclass
class Picture:
    """One image with what is known about it.

    Attributes:
        path: the image file.
        width: its width as it is loaded, turned by its EXIF orientation.
        height: its height as it is loaded.
        split: ``train``, ``val``, ``test``, or None if the format does not say.
        objects: boxes and masks.
        label: the class of the whole image.
        label_map: the file with the class of each pixel.
    """

    path: Path
    width: int
    height: int
    split: str | None = None
    objects: list[Annotation] = field(default_factory=list)
    label: str | None = None
    label_map: Path | None = None


@dataclass
class Collection:
    """A data set in memory.

    Attributes:
        format: where it came from.
        task: one of ``dataset.TASKS``.
        classes: the names in the order of their indexes.
        pictures: all images.
        notes: what was decided or could not be kept, a sentence each.
        palette: a colour for each class, if the format has them.
        decode: reads a label map as an array of class indexes, 255 is not labelled.
    """

    format: str
    task: str
    classes: list[str]
    pictures: list[Picture]
    notes: list[str] = field(default_factory=list)
    palette: list[Colour] | None = None
    decode: Callable[[Path], np.ndarray] | None = None

    def parts(self) -> dict[str, list[Picture]]:
        """Return the pictures of each split. A picture without one counts as ``train``."""
        parts: dict[str, list[Picture]] = {}
        for name in SPLITS:
            if pictures := [p for p in self.pictures if (p.split or 'train') == name]:
                parts[name] = pictures
        return parts


def tidy(value: float) -> float:
    """Return a coordinate without the error of one computation: 9 decimals of a pixel.

    Example:
        >>> tidy(0.1 + 0.2)
        0.3
    """
    return round(value, 9)


def task_of_objects(pictures: list[Picture], notes: list[str]) -> str:
    """Return ``instance`` if all counted objects have masks, otherwise ``boxes``.

    Adds a note if only a part of them has masks.
    """
    objects = [one for picture in pictures for one in picture.objects if not one.crowd]
    masks = sum(one.has_mask for one in objects)
    if objects and masks == len(objects):
        return 'instance'
    if masks:
        notes.append(
            f'{masks} of {len(objects)} objects have masks; boxes are used, because masks need all'
        )
    return 'boxes'


def check_objects(collection: Collection, where: str) -> None:
    """Check that there is something to learn: a class and an object.

    Raises:
        UserError: there is none.
    """
    objects = sum(len(picture.objects) for picture in collection.pictures)
    if not collection.classes or not objects:
        raise UserError(
            f'{where}: {counted(len(collection.pictures), "image")}, but not one box; a detector '
            'needs objects: annotate some, or give the folder that has the annotations too'
        )


def check_class_names(names: list[str], where: str) -> None:
    """Check that the names of classes are different and not empty.

    Raises:
        UserError: a name is missing or comes twice.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f'{where} names {first_few(twice)} more than once; names must be unique')
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise UserError(f'{where} has a class without a name; give each class a name')
    # Lists of names have one a line, and files in UTF-8 have no halves of characters.
    if bad := [name for name in names if {unicodedata.category(c) for c in name} & {'Cc', 'Cs'}]:
        raise UserError(
            f'{where} names {bad[0]!r:.60}, which has a line break, a tab or a broken character; '
            'rename the class'
        )
