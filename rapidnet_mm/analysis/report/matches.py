"""Which detections are right? Evaluation by hotcoco, and its matches as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from hotcoco import COCO, COCOeval

from ...engine.metrics.coco import NUMBERS, read_ground_truth
from ...errors import UserError, one_line

CHUNK = 500  # images
AREAS = ('all', 'small', 'medium', 'large')


class Matches(NamedTuple):
    """The detections of one class, best first, and what they match; for one range of sizes.

    Attributes:
        scores: ``(n,)``.
        images: ``(n,)`` index of the image.
        ranks: ``(n,)`` how many detections of its image and class are better.
        right: ``(thresholds, n)`` whether a detection matches an object.
        counted: ``(thresholds, n)`` False if it is left out, as for a crowd or another size.
        objects: ``(images,)`` number of objects.
    """

    scores: np.ndarray
    images: np.ndarray
    ranks: np.ndarray
    right: np.ndarray
    counted: np.ndarray
    objects: np.ndarray


class Cell(NamedTuple):
    """The detections of one class in one image, best first, for one range of sizes.

    Attributes:
        area: index into ``AREAS``.
        image: index of the image.
        ids: ``(n,)`` the detections, numbered from 1.
        scores: ``(n,)``.
        right: ``(thresholds, n)`` whether a detection matches an object.
        counted: ``(thresholds, n)`` False if it is left out, as for a crowd or another size.
        partners: ``(n,)`` what it matches at IoU 0.5; 0 if nothing.
        objects: number of objects that count.
    """

    area: int
    image: int
    label: int
    ids: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    counted: np.ndarray
    partners: np.ndarray
    objects: int


class Evaluation:
    """The detections of a test and the ground truth, compared by hotcoco.

    Images and classes have the ids 1, 2, 3, ... here, in the order of the original ids of the
    images and of the names of the classes.

    Args:
        record: the predictions of a detector.
        kind: 'bbox' or 'segm'.

    Raises:
        UserError: the annotation file is not there any more, or is of other images.
    """

    def __init__(self, record: Mapping[str, Any], kind: str):
        self.kind = kind
        self.classes: list[str] = list(record['classes'])
        self.images = sorted(record['images'], key=lambda image: image['id'])
        self.truth = ground_truth(record['annotations'], self.images, self.classes)
        self.detections = list(_detections(self.images, kind))
        self._truth = COCO(self.truth)
        self._guesses = self._truth.load_res(self.detections)
        self.run = self._compare(range(1, len(self.images) + 1))
        self.run.accumulate()
        self.run.summary_lines()  # computes the numbers, and prints nothing

    def _compare(self, images: Sequence[int]) -> COCOeval:
        run = COCOeval(self._truth, self._guesses, self.kind)
        run.params.imgIds = list(images)
        run.params.catIds = list(range(1, len(self.classes) + 1))
        run.evaluate()
        return run

    def numbers(self) -> dict[str, float]:
        """Return the twelve numbers of COCO by the names that ``rapidnet test`` gives them."""
        values = [float(v) for v in self.run.stats]
        return {f'{self.kind}_{n}': v for n, v in zip(NUMBERS, values, strict=True)}

    def precision(self) -> np.ndarray:
        """Return ``(thresholds, recalls, classes)``, NaN where a class has no objects."""
        precision = np.asarray(self.run.eval['precision'])[:, :, :, 0, -1]
        return np.where(precision > -1, precision, np.nan)

    @cached_property
    def cells(self) -> list[Cell]:
        """All matches, image by image."""
        cells = []
        for start in range(1, len(self.images) + 1, CHUNK):
            chosen = range(start, min(start + CHUNK, len(self.images) + 1))
            # hotcoco's own form of the matches takes much memory, so it is read in parts.
            run = self.run if len(chosen) == len(self.images) else self._compare(chosen)
            ranges = [tuple(map(float, bounds)) for bounds in run.params.areaRng]
            for entry in run.evalImgs:
                if entry is not None:
                    cells.append(_cell(entry, ranges.index(tuple(map(float, entry['aRng'])))))
        return sorted(cells, key=lambda cell: cell.image)

    def matches(self) -> dict[str, list[Matches]]:
        """Return the matches by range of sizes (``AREAS``), one entry a class."""
        parts: dict[tuple[int, int], list[Cell]] = {}
        for cell in self.cells:
            parts.setdefault((cell.area, cell.label), []).append(cell)
        return {
            name: [self._joined(parts.get((area, k), [])) for k in range(len(self.classes))]
            for area, name in enumerate(AREAS)
        }

    def _joined(self, cells: Sequence[Cell]) -> Matches:
        objects = np.zeros(len(self.images), int)
        for cell in cells:
            objects[cell.image] = cell.objects
        empty = np.zeros((len(self.run.params.iouThrs), 0), bool)
        sizes = [len(cell.scores) for cell in cells]
        scores = np.concatenate([np.zeros(0), *(cell.scores for cell in cells)])
        order = np.argsort(-scores, kind='stable')
        images = np.repeat([cell.image for cell in cells], sizes).astype(int)
        ranks = np.concatenate([np.zeros(0, int), *(np.arange(size) for size in sizes)])
        right = np.concatenate([empty, *(cell.right for cell in cells)], axis=1)
        counted = np.concatenate([empty, *(cell.counted for cell in cells)], axis=1)
        parts = (scores, images, ranks)
        return Matches(*(p[order] for p in parts), right[:, order], counted[:, order], objects)


def _cell(entry: Mapping[str, Any], area: int) -> Cell:
    thresholds = len(entry['dtIgnore'])
    counted = ~np.asarray(entry['dtIgnore'], bool).reshape(thresholds, -1)
    matched = np.asarray(entry['dtMatched'], bool).reshape(thresholds, -1)
    partners = np.asarray(entry['dtMatches'][0], int)
    return Cell(
        area,
        entry['image_id'] - 1,
        entry['category_id'] - 1,
        np.asarray(entry['dtIds'], int),
        np.asarray(entry['dtScores'], float),
        matched & counted,
        counted,
        np.where(matched[0], partners, 0),
        int((~np.asarray(entry['gtIgnore'], bool)).sum()),
    )


def ground_truth(
    file: str, images: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> dict[str, Any]:
    """Return the objects of the tested images and classes in COCO's format, with new ids.

    Raises:
        UserError: the annotation file cannot be read, or lacks an image.
    """
    try:
        data = read_ground_truth(file).dataset
    except (OSError, ValueError) as error:
        raise UserError(f'annotation file {file} cannot be read: {one_line(error)}') from error
    entries = {entry['id']: entry for entry in data['images']}
    numbers = {image['id']: number for number, image in enumerate(images, 1)}
    if missing := [image['id'] for image in images if image['id'] not in entries]:
        raise UserError(f'annotation file {file} has no image with id {missing[0]}')
    names = {name: number for number, name in enumerate(classes, 1)}
    categories = {c['id']: names[c['name']] for c in data['categories'] if c['name'] in names}
    objects = []
    for entry in data.get('annotations', ()):
        if entry['image_id'] in numbers and entry['category_id'] in categories:
            new = {
                'id': len(objects) + 1,
                'image_id': numbers[entry['image_id']],
                'category_id': categories[entry['category_id']],
            }
            objects.append({**entry, **new})
    return {
        'images': [
            {'id': n, 'width': entries[i]['width'], 'height': entries[i]['height']}
            for i, n in numbers.items()
        ],
        'categories': [{'id': number, 'name': name} for name, number in names.items()],
        'annotations': objects,
    }


def _detections(images: Sequence[Mapping[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    for number, image in enumerate(images, 1):
        for index, score in enumerate(image['scores']):
            if not math.isfinite(score):
                continue
            entry = {
                'image_id': number,
                'category_id': image['labels'][index] + 1,
                'score': score,
            }
            x1, y1, x2, y2 = image['boxes'][index]
            if kind == 'bbox':
                yield entry | {'bbox': [x1, y1, x2 - x1, y2 - y1]}
            else:
                counts = image['masks'][index]
                yield entry | {'segmentation': {'size': image['mask_size'], 'counts': counts}}
