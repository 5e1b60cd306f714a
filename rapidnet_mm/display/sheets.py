"""Contact sheets: pages of small pictures, each with its objects or labels and a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .drawing import GAP, Colour, flow, font_of, legend_of, paint, palette_of
from .overlay import draw_objects

SIDE = 360  # px, the longer side of a picture on the sheet
FONT = 14  # px, of the captions
FRAME: Colour = (255, 0, 255)  # around the image, where padding follows


@dataclass
class View:
    """One image as a model sees it.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB, with padding.
        size: height and width without the padding.
        caption: lines below the picture.
        boxes: ``(K, 4)`` as x1, y1, x2, y2; None if the task has none.
        texts: a name for each box.
        classes: a class for each box; -1 if the training leaves it out.
        masks: ``(K, H, W)`` bool, or None.
        labels: a label map ``(H, W)``, or None.
    """

    image: np.ndarray
    size: tuple[int, int]
    caption: list[str]
    boxes: np.ndarray | None = None
    texts: list[str] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    masks: np.ndarray | None = None
    labels: np.ndarray | None = None


def contact_sheet(
    views: Sequence[View | None], meta: Mapping[str, Any], columns: int = 4
) -> np.ndarray:
    """Return a page with pictures in rows; a legend below explains label maps.

    Args:
        views: one for each place; None leaves it empty.
        meta: ``classes``, and ``palette`` if there is one.
        columns: pictures in a row.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    palette = palette_of(meta)
    cells = [None if view is None else _cell(view, palette) for view in views]
    maps = [view.labels for view in views if view is not None and view.labels is not None]
    width = max(cell.width for cell in cells if cell is not None)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max([c.height for c in row if c is not None], default=0) for row in rows]
    columns = min(columns, len(cells))
    page = Image.new(
        'RGB', (columns * (width + GAP) + GAP, sum(heights) + (len(rows) + 1) * GAP), 'white'
    )
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            if cell is not None:
                page.paste(cell, (GAP + column * (width + GAP), top))
        top += height + GAP
    if maps:
        page = _with_legend(page, legend_of(maps, meta['classes'], palette))
    return np.asarray(page)


def _with_legend(page: Image.Image, entries: Sequence[tuple[str, Colour]]) -> Image.Image:
    """Return a page with names and colours below it."""
    font = font_of(FONT)
    line = round(1.6 * FONT)
    places, rows = flow(
        [round(font.getlength(name)) + 3 * line for name, _ in entries], page.width - GAP
    )
    longer = Image.new('RGB', (page.width, page.height + rows * line + GAP), 'white')
    longer.paste(page)
    draw = ImageDraw.Draw(longer)
    for (name, colour), (x, row) in zip(entries, places, strict=True):
        left, top = GAP + x, page.height + row * line
        draw.rectangle((left, top + 3, left + line, top + line - 3), colour, outline='black')
        draw.text((left + line + line // 3, top + line // 2), name, 'black', font, anchor='lm')
    return longer


def _cell(view: View, palette: Sequence[Colour]) -> Image.Image:
    """Return the picture of a view with its caption."""
    scale = SIDE / max(view.image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in view.image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST  # pixels stay pixels
    picture = cv2.resize(view.image, (width, height), interpolation=way)
    panels = [picture]
    if view.boxes is not None:
        panels = [_with_objects(view, picture, scale, palette)]
    elif view.labels is not None:
        labels = _resized(view.labels, picture)
        panels.append(paint(picture, labels, palette))
    for panel in panels:
        _mark_padding(panel, view, scale)
    font = font_of(FONT)
    line = round(1.4 * FONT)
    full = sum(panel.shape[1] for panel in panels)
    cell = Image.new('RGB', (full, height + len(view.caption) * line), 'white')
    left = 0
    for panel in panels:
        cell.paste(Image.fromarray(panel), (left, 0))
        left += panel.shape[1]
    draw = ImageDraw.Draw(cell)
    for number, text in enumerate(view.caption):
        draw.text(
            (0, height + number * line + line // 2), _fitting(text, full), 'black', font, 'lm'
        )
    return cell


def _with_objects(
    view: View, picture: np.ndarray, scale: float, palette: Sequence[Colour]
) -> np.ndarray:
    colours = [palette[label] if label >= 0 else (160, 160, 160) for label in view.classes]
    masks = None
    if view.masks is not None:
        masks = [_resized(mask.astype(np.uint8), picture) > 0 for mask in view.masks]
    return draw_objects(picture, view.boxes * scale, view.texts, colours, masks)


def _resized(labels: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return a map of classes at the size of a picture."""
    size = picture.shape[1::-1]
    kind = labels.dtype
    return cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST).astype(kind)


def _mark_padding(panel: np.ndarray, view: View, scale: float) -> None:
    """Draw a frame around the image, if there is padding on its right or below."""
    if tuple(view.size) != view.image.shape[:2]:
        height, width = (round(side * scale) - 1 for side in view.size)
        cv2.rectangle(panel, (0, 0), (width, height), FRAME, 1)


def _fitting(text: str, width: int) -> str:
    """Return a text, or as much of its end as has room."""
    font = font_of(FONT)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f'…{text}') > width:
        text = text[1:]
    return f'…{text}'
