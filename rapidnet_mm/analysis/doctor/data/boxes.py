"""Boxes and masks that are probably wrong: outside, tiny, twice, or unlike the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as mask_api

from ....data.checks.masks import mask_fault, run_lengths
from ....data.checks.messages import first_few
from ..finding import ODD, SPOILS, Finding
from .samples import Object, Sample, Split

OUTSIDE = 1.0  # pixels; annotation tools round
TINY = 4.0  # pixels of a side in the image that a model sees: one cell of its finest map
SAME, OVERLAP = 0.95, 0.9  # IoU of boxes of one object, and of two classes on one object
MASK_OVERLAP = 0.7  # IoU of masks of two classes on one object
MANY = 0.05  # share of the objects from which something is no slip any more
MANY_TINY = 0.3
BOX_OFF = 0.8  # IoU of a box with the box around its mask
AREA_OFF = 1.5  # factor between the area of a mask and what the file says
LEAST_OFF = 64.0  # pixels; smaller differences of areas are rounding
FEW_TO_COMPARE, FAR = 20, 6.0  # objects of a class, and robust standard deviations
NAMED = 3


class Place(NamedTuple):
    """An object together with its image, and the name of its class."""

    sample: Sample
    object: Object
    name: str

    def __str__(self) -> str:
        x, y, wide, high = self.object.box
        file = self.sample.path.rpartition('/')[2]
        return f'{file} ({self.name} of {wide:.0f}x{high:.0f} at {x:.0f}, {y:.0f})'


def box_findings(split: Split) -> Iterator[Finding]:
    """Yield what is odd about the objects of a split."""
    places = [_place(split, s, o) for s in split.samples for o in s.objects if not o.is_crowd]
    if not places:
        return
    total = len(places)
    outside = [place for place in places if _overhang(place) > OUTSIDE]
    yield from _some(
        split,
        outside,
        total,
        'boxes reach out of their image',
        'clip them; if there are many, the annotations are for images of another size',
    )
    if split.name == 'train':
        yield from _tiny(split, places)
    yield from _pairs(split, total)
    if split.masks:
        yield from _masks(split, places)
    yield from _extreme(split, places)


def _place(split: Split, sample: Sample, entry: Object) -> Place:
    return Place(sample, entry, split.classes[entry.label])


def _some(
    split: Split, places: Sequence[Place], total: int, what: str, way_out: str, many: float = MANY
) -> Iterator[Finding]:
    """Yield a finding about some objects, if there are any."""
    if places:
        names = first_few([str(place) for place in places], NAMED)
        grade = SPOILS if len(places) > max(many * total, 2) else ODD
        yield Finding(grade, split.where, f'{len(places)} of {total} {what}: {names}', way_out)


def _overhang(place: Place) -> float:
    (x, y, wide, high), (width, height) = place.object.box, place.sample.size
    return max(-x, -y, x + wide - width, y + high - height)


def _tiny(split: Split, places: Sequence[Place]) -> Iterator[Finding]:
    """Yield the objects that are less than a cell in the image that a model sees."""
    small = [place for place in places if 0 < min(_seen_size(place, split.resize)) < TINY]
    size = '' if split.resize is None else f' at {split.resize[0][0]}x{split.resize[0][1]}'
    yield from _some(
        split,
        small,
        len(places),
        f'boxes have a side below {TINY:g} px as the model sees them{size}',
        'train with larger images or crops, if these objects count',
        many=MANY_TINY,
    )


def _seen_size(place: Place, resize: tuple[tuple[int, int], bool] | None) -> tuple[float, float]:
    """Return width and height of a box after the pipeline has resized its image."""
    _, _, wide, high = place.object.box
    if resize is None:
        return wide, high
    (width, height), scale = place.sample.size, resize[0]
    if not resize[1]:
        return wide * scale[0] / width, high * scale[1] / height
    factor = min(max(scale) / max(width, height), min(scale) / min(width, height))
    return wide * factor, high * factor


def _pairs(split: Split, total: int) -> Iterator[Finding]:
    """Yield objects that are annotated twice, and objects with two classes."""
    exact, same, mixed = [], [], []
    for sample in split.samples:
        objects = [o for o in sample.objects if not o.is_crowd and min(o.box[2:]) > 0]
        if len(objects) < 2:
            continue
        ious = box_ious(np.array([o.box for o in objects], float))
        for i, j in np.argwhere(np.triu(ious, 1) > OVERLAP):
            one, other = objects[i], objects[j]
            if one.label != other.label:
                if _mask_iou(sample, one, other) < MASK_OVERLAP:
                    continue  # such as a person in a chair
                mixed.append((_place(split, sample, one), split.classes[other.label]))
            elif one.box == other.box:
                exact.append(_place(split, sample, other))
            elif ious[i, j] > SAME:
                same.append(_place(split, sample, other))
    advice = 'remove one of each two: a model is punished for finding it once'
    yield from _some(split, exact, total, 'objects are there twice, with the same box', advice)
    yield from _some(
        split, same, total, f'objects are there twice (boxes with an IoU above {SAME})', advice
    )
    if mixed:
        names = [f'{place} is a {other} too' for place, other in mixed]
        yield Finding(
            SPOILS if len(mixed) > MANY * total else ODD,
            split.where,
            f'{len(mixed)} of {total} objects overlap almost wholly with one of another class: '
            f'{first_few(names, NAMED)}',
            'look at them: one of the two classes may be wrong',
        )


def _mask_iou(sample: Sample, one: Object, other: Object) -> float:
    """Return the IoU of the masks of two objects, 1 if they have none that can be compared."""
    width, height = sample.size
    masks = [entry.segmentation for entry in (one, other)]
    if not all(masks) or any(mask_fault(mask, width, height) for mask in masks):
        return 1.0
    runs = [run_lengths(mask, width, height) for mask in masks]
    return float(mask_api.iou(runs[:1], runs[1:], [0])[0, 0])


def box_ious(boxes: np.ndarray) -> np.ndarray:
    """Return the IoU of each box with each: (N, 4) of x, y, width, height -> (N, N)."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    common = np.prod(np.clip(sides, 0, None), axis=2)
    areas = np.prod(boxes[:, 2:], axis=1)
    return common / (areas[:, None] + areas - common)


