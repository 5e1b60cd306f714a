"""A picture of receptive fields: one row per model, one column per output."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Square(NamedTuple):
    """The content of one panel.

    Attributes:
        stride: stride of the output.
        gradient: ``(H, W)``, how much each pixel matters.
        theoretical: height and width in pixels; None: the whole image.
        effective: side in pixels of the square that holds most of the gradient.
    """

    stride: int
    gradient: np.ndarray
    theoretical: tuple[int | None, int | None]
    effective: int


def draw_receptive_fields(rows: Sequence[tuple[str, Sequence[Square]]], note: str) -> bytes:
    """Return a PNG.

    Args:
        rows: name and outputs of every model.
        note: a line below the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(squares) for _, squares in rows)
    figure = Figure(figsize=(3.1 * columns + 0.4, 3.5 * len(rows) + 0.5), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes_row, (name, squares) in zip(grid, rows, strict=True):
        axes_row[0].set_ylabel(name, fontsize='medium')
        for axes in axes_row[len(squares) :]:
            axes.set_axis_off()
        for axes, square in zip(axes_row, squares, strict=False):
            _draw(axes, square)
    figure.supxlabel(note, fontsize='small')
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=110, metadata={'Software': None})
    return buffer.getvalue()


def _draw(axes: Any, square: Square) -> None:
    from matplotlib.patches import Rectangle

    height, width = square.gradient.shape
    # The fourth root, because the gradient in the centre is thousands of times larger.
    strength = (square.gradient / max(square.gradient.max(), 1e-30)) ** 0.25
    axes.imshow(strength, cmap='magma', vmin=0, vmax=1, interpolation='nearest')
    sides = [
        (square.theoretical, 'white', '--'),
        ((square.effective, square.effective), 'cyan', '-'),
    ]
    for (tall, wide), colour, line in sides:
        if tall and wide and tall < height and wide < width:
            corner = ((width - wide) / 2, (height - tall) / 2)
            style = dict(fill=False, edgecolor=colour, linestyle=line, linewidth=1.2)
            axes.add_patch(Rectangle(corner, wide, tall, **style))
    whole = None in square.theoretical
    theoretical = 'whole image' if whole else '{}x{}'.format(*square.theoretical)
    axes.set_title(
        f'stride {square.stride}\ntheoretical {theoretical}, effective {square.effective}',
        fontsize='small',
    )
    axes.set(xticks=[], yticks=[])
