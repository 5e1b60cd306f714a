"""Groups of images that resemble each other: copies, bursts, frames of a video, one scene.

If one of them is in train and another in val, the results look better than they are. Each image
is reduced to a small grey thumbnail. Two images are joined if their thumbnails are nearly equal, or
if they follow each other in a sequence of names and their thumbnails are alike.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ...errors import UserError
from ..checks.image_files import read_in_threads

SIDE = 16  # of a thumbnail
BAND = 16  # bits of the hash that candidates share
ROWS = 512  # images that are compared at once
EQUAL = 0.97  # correlation of thumbnails of near-duplicates
ALIKE = 0.85  # the same for neighbours in a sequence
NEIGHBOURS = 3  # images that follow an image, which are compared with it
FLAT = 2.0  # grey levels of contrast below which a thumbnail says nothing
_NUMBERED = re.compile(r'^(.*?)(\d+)(\D*)$')
_BATCH = 64


def groups_of(paths: Sequence[Path]) -> list[list[int]]:
    """Return groups of indexes; an image that resembles no other is a group of its own."""
    thumbnails = np.array(read_in_threads(_thumbnail, paths, _BATCH, 'comparing images'))
    flat = thumbnails.reshape(len(paths), -1)
    contrast = flat.std(1, keepdims=True)
    is_plain = contrast[:, 0] < FLAT  # these have no structure to compare
    patterns = (flat - flat.mean(1, keepdims=True)) / np.maximum(contrast, FLAT) / SIDE
    parents = list(range(len(paths)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    pairs = [*_equal(patterns, thumbnails, np.flatnonzero(~is_plain))]
    pairs += [*_equally_grey(flat, np.flatnonzero(is_plain))]
    for one, other in _neighbours(paths):
        if patterns[one] @ patterns[other] >= ALIKE and not (is_plain[one] or is_plain[other]):
            pairs.append((one, other))
    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(paths)):
        groups[root(index)].append(index)
    return list(groups.values())


def _thumbnail(path: Path) -> np.ndarray:
    data = np.fromfile(path, np.uint8)
    # Large JPEGs are decoded at an eighth of their size, which is much quicker.
    pixels = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if pixels is None or min(pixels.shape) < 2 * SIDE:
        pixels = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise UserError(f'image {path} cannot be read; get it again, or take it out of the data')
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)


def _equal(
    patterns: np.ndarray, thumbnails: np.ndarray, indexes: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Yield pairs of near-duplicates.

    Only images that share a part of their hash are compared, because all pairs would be too many.
    A bit of the hash says whether a part of the image is brighter than the part beside it.
    """
    half = SIDE // 2
    small = thumbnails[indexes].reshape(len(indexes), half, 2, half, 2).mean((2, 4))
    brighter = np.stack([np.roll(small, -1, axis) > small for axis in (1, 2)], 1)
    bits = brighter.reshape(len(indexes), 2 * half * half)
    for start in range(0, bits.shape[1], BAND):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for index, key in zip(
            indexes.tolist(), np.packbits(bits[:, start : start + BAND], axis=1), strict=True
        ):
            buckets[key.tobytes()].append(index)
        for bucket in buckets.values():
            for place in range(0, len(bucket), ROWS):
                rows = bucket[place : place + ROWS]
                likeness = patterns[rows] @ patterns[bucket].T
                for row, column in np.argwhere(likeness >= EQUAL).tolist():
                    if rows[row] < bucket[column]:
                        yield rows[row], bucket[column]


def _equally_grey(flat: np.ndarray, indexes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs of plain images of one grey."""
    ordered = indexes[np.argsort(flat[indexes].mean(1), kind='stable')]
    for one, other in itertools.pairwise(ordered.tolist()):
        if np.abs(flat[one] - flat[other]).max() < FLAT:
            yield one, other


def _neighbours(paths: Sequence[Path]) -> Iterator[tuple[int, int]]:
    """Yield pairs that follow each other in names such as ``frame_0001.jpg``."""
    sequences: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for index, path in enumerate(paths):
        if match := _NUMBERED.match(path.stem):
            key = (str(path.parent), match[1], match[3])
            sequences[key].append((int(match[2]), index))
    for members in sequences.values():
        ordered = [index for _, index in sorted(members)]
        for place, one in enumerate(ordered):
            for other in ordered[place + 1 : place + 1 + NEIGHBOURS]:
                yield one, other
