"""Pictures of objects: boxes, masks and names over an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .drawing import Colour, font_of

MASK_OPACITY = 0.45
FONT_SHARE = 1 / 30  # of the mean side of a picture


def draw_objects(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    colours: Sequence[Colour],
    masks: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Draw boxes with names, and masks under them. The first objects come out on top.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        boxes: ``(K, 4)``, x1, y1, x2, y2 in pixels.
        names: the text of each box.
        colours: the colour of each object.
        masks: none, or ``(H, W)`` bool for each object.

    Returns:
        A new image of the same shape.
    """
    pixels = image.astype(np.float32)
    for mask, colour in reversed([*zip(masks, colours, strict=False)]):
        pixels[mask] = (1 - MASK_OPACITY) * pixels[mask] + MASK_OPACITY * np.float32(colour)
    picture = Image.fromarray(pixels.round().astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    height, width = image.shape[:2]
    font = font_of(max(9, round((height + width) / 2 * FONT_SHARE)))
    line = max(1, round(min(height, width) / 200))
    for box, name, colour in reversed([*zip(boxes, names, colours, strict=True)]):
        x1, y1, x2, y2 = (float(v) for v in box)
        corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        draw.rectangle(corners, outline=tuple(colour), width=line)
        _write(draw, (corners[0], corners[1]), name, colour, font, width)
    return np.asarray(picture)


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    name: str,
    colour: Colour,
    font: object,
    width: int,
) -> None:
    """Write a name on a ground of its colour: above the place, inside the picture."""
    if not name:
        return
    left, top, right, bottom = draw.textbbox((0, 0), name, font=font)
    x = max(0.0, min(place[0], width - (right - left) - 4))
    y = max(0.0, place[1] - (bottom - top) - 4)
    draw.rectangle((x, y, x + right - left + 4, y + bottom - top + 4), fill=tuple(colour))
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    draw.text((x + 2 - left, y + 2 - top), name, 'black' if bright else 'white', font=font)
