"""Draw objects, label maps and classes over an image, at the image's own size, and quickly."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .drawing import Colour, font_of, legend_of, paint
from .results import Classification, Detections, Segmentation

MASK_OPACITY = 0.5
LIGHT = 140  # on a brighter colour, text is black
FONT_SHARE = 1 / 28  # of the height of the image
FONT_SIZES = 10, 32  # px, smallest and largest


def draw_result(
    image: np.ndarray,
    result: Detections | Segmentation | Classification,
    palette: Sequence[Colour],
    score_thr: float = 0.3,
) -> np.ndarray:
    """Return an image with a result drawn on it: boxes and masks, a label map, or classes.

    Shape: ``(H, W, 3)`` uint8 RGB -> the same.
    """
    if isinstance(result, Classification):
        return draw_legend(image, result.legend(palette))
    if isinstance(result, Segmentation):
        legend = legend_of([result.labels], result.classes, palette)
        return draw_legend(paint(image, result.labels, palette), legend)
    # Good objects come last, so that no other covers them.
    chosen = np.flatnonzero(result.scores >= score_thr)[::-1]
    return draw_objects(
        image,
        result.boxes[chosen],
        [f'{result.classes[result.labels[k]]} {result.scores[k]:.2f}' for k in chosen],
        [palette[result.labels[k]] for k in chosen],
        None if result.masks is None else result.masks[chosen],
    )


def draw_objects(
    image: np.ndarray,
    boxes: np.ndarray,
    texts: Sequence[str],
    colours: Sequence[Colour],
    masks: Sequence[np.ndarray] | None = None,
) -> np.ndarray:
    """Return an image with boxes, a text at each, and masks.

    Shape: image ``(H, W, 3)`` uint8 RGB, boxes ``(K, 4)`` as x1, y1, x2, y2,
    masks K times ``(H, W)``.
    """
    image = image.copy()
    for mask, colour in zip(masks if masks is not None else (), colours, strict=False):
        _blend(image, np.asarray(mask, bool), colour)
    height, width = image.shape[:2]
    thickness = max(1, round(min(height, width) / 250))
    corners = np.clip(np.nan_to_num(boxes), -1, max(height, width)).round().astype(int)
    for (left, top, right, bottom), colour in zip(corners.tolist(), colours, strict=True):
        cv2.rectangle(image, (left, top), (right, bottom), colour, thickness)
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    font = font_of(_font_size(height))
    for (left, top, _, _), text, colour in zip(corners.tolist(), texts, colours, strict=True):
        text_width, line = round(font.getlength(text)) + 4, round(1.3 * font.size)
        left = max(0, min(left, width - text_width))
        # Above the box, or inside where there is no room.
        top = max(0, min(top - line if top >= line else top, height - line))
        draw.rectangle((left, top, left + text_width, top + line), colour)
        draw.text((left + 2, top + line // 2), text, _ink(colour), font, anchor='lm')
    return np.array(canvas)


def draw_legend(image: np.ndarray, entries: Sequence[tuple[str, Colour]]) -> np.ndarray:
    """Return an image with names and colours in its upper left corner, as many as have room."""
    height, width = image.shape[:2]
    font = font_of(_font_size(height))
    line = round(1.4 * font.size)
    entries = entries[: max(1, height // line)]
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    widest = max((font.getlength(name) for name, _ in entries), default=0)
    draw.rectangle((0, 0, min(width, round(widest) + 2 * line), len(entries) * line), 'white')
    for row, (name, colour) in enumerate(entries):
        top = row * line
        draw.rectangle((3, top + 3, line, top + line - 3), colour, outline='black')
        draw.text((round(1.4 * line), top + line // 2), name, 'black', font, anchor='lm')
    return np.array(canvas)


def _blend(image: np.ndarray, mask: np.ndarray, colour: Colour) -> None:
    """Colour the pixels of a mask, in place."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = mask[part]
    mixed = (1 - MASK_OPACITY) * image[part][inside] + MASK_OPACITY * np.array(colour)
    image[part][inside] = mixed.round().astype(np.uint8)


def _font_size(height: int) -> int:
    return int(np.clip(height * FONT_SHARE, *FONT_SIZES))


def _ink(colour: Colour) -> str:
    """Return the colour of text that can be read on a colour."""
    red, green, blue = colour
    return 'black' if 0.3 * red + 0.59 * green + 0.11 * blue > LIGHT else 'white'
