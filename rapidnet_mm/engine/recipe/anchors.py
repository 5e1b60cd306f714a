"""Anchors for the boxes of a data set, by the overlap of their shapes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STRIDES = (4, 8, 16, 32, 64)  # of the five maps of the feature pyramid
USUAL = (8, 2.0)  # MMDetection's scale and ratio
SCALES = (2, 3, 4, 6, 8)
RATIOS = (1.5, 2.0, 3.0, 4.0)
GAIN = 0.02  # another choice than the usual one has to overlap by so much more
ENOUGH = 0.5  # a box with this overlap has an anchor to learn from


class Anchors(NamedTuple):
    """Anchors of all maps of a feature pyramid.

    Attributes:
        scale: side of a square anchor, in strides of its map.
        ratio: the other two anchors are so many times as high as wide, and the reverse.
        covered: share of the boxes that an anchor overlaps by at least half.
        usual: the same with MMDetection's anchors.
    """

    scale: int
    ratio: float
    covered: float
    usual: float


def best_overlaps(boxes: np.ndarray, scale: float, ratio: float) -> np.ndarray:
    """Return the IoU of each box with the anchor of the most similar shape, centres aside.

    Args:
        boxes: ``(m, 2)`` widths and heights in pixels of the input image.
        scale: side of a square anchor, in strides of its map.
        ratio: aspect ratio of the anchors that are not square.
    """
    roots = np.sqrt([1 / ratio, 1.0, ratio])
    sides = scale * np.array(STRIDES, float)
    shapes = np.stack([np.outer(sides, 1 / roots), np.outer(sides, roots)], -1).reshape(-1, 2)
    shared = np.minimum(boxes[:, None], shapes[None]).prod(-1)
    union = boxes.prod(-1)[:, None] + shapes.prod(-1)[None] - shared
    return (shared / union).max(1)


def choose_anchors(boxes: np.ndarray) -> Anchors:
    """Return the anchors that overlap boxes best; the usual ones if others are hardly better."""
    usual = best_overlaps(boxes, *USUAL)
    best, overlaps = USUAL, usual
    for scale in SCALES:
        for ratio in RATIOS:
            candidate = best_overlaps(boxes, scale, ratio)
            if candidate.mean() > max(overlaps.mean(), usual.mean() + GAIN):
                best, overlaps = (scale, ratio), candidate
    return Anchors(*best, _covered(overlaps), _covered(usual))


def _covered(overlaps: np.ndarray) -> float:
    return float((overlaps >= ENOUGH).mean())