def _masks(split: Split, places: Sequence[Place]) -> Iterator[Finding]:
    """Yield masks that do not agree with their box or with the area that the file says."""
    off_box, off_area, total = [], [], 0
    for place in places:
        width, height = place.sample.size
        mask = place.object.segmentation
        if not mask or mask_fault(mask, width, height):
            continue
        total += 1
        box, area = mask_box(mask, width, height)
        ious = box_ious(np.array([box, place.object.box], float))
        gap = np.abs(np.array(box) - place.object.box).max()
        if ious[0, 1] < BOX_OFF and gap > 3:
            off_box.append(place)
        low, high = sorted((area, place.object.area))
        if high > AREA_OFF * low and high - low > LEAST_OFF:
            off_area.append(place)
    yield from _some(
        split,
        off_box,
        total,
        'masks do not agree with their box',
        'boxes should be drawn around the masks; make them again from the masks',
    )
    yield from _some(
        split,
        off_area,
        total,
        'masks have another area than the file says',
        'COCO metrics sort objects by the area in the file; write the area of the mask',
    )


def mask_box(mask: object, width: int, height: int) -> tuple[list[float], float]:
    """Return the box around a valid mask in COCO format, and its area."""
    runs = run_lengths(mask, width, height)
    area = float(mask_api.area(runs))
    if not isinstance(mask, list):
        return mask_api.toBbox(runs).tolist(), area
    points = np.concatenate([np.reshape(part, (-1, 2)) for part in mask]).astype(float)
    low, high = points.min(0), points.max(0)
    return [*low, *(high - low)], area


def _extreme(split: Split, places: Sequence[Place]) -> Iterator[Finding]:
    """Yield objects that are much larger or smaller than the others of their class."""
    logs = np.array([_relative_size(place) for place in places])
    labels = np.array([place.object.label for place in places])
    far: list[Place] = []
    for label in np.unique(labels):
        inside = (labels == label) & np.isfinite(logs)
        if inside.sum() < FEW_TO_COMPARE:
            continue
        middle = np.median(logs[inside])
        spread = 1.4826 * np.median(np.abs(logs[inside] - middle))
        away = inside & (np.abs(logs - middle) > FAR * max(spread, 0.1))
        far += [places[index] for index in np.flatnonzero(away)]
    if far:
        yield Finding(
            ODD,
            split.where,
            f'{len(far)} of {len(places)} boxes have an extreme size for their class: '
            f'{first_few([*map(str, far)], NAMED)}',
            'look at them: the class or the box may be wrong',
        )


def _relative_size(place: Place) -> float:
    """Return the logarithm of the side of a box, as a share of the image."""
    (_, _, wide, high), (width, height) = place.object.box, place.sample.size
    area = wide * high / (width * height)
    return float(np.log(area)) / 2 if area > 0 else -np.inf
