"""The zoo's picture: published accuracy against our FLOPs, one curve a family."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, pairwise
from typing import Any, NamedTuple

AXES = dict(xlabel='FLOPs (G), ours', ylabel='ImageNet top-1 (%), published')
MARKERS = 'osD^vP*X'
LABEL = dict(xytext=(0, 0), textcoords='offset points', fontsize='small')
# Where a name may stand beside its point, best first: (left or right, below or above).
PLACES = ((-1, 1), (1, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (0, 1), (0, -1))


class Point(NamedTuple):
    """A model in the picture."""

    curve: str
    label: str
    flops: float  # in G
    accuracy: float  # in percent


def fingerprint(points: Iterable[Point]) -> str:
    """Return a hash of all that the picture shows.

    The PNG carries it, because its pixels depend on the version of matplotlib.
    """
    lines = [*AXES.values(), *(f'{p.curve} {p.label} {p.flops:.6f} {p.accuracy}' for p in points)]
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def draw(points: Sequence[Point]) -> bytes:
    """Return a PNG, the same for the same points and version of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xscale('log')
    curves = list(dict.fromkeys(point.curve for point in points))
    for curve, marker in zip(curves, cycle(MARKERS), strict=False):
        _draw(axes, curve, marker, [p for p in points if p.curve == curve])
    _ticks(axes)
    axes.set(**AXES)
    axes.grid(alpha=0.3, which='both')
    axes.margins(x=0.1, y=0.1)
    axes.legend(loc='lower right')
    _place_labels(axes, points)
    buffer = io.BytesIO()
    description = {'Software': None, 'Description': fingerprint(points)}
    figure.savefig(buffer, format='png', dpi=110, metadata=description)
    return buffer.getvalue()


def _draw(axes: Any, curve: str, marker: str, points: list[Point]) -> None:
    points = sorted(points, key=lambda p: p.flops)
    x, y = [p.flops for p in points], [p.accuracy for p in points]
    axes.plot(x, y, marker=marker, markersize=6, linewidth=1.5, label=curve)


def _place_labels(axes: Any, points: Sequence[Point]) -> None:
    """Put the names beside the points, where they cover no line, no point and no other name."""
    figure = axes.figure
    figure.canvas.draw()  # positions in pixels exist only after drawing
    figure.set_layout_engine('none')
    boxes = [_around(xy) for line in axes.lines for xy in _along(line)]
    boxes.append(axes.get_legend().get_window_extent())
    for point in points:
        text = axes.annotate(point.label, (point.flops, point.accuracy), **LABEL)
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
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullFormatter

    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 4]))
    axes.xaxis.set_major_formatter(FormatStrFormatter('%g'))
    axes.xaxis.set_minor_formatter(NullFormatter())
