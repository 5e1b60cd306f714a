"""Pictures of accuracy against FLOPs or latency, one curve per family."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import count, cycle, pairwise
from typing import Any, NamedTuple

PRINTED = ', printed'  # in the name of a curve: same colour and marker as the curve without it
MARKERS = 'osD^vP*X<>p'
TICKS = (1, 1.5, 2, 3, 4, 6, 8)  # in each decade
FEW_TICKS = (1, 2, 5)  # if there are several decades
LABEL = dict(xytext=(0, 0), textcoords='offset points', fontsize='small')
# Where a name may stand beside its point, best first: (left or right, below or above).
PLACES = ((-1, 1), (1, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (0, 1), (0, -1))


class Point(NamedTuple):
    """A model in the picture."""

    curve: str
    label: str
    x: float  # FLOPs in G, or milliseconds
    y: float | None  # accuracy; without one the model is a vertical line
    hollow: bool = False  # x has another source than the axis label says


class Picture(NamedTuple):
    """The content of a picture. Its texts say where the numbers come from."""

    xlabel: str
    ylabel: str
    points: tuple[Point, ...]
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Return a hash of the content.

        The PNG stores it, because the pixels depend on the version of matplotlib.
        """
        points = (f'{p.curve} {p.label} {p.x:.6f} {p.y} {p.hollow}' for p in self.points)
        lines = [self.xlabel, self.ylabel, *self.notes, *points]
        return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def draw(picture: Picture) -> bytes:
    """Return a PNG, the same for the same picture and version of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xscale('log')
    curves = list(dict.fromkeys(point.curve for point in picture.points))
    families = list(dict.fromkeys(curve.partition(PRINTED)[0] for curve in curves))
    colors = (f'C{number % 10}' for number in count())
    looks = dict(zip(families, zip(cycle(MARKERS), colors, strict=False), strict=False))
    for curve in curves:
        _draw(axes, curve, *looks[curve.partition(PRINTED)[0]], picture.points)
    axes.set(xlabel=picture.xlabel, ylabel=picture.ylabel)
    axes.grid(alpha=0.3, which='both')
    axes.margins(x=0.1, y=0.1)
    _ticks(axes)
    axes.set_title('\n'.join(picture.notes), loc='left', fontsize='small')
    axes.legend(loc='center left', bbox_to_anchor=(1.01, 0.5), fontsize='small')
    _place_labels(axes, [p for p in picture.points if p.y is not None])
    buffer = io.BytesIO()
    description = {'Software': None, 'Description': picture.fingerprint()}
    figure.savefig(buffer, format='png', dpi=110, metadata=description)
    return buffer.getvalue()


def _draw(axes: Any, curve: str, marker: str, color: str, points: Sequence[Point]) -> None:
    points = [p for p in points if p.curve == curve]
    shown = [p for p in points if p.y is not None]
    style = dict(marker=marker, markersize=6, linewidth=1.5, color=color, label=curve)
    if any(p.hollow for p in shown):
        style |= dict(markerfacecolor='white', linestyle='--')
    if not shown:
        style |= dict(marker='None', linestyle=':')
    axes.plot([p.x for p in shown], [p.y for p in shown], **style)
    for point in points:
        if point.y is None:
            axes.axvline(point.x, color=color, linestyle=':', linewidth=1.2)
            place = dict(
                xytext=(2, 0), textcoords='offset points', xycoords=('data', 'axes fraction')
            )
            axes.annotate(point.label, (point.x, 0.97), color=color, fontsize='small', **place)


def _place_labels(axes: Any, points: Sequence[Point]) -> None:
    """Put the names beside the points, where they cover no line, no point and no other name."""
    figure = axes.figure
    figure.canvas.draw()  # positions in pixels exist only after drawing
    figure.set_layout_engine('none')
    curves = (line for line in axes.lines if len(line.get_xdata()) and line.get_marker() != 'None')
    boxes = [_around(xy) for line in curves for xy in _along(line)]
    boxes.append(axes.get_legend().get_window_extent())
    for point in points:
        text = axes.annotate(point.label, (point.x, point.y), **LABEL)
        best = min(PLACES, key=lambda place: _covered(text, place, boxes, axes.bbox))
        _move(text, best)
        boxes.append(text.get_window_extent())


def _along(line: Any) -> Iterator[tuple[float, float]]:
    """Yield positions in pixels along a curve, close to each other."""
    corners = line.axes.transData.transform(line.get_xydata())
    for (x1, y1), (x2, y2) in pairwise(corners):
        for step in range(20):
            yield x1 + (x2 - x1) * step / 20, y1 + (y2 - y1) * step / 20
    yield tuple(corners[-1])


def _around(xy: tuple[float, float], radius: float = 4) -> Any:
    from matplotlib.transforms import Bbox

    return Bbox([[v - radius for v in xy], [v + radius for v in xy]])


def _move(text: Any, place: tuple[int, int]) -> None:
    x, y = place
    text.set_position((6 * x, 5 * y))
    text.set_horizontalalignment(('right', 'center', 'left')[x + 1])
    text.set_verticalalignment(('top', 'center', 'bottom')[y + 1])


def _covered(text: Any, place: tuple[int, int], boxes: Sequence[Any], axes_box: Any) -> int:
    """Return how many boxes a name would cover at a place; outside the axes counts as 1000."""
    _move(text, place)
    box = text.get_window_extent()
    overlaps = sum(box.overlaps(other) for other in boxes)
    if axes_box.contains(*box.min) and axes_box.contains(*box.max):
        return overlaps
    return 1000 + overlaps


def _ticks(axes: Any) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    left, right = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=TICKS if right < 100 * left else FEW_TICKS))
    axes.xaxis.set_major_formatter(FormatStrFormatter('%g'))
    axes.xaxis.set_minor_formatter(NullFormatter())
