"""The zoo's picture: published accuracy against our counts, one curve a family (as Figure 1)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .zoo import Point

MARKERS = 'osD^vP*X'


def fingerprint(points: Iterable[Point]) -> str:
    """Of what is drawn: it stands in the file, whose pixels depend on matplotlib's version."""
    content = '\n'.join(f'{p.curve} {p.label} {p.macs:.6f} {p.accuracy}' for p in points)
    return hashlib.sha256(content.encode()).hexdigest()


def draw(points: Sequence[Point]) -> bytes:
    """A PNG, the same for the same points and version of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xscale('log')
    curves = list(dict.fromkeys(point.curve for point in points))
    for curve, marker in zip(curves, cycle(MARKERS), strict=False):
        _draw(axes, curve, marker, [p for p in points if p.curve == curve])
    _place_labels(axes, points)
    _ticks(axes)
    axes.set(xlabel='multiply-accumulates (G), ours', ylabel='ImageNet top-1 (%), published')
    axes.grid(alpha=0.3, which='both')
    axes.margins(x=0.1, y=0.1)
    axes.legend(loc='lower right')
    buffer = io.BytesIO()
    description = {'Software': None, 'Description': fingerprint(points)}
    figure.savefig(buffer, format='png', dpi=110, metadata=description)
    return buffer.getvalue()


def _draw(axes: Any, curve: str, marker: str, points: list[Point]) -> None:
    points = sorted(points, key=lambda p: p.macs)
    x, y = [p.macs for p in points], [p.accuracy for p in points]
    axes.plot(x, y, marker=marker, markersize=6, linewidth=1.5, label=curve)


def _place_labels(axes: Any, points: Sequence[Point]) -> None:
    """Names beside the points, those of a curve that lies above another above it."""
    for point in points:
        if not point.label:
            continue
        lower = [p for p in points if p.curve != point.curve and p.macs >= point.macs]
        above = all(p.accuracy <= point.accuracy for p in lower if p.macs < 1.3 * point.macs)
        axes.annotate(
            point.label,
            (point.macs, point.accuracy),
            xytext=(-5, 5) if above else (5, -5),
            textcoords='offset points',
            ha='right' if above else 'left',
            va='bottom' if above else 'top',
            fontsize='small',
        )


def _ticks(axes: Any) -> None:
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullFormatter

    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 4]))
    axes.xaxis.set_major_formatter(FormatStrFormatter('%g'))
    axes.xaxis.set_minor_formatter(NullFormatter())
