"""Charts as SVG that takes the colours of the page, in light and in dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .page import Chart, clean

# Readable on white and on black, and for most who are colour-blind.
COLOURS = (
    *('#3b82c4', '#e07b39', '#3a9d5d', '#c94f7c', '#8b6fc0', '#b8901f', '#2aa5a5', '#8a8f98'),
)
INK = '#010203'  # becomes the colour of the page's text
SIZE = (5.4, 3.4)  # inches; as wide as a phone
LONGEST = 26  # characters of a name in a chart
MOST_LINES = 10
STYLE = {
    'svg.fonttype': 'none',  # the browser's fonts have all letters
    'svg.hashsalt': 'rapidnet',
    'text.parse_math': False,  # a class may be called '$1$'
    'font.size': 11,
    'text.color': INK,
    'axes.edgecolor': INK,
    'axes.labelcolor': INK,
    'xtick.color': INK,
    'ytick.color': INK,
    'axes.facecolor': 'none',
    'figure.facecolor': 'none',
    'legend.facecolor': 'none',
    'legend.edgecolor': 'none',
    'legend.fontsize': 9.5,
    'axes.axisbelow': True,
    'axes.spines.top': False,
    'axes.spines.right': False,
}
Lines = Mapping[str, Sequence[tuple[float, float]]]


@contextmanager
def _drawing(title: str, size: tuple[float, float] = SIZE) -> Iterator[tuple[Any, list[Chart]]]:
    """Give axes to draw on; afterwards the list has the chart."""
    charts: list[Chart] = []
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # letters that Matplotlib's font lacks
        figure = Figure(figsize=size, layout='constrained')
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        yield axes, charts
        buffer = io.StringIO()
        nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
        figure.savefig(buffer, format='svg', transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index('<svg') :]
    svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.DOTALL)
    svg = svg.replace(INK, 'currentColor')
    label = f'<svg role="img" aria-label="{_attribute(title)}"'
    charts.append(Chart(svg.replace('<svg', label, 1), title))


def _attribute(text: str) -> str:
    for sign, entity in (('&', '&amp;'), ('<', '&lt;'), ('>', '&gt;'), ('"', '&quot;')):
        text = text.replace(sign, entity)
    return clean(text)


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name that fits into a chart."""
    name = clean(' '.join(name.split()))
    return name if len(name) <= longest else f'{name[: longest - 1]}…'


def line_chart(
    lines: Lines,
    title: str,
    labels: tuple[str, str],
    limits: tuple[float, float] | None = None,
    counts: bool = False,
) -> Chart:
    """Draw lines through points, (x, y) each, by name.

    Args:
        lines: the points of each line.
        title: what the chart shows.
        labels: of both axes.
        limits: smallest and largest y.
        counts: whether x counts something, such as iterations.
    """
    columns = 2 if len(lines) > 5 else 1
    with _drawing(title) as (axes, charts):
        for index, (name, points) in enumerate(lines.items()):
            if not points:
                continue
            x, y = zip(*points, strict=True)
            axes.plot(
                x,
                y,
                label=short(name, LONGEST // columns) or ' ',
                color=COLOURS[index % len(COLOURS)],
                linewidth=1.6,
                marker='o' if len(x) < 25 else None,
                markersize=3,
            )
        axes.set(xlabel=labels[0], ylabel=labels[1])
        if limits:
            axes.set_ylim(*limits)
        if counts:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len({x for points in lines.values() for x, _ in points}) == 1:
                axes.set_xlim(x[0] - 1, x[0] + 1)
        axes.grid(alpha=0.2, color=INK)
        if len(lines) > 1:
            axes.legend(loc='best', ncols=columns)
    return charts[0]


def bar_chart(values: Mapping[str, float], title: str, label: str) -> Chart:
    """Draw bars that lie, with their numbers, the first at the top."""
    names, heights = list(values), [v if np.isfinite(v) else 0.0 for v in values.values()]
    with _drawing(title, (SIZE[0], 0.9 + 0.36 * len(values))) as (axes, charts):
        bars = axes.barh(range(len(names)), heights, color=COLOURS[0], height=0.65)
        axes.bar_label(bars, [f'{height:.3f}' for height in heights], padding=3)
        axes.set_yticks(range(len(names)), [short(name) for name in names])
        axes.invert_yaxis()
        axes.margins(x=0.18)
        axes.set(xlabel=label)
        axes.grid(alpha=0.2, color=INK, axis='x')
    return charts[0]


def reliability_chart(bins: Sequence[Mapping[str, float]], title: str, share: str) -> Chart:
    """Draw how often predictions of a confidence are right; a calibrated model is on the diagonal.

    Args:
        bins: as hotcoco returns them.
        title: what the chart shows.
        share: the label of the vertical axis.
    """
    used = [one for one in bins if one['count']]
    with _drawing(title) as (axes, charts):
        axes.plot([0, 1], [0, 1], '--', color=INK, alpha=0.5, linewidth=1)
        left = [one['bin_lower'] for one in used]
        widths = [one['bin_upper'] - one['bin_lower'] for one in used]
        heights = [one['avg_accuracy'] for one in used]
        axes.bar(left, heights, widths, align='edge', color=COLOURS[0], alpha=0.75, linewidth=0)
        axes.plot(
            [one['avg_confidence'] for one in used],
            heights,
            'o',
            color=COLOURS[1],
            markersize=5,
        )
        axes.set(xlabel='score', ylabel=share, xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.2, color=INK)
    return charts[0]


def heat_chart(matrix: np.ndarray, title: str, labels: tuple[str, str]) -> Chart:
    """Draw a large matrix of shares from 0 to 1, without names."""
    with _drawing(title, (SIZE[0], 4.6)) as (axes, charts):
        image = axes.imshow(matrix, vmin=0, vmax=1, cmap='viridis', interpolation='nearest')
        axes.figure.colorbar(image, ax=axes, shrink=0.8)
        axes.set(xlabel=labels[0], ylabel=labels[1])
    return charts[0]
