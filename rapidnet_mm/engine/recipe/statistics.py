"""Measure an imported data set: sizes of images and objects, numbers of each class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ...data.importers.dataset import Dataset
from ...errors import UserError, one_line

SAMPLE = 200  # so many images are opened where the annotations do not say their sizes


class Statistics(NamedTuple):
    """What a recipe has to know of a data set.

    Attributes:
        images: number of training images.
        val_images: number of validation images.
        sizes: ``(n, 2)`` widths and heights of training images in pixels, perhaps of a sample.
        boxes: ``(m, 2)`` widths and heights of objects in pixels of their image.
        long_sides: ``(m,)`` the longer side of the image of each object.
        class_counts: for each class the number of objects or images, or its share of the pixels.
        empty: number of training images without an object; a training leaves them out.
    """

    images: int
    val_images: int
    sizes: np.ndarray
    boxes: np.ndarray
    long_sides: np.ndarray
    class_counts: tuple[float, ...]
    empty: int = 0

    def object_sizes(self, long_side: int) -> np.ndarray:
        """Return the square roots of the objects' areas if images have this longer side."""
        return np.sqrt(self.boxes.prod(1)) * long_side / self.long_sides

    @property
    def long_side(self) -> int:
        """Return the usual longer side of the images: the median."""
        return round(float(np.median(self.sizes.max(1))))

    @property
    def short_side(self) -> int:
        """Return the usual shorter side of the images: the median."""
        return round(float(np.median(self.sizes.min(1))))


def measure(data: Dataset) -> Statistics:
    """Return the statistics of the training images.

    Raises:
        UserError: nothing can be learned from them: no images, or no objects.
    """
    for split in ('train', 'val'):
        if not data.splits[split].images:
            raise UserError(f'{data.folder} has no images in {split}, and a training needs some')
    if data.task in ('boxes', 'instance'):
        statistics = _measure_objects(data)
    elif data.task == 'semantic':
        statistics = _measure_labels(data)
    else:
        statistics = _measure_classes(data)
    if not any(statistics.class_counts):
        raise UserError(f'none of the training images in {data.images} has an object or a label')
    return statistics


def check_narrow(data: Dataset, side: int) -> None:
    """Check that each image has a pixel left across when its longer side is ``side``.

    Raises:
        UserError: an image is too narrow to be resized, which would end the first validation.
    """
    if data.task not in ('boxes', 'instance'):
        return
    for split in data.splits.values():
        images = json.loads(split.annotations.read_text(encoding='utf-8'))['images']
        sizes = {image['file_name']: (image['width'], image['height']) for image in images}
        if narrow := [name for name, size in sizes.items() if min(size) * side < max(size)]:
            width, height = sizes[narrow[0]]
            raise UserError(
                f'{len(narrow)} of {len(images)} images in {data.images} are too narrow: '
                f'{narrow[0]} has {width}x{height} pixels, and nothing is left of it at a longer '
                f'side of {side}; cut it into pieces, or take it out of the annotations'
            )


def _measure_objects(data: Dataset) -> Statistics:
    content = json.loads(data.splits['train'].annotations.read_text(encoding='utf-8'))
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    objects = [
        entry
        for entry in content['annotations']
        if not entry.get('iscrowd') and min(entry['bbox'][2:]) > 0
    ]
    counts = [0.0] * len(data.classes)
    for entry in objects:
        counts[entry['category_id'] - 1] += 1
    statistics = _statistics(
        data,
        list(sizes.values()),
        counts,
        [entry['bbox'][2:] for entry in objects],
        [max(sizes[entry['image_id']]) for entry in objects],
    )
    return statistics._replace(empty=len(sizes.keys() - {entry['image_id'] for entry in objects}))


def _measure_labels(data: Dataset) -> Statistics:
    names = _spread(_lines(data.splits['train'].annotations))
    sizes, pixels = [], np.zeros(256)
    for name in names:
        labels = np.asarray(_opened(Path(f'{data.labels / name}{data.seg_map_suffix}')))
        sizes.append((labels.shape[1], labels.shape[0]))
        pixels += np.bincount(labels.ravel(), minlength=256)[:256] / labels.size
    shares = pixels[: len(data.classes)] / max(1e-9, pixels[: len(data.classes)].sum())
    return _statistics(data, sizes, shares.tolist())


def _measure_classes(data: Dataset) -> Statistics:
    entries = [line.rpartition(' ') for line in _lines(data.splits['train'].annotations)]
    counts = np.bincount([int(label) for _, _, label in entries], minlength=len(data.classes))
    sizes = [_opened(data.images / name).size for name, _, _ in _spread(entries)]
    return _statistics(data, sizes, counts.astype(float).tolist())


def _statistics(
    data: Dataset,
    sizes: Sequence[tuple[int, int]],
    counts: Sequence[float],
    boxes: Sequence[Sequence[float]] = (),
    long_sides: Sequence[float] = (),
) -> Statistics:
    return Statistics(
        data.splits['train'].images,
        data.splits['val'].images,
        np.array(sizes, float).reshape(-1, 2),
        np.array(boxes, float).reshape(-1, 2),
        np.array(long_sides, float),
        tuple(counts),
    )


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding='utf-8', errors='surrogateescape')
    return [line for line in text.split('\n') if line]


def _spread(items: Sequence) -> Sequence:
    """Return up to ``SAMPLE`` items from all parts of a list."""
    step = -(-len(items) // SAMPLE) or 1
    return items[::step]


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except OSError as error:
        raise UserError(f'{path} cannot be read as an image: {one_line(error)}') from error
