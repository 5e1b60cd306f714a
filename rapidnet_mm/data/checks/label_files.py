"""What is in images and their label images: one pass over the files, and a memory of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from .image_files import THREADS, find_fault, note, recall, with_progress

CHECKS = 1  # counted up when more is looked at, so that old notes no longer count
BATCH = 16  # pairs a task
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF: the picture lies on its side

Size = tuple[int, int]  # width, height


class Pair(NamedTuple):
    """What was found in an image and in its label image.

    Attributes:
        image_fault: what makes the image unusable, or None.
        label_fault: what makes the label image unusable, or None.
        image_size: width and height as the image is loaded, None where that is not known.
        label_size: width and height of the label image.
        values: the label values that occur, each once.
    """

    image_fault: str | None = None
    label_fault: str | None = None
    image_size: Size | None = None
    label_size: Size | None = None
    values: tuple[int, ...] = ()


def read_pairs(pairs: Sequence[tuple[str, str]]) -> list[Pair]:
    """Look into images and their label images, in parallel.

    What was seen of a pair is remembered and holds until one of its files changes; only pairs that
    are new or changed are read.

    Args:
        pairs: paths of an image and of its label image.
    """
    folders = sorted({os.path.dirname(path) for pair in pairs for path in pair})
    subject = '\n'.join([f'pairs {CHECKS}', *folders])
    known = recall(subject) or {}
    states = [[_state(path) for path in pair] for pair in pairs]
    keys = ['\n'.join(pair) for pair in pairs]
    fresh = [
        index
        for index, (key, state) in enumerate(zip(keys, states, strict=True))
        if None in state or known.get(key, [None])[0] != state
    ]
    for index, pair in zip(fresh, _read(pairs[index] for index in fresh), strict=True):
        known[keys[index]] = [states[index], *pair]
    if fresh:
        note(subject, known)
    return [Pair(*known[key][1:]) for key in keys]


def _state(path: str) -> list[int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _read(pairs: Iterable[tuple[str, str]]) -> list[Pair]:
    pairs = list(pairs)
    batches = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
    found = []
    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(lambda batch: [read_pair(*pair) for pair in batch], batches)
        for batch in with_progress(done, len(batches), f'reading {len(pairs)} label images'):
            found += batch
    return found


def read_pair(image: str, label: str) -> Pair:
    """Look into an image, without decoding it, and into its label image, see :class:`Pair`."""
    image_fault = find_fault(image)
    seen = Pair(image_fault=image_fault, image_size=None if image_fault else _size(image))
    try:
        if not os.path.getsize(label):
            return seen._replace(label_fault='empty')
        with Image.open(label) as file:
            if fault := _mode_fault(file.mode):
                return seen._replace(label_fault=fault)
            pixels = np.asarray(file)
    except FileNotFoundError:
        return seen._replace(label_fault='missing')
    except Exception:  # PIL fails in many ways, all of them the file's
        return seen._replace(label_fault='damaged or not an image')
    height, width = pixels.shape
    return seen._replace(label_size=(width, height), values=tuple(_values(pixels)))


def _mode_fault(mode: str) -> str | None:
    if mode in ('1', 'L', 'P') or mode.startswith('I'):  # of a palette the indices are the labels
        return None
    return 'stored as numbers with a fraction' if mode == 'F' else f'stored as {mode}'


def _values(pixels: np.ndarray) -> list[int]:
    if pixels.dtype != np.uint8:
        return np.unique(pixels.astype(np.int64)).tolist()
    # A histogram, without the eightfold memory of NumPy's
    return np.flatnonzero(cv2.calcHist([pixels], [0], None, [256], [0, 256])).tolist()


def _size(path: str) -> Size | None:
    """Width and height as the image is loaded, turned as its EXIF orientation says."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.format == 'JPEG' and image.getexif().get(ORIENTATION) in SIDEWAYS
    except Exception:  # a format that OpenCV reads and PIL does not
        return None
    return (height, width) if turned else (width, height)
