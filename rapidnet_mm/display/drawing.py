"""Pictures of label maps: colours over the image, panels side by side, a legend below."""

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

OPACITY = 0.75  # of the colours, so that the image shows through
GAP = 6  # px between panels
UNLABELLED: Colour = (30, 30, 30)
FONT_SIZES = 13, 30  # px, smallest and largest
GOLDEN = 0.618034  # step of hue (golden ratio): any number of steps gives distinct hues


class Panel(NamedTuple):
    """A title, and a ``(H, W, 3)`` uint8 RGB image under it."""

    title: str
    pixels: np.ndarray


def palette_of(meta: Mapping[str, Any]) -> list[Colour]:
    """Return a colour for each class: those of the data set if it has any, else distinct ones."""
    count = len(meta['classes'])
    palette = meta.get('palette') or ()
    if len(palette) == count:
        return [tuple(map(int, colour)) for colour in palette]
    shades = [(0.9, 0.95), (0.6, 0.75), (0.45, 1.0)]
    colours = [colorsys.hsv_to_rgb(k * GOLDEN % 1, *shades[k % 3]) for k in range(count)]
    return [tuple(round(255 * channel) for channel in colour) for colour in colours]


def paint(image: np.ndarray, labels: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Colour an image by its labels; a pixel whose label is not a class becomes nearly black.

    Shape: image ``(H, W, 3)`` uint8 RGB, labels ``(H, W)`` integers -> ``(H, W, 3)`` uint8 RGB.
    """
    table = np.array([*palette, UNLABELLED], np.float32)
    colours = table[np.where((labels >= 0) & (labels < len(palette)), labels, len(palette))]
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    return (OPACITY * colours + (1 - OPACITY) * grey).round().astype(np.uint8)


def legend_of(
    maps: Sequence[np.ndarray], classes: Sequence[str], palette: Sequence[Colour]
) -> list[tuple[str, Colour]]:
    """Return name and colour of the classes that occur in label maps, the largest first."""
    values, counts = np.unique(np.concatenate([m.ravel() for m in maps]), return_counts=True)
    order = values[np.argsort(-counts, kind='stable')]
    legend = [(classes[v], palette[v]) for v in order if 0 <= v < len(classes)]
    if len(legend) < len(values):
        legend.append(('not labelled', UNLABELLED))
    return legend


def compose(
    panels: Sequence[Panel], legend: Sequence[tuple[str, Colour]], font_size: int | None = None
) -> np.ndarray:
    """Put panels of one size side by side, with titles above and the legend below them.

    The picture is as wide as the panels, or wider if a name in the legend needs it.

    Args:
        panels: what stands side by side.
        legend: names and their colours.
        font_size: in pixels; by default it fits the panels.

    Returns:
        A ``(H, W, 3)`` uint8 RGB image.
    """
    height, width = panels[0].pixels.shape[:2]
    font = font_of(font_size or int(np.clip(height / 20, *FONT_SIZES)))
    line = round(1.6 * font.size)
    entry_widths = [round(font.getlength(name)) + 3 * line for name, _ in legend]
    total_width = max([len(panels) * width + (len(panels) - 1) * GAP, *entry_widths])
    places, rows = flow(entry_widths, total_width)
    canvas = Image.new(
        'RGB', (total_width, line + height + rows * line + (GAP if rows else 0)), 'white'
    )
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


def flow(entry_widths: Sequence[int], width: int) -> tuple[list[tuple[int, int]], int]:
    """Place entries in rows of a width; return (x, row) of each, and the number of rows."""
    places, x, row = [], 0, 0
    for size in entry_widths:
        if x and x + size > width:
            x, row = 0, row + 1
        places.append((x, row))
        x += size
    return places, row + 1 if places else 0


@cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of all pictures in a size in pixels."""
    # Matplotlib's own font, which has the letters of most languages.
    return ImageFont.truetype(Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf'), size)
