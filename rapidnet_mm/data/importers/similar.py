"""Groups of images that resemble each other: copies, bursts, frames of a video, one scene.

If one of them is in train and another in val, the results look better than they are. Each image
is reduced to a small grey thumbnail. Two images are joined if their thumbnails are nearly equal, or
if they follow each other in a sequence of names and their thumbnails are alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..checks.image_files import read_in_threads

SIDE = 16  # of a thumbnail
BAND = 16  # bits of the hash that candidates share
BUCKET = 50  # members of a bucket that each other member is compared with
EQUAL = 0.97  # correlation of thumbnails of near-duplicates
ALIKE = 0.85  # the same for neighbours in a sequence
NEIGHBOURS = 3  # images that follow an image, which are compared with it
FLAT = 2.0  # grey levels of contrast below which a thumbnail says nothing
_NUMBERED = re.compile(r'^(.*?)(\d+)(\D*)$')
_BATCH = 64


def groups_of(paths: Sequence[Path]) -> list[list[int]]:
    """Return groups of indexes; an image that resembles no other is a group of its own."""
    thumbnails = np.array(read_in_threads(_thumbnail, paths, _BATCH, 'comparing images'))
    parents = list(range(len(paths)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for pairs, least in ((_candidates(thumbnails), EQUAL), (_neighbours(paths), ALIKE)):
        for one, other in pairs:
            if root(one) != root(other) and _likeness(thumbnails[one], thumbnails[other]) >= least:
                parents[max(root(one), root(other))] = min(root(one), root(other))
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
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two thumbnails, from -1 to 1."""
    a, b = one - one.mean(), other - other.mean()
    if min(a.std(), b.std()) < FLAT:  # plain pictures have no structure to compare
        return float(np.abs(one - other).max() < FLAT)
    return float((a * b).mean() / (a.std() * b.std()))


def _candidates(thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs that share a part of their hash, so that not all pairs are compared."""
    small = thumbnails.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean((2, 4))
    wide = np.concatenate([small, small[:, :, :1]], 2)
    tall = np.concatenate([small, small[:, :1]], 1)
    bits = np.concatenate(
        [
            (np.diff(wide, axis=2) > 0).reshape(len(small), -1),
            (np.diff(tall, axis=1) > 0).reshape(len(small), -1),
        ],
        1,
    )
    for start in range(0, bits.shape[1], BAND):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for index, key in enumerate(np.packbits(bits[:, start : start + BAND], axis=1)):
            buckets[key.tobytes()].append(index)
        for bucket in buckets.values():
            for place, other in enumerate(bucket):
                for one in bucket[: min(place, BUCKET)]:
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
