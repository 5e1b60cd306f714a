"""Look into images: sizes, brightness, channels, and a small picture to compare them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ....data.checks.image_files import ImageFile, read_images, read_in_threads
from ....data.checks.messages import first_few
from ..finding import ODD, Finding
from .samples import Sample, Split

BATCH = 16
SIDE = 32  # pixels of the small picture
REDUCE = 800  # pixels; larger images are decoded at a quarter of their size
DARK, BRIGHT = 12.0, 243.0  # mean of 0 to 255
BLANK = 3.0  # standard deviation of 0 to 255
LONG = 4.0  # aspect ratio
SMALL = 16.0  # factor between the area of an image and the median


class Look(NamedTuple):
    """What was seen of an image.

    Attributes:
        mode: the mode of PIL, such as 'RGB' or 'L'.
        size: width and height as stored.
        mean: mean brightness, 0 to 255.
        spread: standard deviation of the brightness.
        small: grey picture of 32x32, uint8.
    """

    mode: str
    size: tuple[int, int]
    mean: float
    spread: float
    small: np.ndarray


# What is odd, the way out, and whether it holds: of a look, the median number of pixels of all
# images, and the mode if it is the same in all.
ODDITIES: tuple[tuple[str, str, Callable[[Look, float, str], bool]], ...] = (
    ('are of one colour', 'remove them', lambda look, _, __: look.spread < BLANK),
    (
        'are very dark',
        'look at them',
        lambda look, _, __: look.mean < DARK and look.spread >= BLANK,
    ),
    (
        'are very bright',
        'look at them',
        lambda look, _, __: look.mean > BRIGHT and look.spread >= BLANK,
    ),
    (
        f'are longer than {LONG:g} times their width or height',
        'resizing makes them very narrow: cut them into parts',
        lambda look, _, __: max(look.size) > LONG * min(look.size),
    ),
    (
        'are much smaller than most',
        'they are enlarged; look whether they are thumbnails',
        lambda look, median, _: look.size[0] * look.size[1] * SMALL < median,
    ),
    (
        'are grey, and the others are in colour',
        'they are loaded with three equal channels, which is fine',
        lambda look, _, mode: look.mode in ('L', 'LA', '1') and look.mode != mode,
    ),
    (
        'have an alpha channel',
        'it is dropped when they are loaded: what is transparent becomes visible',
        lambda look, _, __: look.mode in ('RGBA', 'LA', 'PA'),
    ),
    (
        'have more than 8 bits a channel',
        'they lose them when they are loaded: choose the range yourself',
        lambda look, _, __: look.mode.startswith(('I', 'F')),
    ),
)


def look_into(samples: Sequence[Sample]) -> list[Look | None]:
    """Look into images in several threads; None for those that cannot be read."""
    paths = [sample.path for sample in samples]
    return read_in_threads(look, paths, BATCH, f'looking into {len(paths)} images')


def look(path: str) -> Look | None:
    """Decode an image, a large one at a quarter of its size."""
    try:
        with Image.open(path) as file:
            mode, size = file.mode, file.size
    except Exception:  # a damaged file can raise almost anything in PIL; the check names it
        return None
    large = min(size) > REDUCE
    flag = cv2.IMREAD_REDUCED_GRAYSCALE_4 if large else cv2.IMREAD_GRAYSCALE
    try:
        grey = cv2.imread(path, flag)
    except cv2.error:
        return None
    if grey is None:
        return None
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    mean, spread = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    return Look(mode, size, mean, spread, small)


def image_findings(
    split: Split, samples: Sequence[Sample], looks: Sequence[Look | None]
) -> Iterator[Finding]:
    """Yield what is odd about the images of a split."""
    pairs = [
        (sample.path.rpartition('/')[2], seen)
        for sample, seen in zip(samples, looks, strict=True)
        if seen is not None
    ]
    if not pairs:
        return
    median = float(np.median([seen.size[0] * seen.size[1] for _, seen in pairs]))
    everywhere = pairs[0][1].mode if len({seen.mode for _, seen in pairs}) == 1 else ''
    for what, way_out, holds in ODDITIES:
        names = [name for name, seen in pairs if holds(seen, median, everywhere)]
        if names:
            text = f'{len(names)} of {len(pairs)} images {what}: {first_few(names)}'
            yield Finding(ODD, split.where, text, way_out)
    yield from _turned(split, read_images([sample.path for sample in samples]))


def _turned(split: Split, files: dict[str, ImageFile]) -> Iterator[Finding]:
    """Yield images that are turned when they are loaded. Sizes that are swapped are a fault."""
    turned = [path for path, file in files.items() if file.header and file.header.sideways]
    if turned:
        names = [path.rpartition('/')[2] for path in turned]
        yield Finding(
            ODD,
            split.where,
            f'{len(turned)} of {len(files)} images are turned by a quarter when they are loaded '
            f'(EXIF orientation): {first_few(names)}',
            'annotations have to be for the turned image; look at some in the picture',
        )
