"""Label maps for people: colours over the image, side by side, with a legend below."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]  # RGB, 0 to 255

OPACITY = 0.75  # of the colours: the image still shows where things are
GAP = 6  # px between panels
UNLABELLED: Colour = (30, 30, 30)
FONT_SIZES = 13, 30  # px, the least that is readable and the largest
GOLDEN = 0.618034  # steps round the circle of hues that never come close to each other again


class Panel(NamedTuple):
    """A title and a ``(H, W, 3)`` uint8 RGB image under it."""

    title: str
    pixels: np.ndarray


def palette_of(meta: Mapping[str, Any]) -> list[Colour]:
    """One colour for each class: those of the data set, or else distinct ones."""
    count = len(meta['classes'])
    given = meta.get('palette') or ()
    if len(given) == count:
        return [tuple(map(int, colour)) for colour in given]
    shades = [(0.9, 0.95), (0.6, 0.75), (0.45, 1.0)]
    colours = [colorsys.hsv_to_rgb(k * GOLDEN % 1, *shades[k % 3]) for k in range(count)]
    return [tuple(round(255 * channel) for channel in colour) for colour in colours]


def paint(image: np.ndarray, labels: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Colour an image by its labels; pixels whose label is no class turn nearly black.

    Shape: image ``(H, W, 3)`` uint8 RGB, labels ``(H, W)`` integers -> ``(H, W, 3)`` uint8 RGB.
    """
    table = np.array([*palette, UNLABELLED], np.float32)
    colours = table[np.where((labels >= 0) & (labels < len(palette)), labels, len(palette))]
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    return (OPACITY * colours + (1 - OPACITY) * grey).round().astype(np.uint8)


def legend_of(
    maps: Sequence[np.ndarray], classes: Sequence[str], palette: Sequence[Colour]
) -> list[tuple[str, Colour]]:
    """Name and colour of the classes that occur in label maps, the largest first."""
    values, counts = np.unique(np.concatenate([m.ravel() for m in maps]), return_counts=True)
    order = values[np.argsort(-counts, kind='stable')]
    named = [(classes[v], palette[v]) for v in order if 0 <= v < len(classes)]
    return named + [('not labelled', UNLABELLED)] * (len(named) < len(values))


def compose(panels: Sequence[Panel], legend: Sequence[tuple[str, Colour]]) -> np.ndarray:
    """Panels of one size side by side, titles above and the legend below them, RGB.

    The picture is as wide as the panels, or as the longest name of the legend needs.
    """
    height, width = panels[0].pixels.shape[:2]
    font = _font(int(np.clip(height / 20, *FONT_SIZES)))
    line = round(1.6 * font.size)
    wide = len(panels) * width + (len(panels) - 1) * GAP
    sizes = [round(font.getlength(name)) + 3 * line for name, _ in legend]
    wide = max([wide, *sizes])
    places, rows = _flow(sizes, wide)
    canvas = Image.new('RGB', (wide, line + height + rows * line + (GAP if rows else 0)), 'white')
    draw = ImageDraw.Draw(canvas)
    for index, panel in enumerate(panels):
        left = index * (width + GAP)
        draw.text((left + GAP, line // 2), panel.title, 'black', font, anchor='lm')
        canvas.paste(Image.fromarray(panel.pixels), (left, line))
    for (name, colour), (x, row) in zip(legend, places, strict=True):
        y = line + height + GAP + row * line
        box = (x + GAP, y + line // 6, x + GAP + line, y + line - line // 6)
        draw.rectangle(box, colour, outline='black')
        draw.text((x + GAP + line + line // 3, y + line // 2), name, 'black', font, anchor='lm')
    return np.asarray(canvas)


def _flow(sizes: Sequence[int], width: int) -> tuple[list[tuple[int, int]], int]:
    """Place entries of some widths in rows; returns (x, row) of each, and the number of rows."""
    places, x, row = [], 0, 0
    for size in sizes:
        if x and x + size > width:
            x, row = 0, row + 1
        places.append((x, row))
        x += size
    return places, row + 1 if places else 0


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Matplotlib brings a font along that has the letters of most languages.
    return ImageFont.truetype(Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf'), size)
