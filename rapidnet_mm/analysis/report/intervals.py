"""How sure is a number? Confidence intervals by drawing the images again and again (bootstrap).

Each sample draws as many images as there are, with repetition. A number is computed for each
sample, and the interval holds the middle 95 % of the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...engine.metrics.coco import NUMBERS
from .matches import AREAS, Matches

SAMPLES = 1000
FEWEST = 100  # samples, for very large data sets
WORK = 1e9  # how many detections are looked at, about a quarter of a minute
MOST_DRAWS = 2e7  # of images
CONFIDENCE = 0.95
RECALLS = np.linspace(0, 1, 101)
EPSILON = np.spacing(1.0)
Interval = tuple[float, float] | None
# Of the twelve numbers: which matches, which thresholds, how many detections an image.
AP_PARTS = {
    'mAP': ('all', slice(None)),
    'mAP_50': ('all', slice(0, 1)),
    'mAP_75': ('all', slice(5, 6)),
    'mAP_s': ('small', slice(None)),
    'mAP_m': ('medium', slice(None)),
    'mAP_l': ('large', slice(None)),
}
AR_PARTS = {
    'AR@1': ('all', 1),
    'AR@10': ('all', 10),
    'AR@100': ('all', 100),
    'AR_s@100': ('small', 100),
    'AR_m@100': ('medium', 100),
    'AR_l@100': ('large', 100),
}
assert (*AP_PARTS, *AR_PARTS) == NUMBERS


def draw_weights(images: int, samples: int | None = None, seed: int = 0) -> np.ndarray:
    """Return how often each sample has each image, ``(samples, images)``.

    Args:
        images: how many there are.
        samples: how many to draw; by default fewer where there are very many images.
        seed: of the draws; equal seeds give equal draws.
    """
    if samples is None:
        samples = int(np.clip(MOST_DRAWS / max(images, 1), FEWEST, SAMPLES))
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / max(images, 1)), size=samples)


def interval_of(values: np.ndarray) -> Interval:
    """Return the interval of the values of all samples; None if most of them are not defined."""
    values = values[np.isfinite(values)]
    if len(values) < FEWEST / 2:
        return None
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def samples_for(matches: dict[str, list[Matches]]) -> int:
    """Return how many samples to draw: fewer where there are very many detections."""
    size = sum(one.right.size for part in matches.values() for one in part)
    images = len(matches['all'][0].objects)
    return int(np.clip(min(WORK / max(size, 1), MOST_DRAWS / images), FEWEST, SAMPLES))


def average_precision(one: Matches, weights: np.ndarray) -> np.ndarray:
    """Return the AP of one class in each sample, as COCO computes it.

    It is what COCO's evaluation gives for a data set that has each image as often as its weight.

    Returns:
        ``(thresholds, samples)``; NaN where a sample has no object of the class.
    """
    objects = weights @ one.objects
    drawn = weights[:, one.images]  # (samples, detections)
    result = np.zeros((len(one.right), len(weights)))
    total, counted_before = np.cumsum(drawn, axis=1), np.ones(len(one.scores), bool)
    for index, (right, counted) in enumerate(zip(one.right, one.counted, strict=True)):
        if not right.any():
            continue
        if not np.array_equal(counted, counted_before):
            total, counted_before = np.cumsum(drawn * counted, axis=1), counted
        # Precision and recall change for the better only where a detection is right.
        hits = np.cumsum(drawn[:, right], axis=1)
        with np.errstate(invalid='ignore', divide='ignore'):
            recall = hits / objects[:, None]
            precision = hits / (total[:, right] + EPSILON)
        # The best precision at this recall or at a higher one.
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(RECALLS, recall, side='right')
        result[index] = (np.diff(reached, prepend=0) * precision).sum(axis=1) / len(RECALLS)
    result[:, objects == 0] = np.nan
    return result


def recall_of(one: Matches, weights: np.ndarray, most: int) -> np.ndarray:
    """Return the recall of the ``most`` best detections of an image: ``(thresholds, samples)``."""
    objects = weights @ one.objects
    first = one.ranks < most
    hits = (one.right[:, first] @ weights[:, one.images[first]].T).astype(float)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(objects > 0, hits / objects, np.nan)


def coco_samples(
    matches: dict[str, list[Matches]], weights: np.ndarray
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return COCO's twelve numbers in each sample, and the AP of each class.

    Returns:
        By name ``(samples,)``, and for each class ``(thresholds, samples)``.
    """
    precisions = {
        area: [average_precision(one, weights) for one in matches[area]] for area in AREAS
    }
    values: dict[str, np.ndarray] = {}
    for name, (area, part) in AP_PARTS.items():
        values[name] = mean_of([one[part] for one in precisions[area]], len(weights))
    for name, (area, most) in AR_PARTS.items():
        recalls = [recall_of(one, weights, most) for one in matches[area]]
        values[name] = mean_of(recalls, len(weights))
    return values, precisions['all']


def mean_of(parts: Sequence[np.ndarray], samples: int) -> np.ndarray:
    """Return the mean over classes and thresholds of the values that are defined."""
    stacked = np.concatenate([np.zeros((0, samples)), *parts])
    count = np.isfinite(stacked).sum(axis=0)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.nansum(stacked, axis=0) / np.where(count, count, np.nan)


def ratio_samples(parts: Any, totals: Any, weights: np.ndarray) -> np.ndarray:
    """Return sums over the images of each sample, divided: ``(samples, ...)``.

    Args:
        parts: ``(images, ...)``, such as the pixels that are right.
        totals: ``(images, ...)``, such as all pixels.
        weights: see :func:`draw_weights`.
    """
    above = np.tensordot(weights, np.asarray(parts, float), 1)
    below = np.tensordot(weights, np.asarray(totals, float), 1)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(below > 0, above / below, np.nan)
