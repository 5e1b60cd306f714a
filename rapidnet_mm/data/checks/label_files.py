"""What do images and their label images hold? Each pair of files is read once and noted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from .image_files import look_at, read_in_threads, state_of, too_large
from .notes import read_note, write_note

VERSION = 2  # raise it when more is read of a pair: older notes then do not count
BATCH = 16  # pairs that a thread reads before it reports
DAMAGED = 'damaged or not an image'

Size = tuple[int, int]  # width, height


class Pair(NamedTuple):
    """What an image and its label image hold.

    Attributes:
        image_fault: why the image cannot be used, or None.
        label_fault: why the label image cannot be used, or None.
        image_size: width and height of the image as it is loaded, None if that is not clear.
        label_size: width and height of the label image.
        values: the label values that occur, each once.
    """

    image_fault: str | None = None
    label_fault: str | None = None
    image_size: Size | None = None
    label_size: Size | None = None
    values: tuple[int, ...] = ()


def read_pairs(paths: Sequence[tuple[str, str]]) -> list[Pair]:
    """Read images and their label images, in several threads.

    A note keeps the result for each pair. Only pairs that are new or have changed are read.

    Args:
        paths: the paths of an image and of its label image, for each pair.
    """
    folders = sorted({os.path.dirname(path) for pair in paths for path in pair})
    subject = '\n'.join([f'pairs {VERSION}', *folders])
    notes = read_note(subject) or {}
    states = [[state_of(path) for path in pair] for pair in paths]
    keys = ['\n'.join(pair) for pair in paths]
    changed = [
        index
        for index, (key, state) in enumerate(zip(keys, states, strict=True))
        if None in state or notes.get(key, [None])[0] != state
    ]
    pairs = read_in_threads(
        lambda pair: read_pair(*pair),
        [paths[index] for index in changed],
        BATCH,
        f'reading {len(changed)} label images',
    )
    for index, pair in zip(changed, pairs, strict=True):
        notes[keys[index]] = [states[index], *pair]
    if changed:
        write_note(subject, notes)
    return [Pair(*notes[key][1:]) for key in keys]


def read_pair(image: str, label: str) -> Pair:
    """Read an image, without decoding it, and its label image."""
    seen = look_at(image)
    size = seen.header.loaded_size if seen.header else None
    pair = Pair(image_fault=seen.fault, image_size=size)
    labels = look_at(label)
    if labels.fault:
        damaged = labels.fault.startswith(('damaged', 'truncated', 'not an image'))
        return pair._replace(label_fault=DAMAGED if damaged else labels.fault)
    try:
        with Image.open(label) as file:
            if fault := _mode_fault(file):
                return pair._replace(label_fault=fault)
            pixels = np.asarray(file)
    except Image.DecompressionBombError:  # MMSegmentation loads labels with PIL too
        width, height = labels.header[:2] if labels.header else (0, 0)
        fault = too_large(width, height, 2 * Image.MAX_IMAGE_PIXELS, 'of PIL for label images')
        return pair._replace(label_fault=fault)
    except Exception:  # a damaged file can raise almost anything in PIL
        return pair._replace(label_fault=DAMAGED)
    height, width = pixels.shape
    return pair._replace(label_size=(width, height), values=tuple(_values(pixels)))


def _mode_fault(file: Image.Image) -> str | None:
    """Return why the pixels are not the labels, or None."""
    mode = file.mode
    bits = [part for part in (';2', ';4') if file.tile and part in str(file.tile[0].args)]
    if mode == 'L' and bits:  # PIL stretches them to 0 to 255; indices into a palette stay
        return f'stored with {bits[0][1]} bits a pixel, which are loaded as other values (use 8)'
    if mode in ('1', 'L', 'P') or mode.startswith('I'):  # P: the indices into the palette count
        return None
    return 'stored as numbers with a fraction' if mode == 'F' else f'stored as {mode}'


def _values(pixels: np.ndarray) -> list[int]:
    if pixels.dtype != np.uint8:
        return np.unique(pixels.astype(np.int64)).tolist()
    # NumPy's histogram would need eight times the memory of the image.
    return np.flatnonzero(cv2.calcHist([pixels], [0], None, [256], [0, 256])).tolist()
