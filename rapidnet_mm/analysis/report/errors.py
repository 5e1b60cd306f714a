"""What kinds of errors cost a detector how much AP? By class and by size of the objects.

The kinds are those of TIDE (Bolya et al., ECCV 2020, https://arxiv.org/abs/2008.08115). Each
detection that is wrong at IoU 0.5 is of one kind. What a kind costs is how much AP50 rises if all
errors of that kind are repaired, and only those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from hotcoco.primitives import bbox_iou, mask_iou
from pycocotools import mask as coco_mask

from ...data.checks.masks import run_lengths
from .intervals import EPSILON, RECALLS
from .matches import AREAS, Cell, Evaluation

HIT, BACKGROUND = 0.5, 0.1  # IoU of a match, and IoU below which there is only background
KINDS = {
    'wrong class': 'the place is right (IoU from 0.5)',
    'localisation': 'the class is right, the place is not (IoU 0.1 to 0.5)',
    'both': 'class and place are wrong',
    'duplicate': 'the object has been found already, with a higher score',
    'background': 'there is no object',
    'missed': 'an object that no detection comes near',
}
REPAIRED = ('localisation', 'wrong class')  # these become right, the other kinds go away
SIZES = {'small': (0, 32**2), 'medium': (32**2, 96**2), 'large': (96**2, 1e10)}


@dataclass
class Object:
    """An object of the ground truth."""

    label: int
    area: float
    found: bool = False
    repairable: bool = False  # a class or localisation error is about it


@dataclass
class Guess:
    """A detection: its class, score, and what it is.

    Attributes:
        kind: 'right', 'left out', or one of ``KINDS``.
        target: the object that it is, or nearly is.
        repairs: whether it would be right after a repair. Of several errors about one object, only
            the one with the best score can become right; the others are then duplicates.
    """

    label: int
    score: float
    area: float
    kind: str = 'left out'
    target: Object | None = None
    repairs: bool = False


@dataclass
class Errors:
    """All objects and detections of a test, with the kinds of the errors."""

    classes: int
    objects: list[Object] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)

    def counts(self, label: int | None = None) -> dict[str, int]:
        """Return how many errors there are of each kind, of all classes or of one."""
        guesses = [g.kind for g in self.guesses if label is None or g.label == label]
        counts = {kind: guesses.count(kind) for kind in KINDS}
        missed = [o for o in self.objects if label is None or o.label == label]
        counts['missed'] = sum(not o.found and not o.repairable for o in missed)
        return counts

    def costs(self, size: str | None = None) -> dict[str, np.ndarray]:
        """Return AP50 of each class ('base'), and its rise for each kind: ``(classes,)`` each.

        Args:
            size: only objects of one of ``SIZES``; by default all.
        """
        base = self._precisions('', size)
        rises = {}
        for kind in KINDS:
            repaired = self._precisions(kind, size)
            # A class without objects that could still be missed has nothing left to lose.
            repaired[np.isnan(repaired) & np.isfinite(base)] = 1.0
            rises[kind] = repaired - base
        return {'base': base, **rises}

    @cached_property
    def _table(self) -> dict[str, np.ndarray]:
        """The detections that count, best first, as columns."""
        rows = [g for g in self.guesses if g.kind != 'left out']
        # A wrong detection counts where its object is, else by its own size.
        return {
            'kind': np.array([g.kind for g in rows], object),
            'label': np.array([g.label for g in rows], int),
            'area': np.array([g.target.area if g.target else g.area for g in rows], float),
            'target': np.array([g.target.label if g.target else -1 for g in rows], int),
            'repairs': np.array([g.repairs for g in rows], bool),
        }

    def _precisions(self, repaired: str, size: str | None) -> np.ndarray:
        low, high = SIZES[size] if size else (0, np.inf)
        objects = np.zeros(self.classes)
        for one in self.objects:
            forgiven = repaired == 'missed' and not one.found and not one.repairable
            objects[one.label] += low <= one.area < high and not forgiven
        table = self._table
        mended = table['kind'] == repaired
        right = (table['kind'] == 'right') | (mended & table['repairs'])
        label = np.where(mended, table['target'], table['label'])
        kept = (right | ~mended) & (table['area'] >= low) & (table['area'] < high)
        return np.array(
            [precision_of(right[kept & (label == k)], objects[k]) for k in range(self.classes)]
        )


def precision_of(right: np.ndarray, objects: float) -> float:
    """Return the AP of detections, best first; NaN if there are no objects."""
    if not objects:
        return float('nan')
    hits, misses = np.cumsum(right), np.cumsum(~right)
    precision = hits / (hits + misses + EPSILON)
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return float(precision[np.searchsorted(hits / objects, RECALLS, side='left')].mean())


def find_errors(evaluation: Evaluation) -> Errors:
    """Return the kinds of all errors of an evaluation."""
    errors = Errors(len(evaluation.classes))
    truth: dict[int, list[dict]] = {}
    for entry in evaluation.truth['annotations']:
        truth.setdefault(entry['image_id'], []).append(entry)
    sizes = {image['id']: image for image in evaluation.truth['images']}
    cells: dict[int, list[Cell]] = {}
    for cell in evaluation.cells:
        if AREAS[cell.area] == 'all':
            cells.setdefault(cell.image + 1, []).append(cell)
    detections = evaluation.detections
    for number in range(1, len(evaluation.images) + 1):
        _add_image(
            errors,
            cells.get(number, []),
            [t for t in truth.get(number, []) if not t['iscrowd']],
            detections,
            sizes[number],
        )
    errors.guesses.sort(key=lambda guess: -guess.score)
    claimed: set[int] = set()
    for guess in errors.guesses:
        if guess.kind in REPAIRED and not guess.target.found and id(guess.target) not in claimed:
            claimed.add(id(guess.target))
            guess.repairs = True
    return errors


def _add_image(
    errors: Errors,
    cells: Sequence[Cell],
    truth: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    size: Mapping[str, Any],
) -> None:
    """Add the objects and detections of one image."""
    objects = {t['id']: Object(t['category_id'] - 1, float(t['area'])) for t in truth}
    errors.objects += objects.values()
    chosen = []
    for cell in cells:
        for place, number in enumerate(cell.ids):
            detection = detections[number - 1]  # numbered from 1, as they were given
            guess = Guess(cell.label, detection['score'], _area(detection))
            errors.guesses.append(guess)
            if cell.counted[0, place]:
                chosen.append((guess, detection))
            if cell.right[0, place]:
                guess.kind, guess.target = 'right', objects[int(cell.partners[place])]
                guess.target.found = True
    wrong = [(guess, detection) for guess, detection in chosen if guess.kind != 'right']
    overlaps = _overlaps([d for _, d in wrong], truth, size)
    labels = np.array([o.label for o in objects.values()], int)
    for (guess, _), row in zip(wrong, overlaps, strict=True):
        _name_error(guess, row, labels, list(objects.values()))


def _name_error(
    guess: Guess, overlaps: np.ndarray, labels: np.ndarray, objects: Sequence[Object]
) -> None:
    """Decide of which kind an error is, in the order of TIDE."""
    same = np.where(labels == guess.label, overlaps, -1.0)
    other = np.where(labels == guess.label, -1.0, overlaps)
    best_same, best_other = same.max(initial=-1.0), other.max(initial=-1.0)
    if BACKGROUND <= best_same < HIT:
        guess.kind, guess.target = 'localisation', objects[int(same.argmax())]
    elif best_other >= HIT:
        guess.kind, guess.target = 'wrong class', objects[int(other.argmax())]
    elif best_same >= HIT:
        guess.kind, guess.target = 'duplicate', objects[int(same.argmax())]
    elif max(best_same, best_other) < BACKGROUND:
        guess.kind = 'background'
    else:
        guess.kind = 'both'
    if guess.kind in REPAIRED:
        guess.target.repairable = True


def _area(detection: Mapping[str, Any]) -> float:
    if 'bbox' in detection:
        return float(detection['bbox'][2] * detection['bbox'][3])
    rle = detection['segmentation']
    return float(coco_mask.area({**rle, 'counts': rle['counts'].encode()}))


def _overlaps(
    detections: Sequence[Mapping[str, Any]],
    truth: Sequence[Mapping[str, Any]],
    size: Mapping[str, Any],
) -> np.ndarray:
    """Return the IoU of detections and objects, ``(detections, objects)``."""
    if not detections or not truth:
        return np.zeros((len(detections), len(truth)))
    crowd = [False] * len(truth)
    if 'bbox' in detections[0]:
        boxes = [np.asarray([d['bbox'] for d in part], float) for part in (detections, truth)]
        return np.asarray(bbox_iou(*boxes, crowd))
    guesses = [
        {**d['segmentation'], 'counts': d['segmentation']['counts'].encode()} for d in detections
    ]
    return np.asarray(mask_iou(guesses, [mask_of(t, size) for t in truth], crowd))


def mask_of(entry: Mapping[str, Any], size: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mask of an annotation (polygons or run lengths) as COCO's RLE."""
    return run_lengths(entry['segmentation'], int(size['width']), int(size['height']))
