"""Read the pixels of label maps: numbers or colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ...errors import UserError
from ..checks.label_files import DAMAGED
from .dataset import Colour
from .samples import UNLABELLED

# A picture with more colours is a photo. The number only bounds the memory.
MAX_COLOURS = 4096


class LabelFile(NamedTuple):
    """What a label map holds.

    Attributes:
        fault: why it cannot be used, or None.
        size: width and height.
        values: the numbers that occur, if it holds numbers.
        colours: the colours that occur, if it holds colours.
        palette: the colours that the file itself gives to numbers.
    """

    fault: str | None = None
    size: tuple[int, int] = (0, 0)
    values: tuple[int, ...] = ()
    colours: tuple[Colour, ...] | None = None
    palette: tuple[Colour, ...] | None = None

    @property
    def is_photo(self) -> bool:
        """Whether it has more colours than any label map."""
        return bool(self.fault) and 'like a photo' in str(self.fault)


def look_at_labels(path: Path) -> LabelFile:
    """Return what a label map holds."""
    try:
        pixels, palette = _load(path)
    except Exception:  # a damaged file can raise almost anything in PIL
        return LabelFile(DAMAGED)
    size = (pixels.shape[1], pixels.shape[0])
    if pixels.ndim == 2:
        values = tuple(np.unique(pixels).tolist())
        if values[0] < 0 or values[-1] > UNLABELLED:
            return LabelFile(f'has the value {values[-1]}; 0 to 255 are allowed', size)
        return LabelFile(None, size, values, None, palette)
    codes = np.unique(_codes(pixels))
    if len(codes) > MAX_COLOURS:
        return LabelFile(f'has {len(codes)} colours, like a photo', size)
    colours = tuple((c >> 16, c >> 8 & 255, c & 255) for c in codes.tolist())
    return LabelFile(None, size, (), colours)


def _load(path: Path) -> tuple[np.ndarray, tuple[Colour, ...] | None]:
    """Return numbers (H, W) or colours (H, W, 3), and the palette of the file."""
    with Image.open(path) as image:
        if image.mode == 'P':
            flat = image.getpalette() or []
            return np.asarray(image), tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        if image.mode in ('1', 'L') or image.mode.startswith('I'):
            return np.asarray(image).astype(np.int32), None
        pixels = np.asarray(image.convert('RGB'))
    if (pixels == pixels[..., :1]).all():  # numbers that were saved as three equal channels
        return pixels[..., 0], None
    return pixels, None


def _codes(pixels: np.ndarray) -> np.ndarray:
    wide = pixels.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


@dataclass
class Decoder:
    """Reads a label map as class indexes, 255 where nothing is labelled.

    Attributes:
        values: the class index of each number.
        colours: the class index of each colour.
    """

    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)

    def __call__(self, path: Path) -> np.ndarray:
        try:
            pixels, palette = _load(path)
        except OSError as error:
            raise UserError(f'label map {path} cannot be read') from error
        if self.colours and palette:
            pixels = np.array(palette, np.uint8)[pixels]
        if pixels.ndim == 2 and self.colours:  # colours, but only grey ones in this file
            pixels = np.repeat(pixels[..., None], 3, 2)
        if pixels.ndim == 2:
            table = np.full(256, UNLABELLED, np.uint8)
            for value, index in self.values.items():
                table[value] = index
            return table[pixels]
        codes, places = np.unique(_codes(pixels), return_inverse=True)
        table = [
            self.colours.get((c >> 16, c >> 8 & 255, c & 255), UNLABELLED) for c in codes.tolist()
        ]
        return np.array(table, np.uint8)[places].reshape(pixels.shape[:2])


def voc_palette(count: int) -> list[Colour]:
    """Return the first colours of VOC: the bits of the number, spread over red, green and blue.

    Example:
        >>> voc_palette(3)
        [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    """
    colours = []
    for number in range(count):
        colour, rest = [0, 0, 0], number
        for bit in range(7, -1, -1):
            for channel in range(3):
                colour[channel] |= (rest >> channel & 1) << bit
            rest >>= 3
        colours.append((colour[0], colour[1], colour[2]))
    return colours
