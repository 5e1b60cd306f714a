"""Polygons, holes and masks, and the ways between them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as mask_api

from .samples import Annotation, Box, Ring, tidy


def extent(rings: Sequence[Ring]) -> Box:
    """Return the smallest box around rings: x, y, width, height."""
    x = [value for ring in rings for value in ring[::2]]
    y = [value for ring in rings for value in ring[1::2]]
    return min(x), min(y), tidy(max(x) - min(x)), tidy(max(y) - min(y))


def outer_and_holes(rings: Sequence[Ring]) -> tuple[list[Ring], list[Ring]]:
    """Return the rings of one object that bound it, and those that are holes.

    A ring inside another one would add nothing to the mask, so it means a hole. A ring in a hole
    is an island and bounds the object again.
    """
    depths = [sum(_inside(ring, other) for other in rings if other is not ring) for ring in rings]
    outer = [ring for ring, depth in zip(rings, depths, strict=True) if depth % 2 == 0]
    holes = [ring for ring, depth in zip(rings, depths, strict=True) if depth % 2]
    return outer, holes


def rings_to_write(one: Annotation) -> list[Ring]:
    """Return all rings of an object for formats in which an inner ring means a hole.

    COCO takes the polygons of an object together. There, an inner one adds nothing and is left out.
    """
    if one.holes:
        return [*one.polygons, *one.holes]
    return [
        ring
        for ring in one.polygons
        if not any(_inside(ring, other) for other in one.polygons if other is not ring)
    ]


def _inside(inner: Ring, outer: Ring) -> bool:
    contour = np.array(outer, np.float32).reshape(-1, 1, 2)
    points = np.array(inner, np.float32).reshape(-1, 2).tolist()
    sides = [cv2.pointPolygonTest(contour, point, False) for point in points]
    return min(sides) >= 0 and max(sides) > 0


def circle(x: float, y: float, radius: float, corners: int = 64) -> Ring:
    """Return a circle as a polygon."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)
    return [tidy(value) for value in points.ravel().tolist()]


def rectangle(box: Box) -> Ring:
    """Return a box as a polygon."""
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def mask_of(one: Annotation, width: int, height: int) -> np.ndarray:
    """Return the mask of an object as COCO's tools draw it: (height, width), bool."""
    if one.rle is not None:
        return decode_rle(one.rle)
    if not one.holes:
        return _draw(one.polygons, width, height)
    rings = [*((ring, True) for ring in one.polygons), *((ring, False) for ring in one.holes)]
    mask = np.zeros((height, width), bool)
    # Large rings first: a hole can have an island in it.
    for ring, is_filled in sorted(rings, key=lambda pair: -_area(pair[0])):
        mask[_draw([ring], width, height)] = is_filled
    return mask


def _area(ring: Ring) -> float:
    return cv2.contourArea(np.reshape(ring, (-1, 1, 2)).astype(np.float32))


def _draw(rings: Sequence[Ring], width: int, height: int) -> np.ndarray:
    # COCO's tools can end the process if a corner is very far outside.
    low, high = (-width, -height), (2 * width, 2 * height)
    near = [np.clip(np.reshape(ring, (-1, 2)), low, high).ravel().tolist() for ring in rings]
    runs = mask_api.frPyObjects(near, height, width)
    return mask_api.decode(mask_api.merge(runs)).astype(bool)


def decode_rle(rle: dict[str, Any]) -> np.ndarray:
    """Return the mask of run lengths in COCO's form, compressed or not."""
    if isinstance(rle['counts'], list):
        rle = mask_api.frPyObjects(rle, *rle['size'])
    return mask_api.decode(rle).astype(bool)


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask as run lengths in COCO's form, not compressed."""
    pixels = mask.ravel(order='F')
    starts = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts = np.diff([0, *starts.tolist(), pixels.size]).tolist()
    return {'size': list(mask.shape), 'counts': [0, *counts] if pixels[0] else counts}


def box_of_mask(mask: np.ndarray) -> Box:
    """Return the box around a mask; an empty mask has an empty box."""
    y, x = np.nonzero(mask)
    if not x.size:
        return 0, 0, 0, 0
    left, top = int(x.min()), int(y.min())
    return left, top, int(x.max()) + 1 - left, int(y.max()) + 1 - top


def rings_of_mask(mask: np.ndarray) -> list[Ring]:
    """Return rings near the edges of the pixels of a mask, holes too."""
    # OpenCV's contours pass through the middle of pixels. Each pixel is drawn as 2 x 2, so that
    # they lie only a quarter of a pixel inside the edge.
    padded = np.pad(mask.astype(np.uint8), 1)
    large = np.kron(padded, np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = []
    for contour in contours:
        points = (contour.reshape(-1, 2) + 0.5) / 2 - 1
        if len(points) > 2:
            ring = cv2.approxPolyDP(points.astype(np.float32).reshape(-1, 1, 2), 0.3, True)
            if len(ring) > 2:
                rings.append([tidy(value) for value in ring.ravel().tolist()])
    return rings


def joined(one: Annotation) -> Ring:
    """Return the parts and holes of an object as one ring, for formats that have a single one.

    The rings are joined where they are closest, by a line there and back. It encloses no area.
    """
    rings = [np.reshape(_turned(ring, 1), (-1, 2)) for ring in one.polygons]
    rings += [np.reshape(_turned(ring, -1), (-1, 2)) for ring in one.holes]
    whole = rings[0]
    for ring in rings[1:]:
        distances = ((whole[:, None] - ring[None]) ** 2).sum(2)
        here, there = np.unravel_index(distances.argmin(), distances.shape)
        loop = np.concatenate([ring[there:], ring[: there + 1]])
        whole = np.concatenate([whole[: here + 1], loop, whole[here:]])
    return whole.ravel().tolist()


def _turned(ring: Ring, sign: int) -> Ring:
    """Return a ring whose points go round in the direction of ``sign``."""
    points = list(zip(ring[::2], ring[1::2], strict=True))
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    if sum(x * v - u * y for (x, y), (u, v) in pairs) * sign < 0:
        points.reverse()
    return list(itertools.chain.from_iterable(points))
