"""Compare the best, the middle and the worst tenth of a search: a table and a picture."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...display.tables import text_table
from .search import Result
from .space import strides

TENTHS = 10  # so a search needs at least 10 results
HEADER = ['group', 'models', 'top-1 (%)', 'params (k)', 'FLOPs (M)', 'mean channels of the blocks']
COLORS = {'top 10%': 'tab:blue', 'middle 50-60%': 'tab:orange', 'bottom 10%': 'tab:red'}


class Group(NamedTuple):
    """Some results, with mean and standard deviation of their channels for each block."""

    name: str
    results: list[Result]
    mean: list[float]
    sigma: list[float]

    def accuracy(self) -> str:
        """Return mean and standard deviation of the accuracies, in percent, as a text."""
        values = [result.accuracy for result in self.results]
        return f'{statistics.fmean(values):.1f} ± {statistics.pstdev(values):.1f}'


def groups(results: Sequence[Result]) -> list[Group]:
    """Return the best tenth, the tenth after the better half, the worst tenth, and all.

    Results of equal accuracy stay in the order of drawing.
    """
    ranked = sorted(results, key=lambda result: -result.accuracy)
    size = len(ranked) // TENTHS
    half = len(ranked) // 2
    parts = (ranked[:size], ranked[half : half + size], ranked[-size:], ranked)
    return [_group(name, part) for name, part in zip((*COLORS, 'all'), parts, strict=True)]


def _group(name: str, results: list[Result]) -> Group:
    blocks = list(zip(*(result.channels for result in results), strict=True))
    return Group(
        name,
        results,
        [statistics.fmean(widths) for widths in blocks],
        [statistics.pstdev(widths) for widths in blocks],
    )


def table(results: Sequence[Result]) -> str:
    """Return the groups as a table."""
    return text_table(HEADER, map(_row, groups(results)))


def _row(group: Group) -> Iterator[object]:
    yield group.name
    yield len(group.results)
    yield group.accuracy()
    yield f'{statistics.fmean(result.params for result in group.results) / 1e3:.0f}'
    yield f'{statistics.fmean(result.flops for result in group.results) / 1e6:.2f}'
    yield ' '.join(f'{width:.0f}' for width in group.mean)


def draw(results: Sequence[Result], title: str) -> bytes:
    """Return a PNG: mean channels over the block index, with a band of one standard deviation.

    The mean of all configurations is drawn too. It rises, because the budgets and the order allow
    more channels in late blocks than in early ones. So compare the tenths with this mean.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    *tenths, every = groups(results)
    blocks = range(1, len(every.mean) + 1)
    figure = Figure(figsize=(12, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(tenths), sharex=True, sharey=True)
    for axes, group in zip(panels, tenths, strict=True):
        low = [mean - sigma for mean, sigma in zip(group.mean, group.sigma, strict=True)]
        high = [mean + sigma for mean, sigma in zip(group.mean, group.sigma, strict=True)]
        color = COLORS[group.name]
        axes.fill_between(blocks, low, high, color=color, alpha=0.25, linewidth=0, label='± 1 σ')
        axes.plot(blocks, group.mean, color=color, marker='o', label='mean')
        label = f'mean of all {len(every.results)}'
        axes.plot(blocks, every.mean, color='black', linestyle='--', linewidth=1, label=label)
        for block, stride in zip(blocks, strides(len(blocks)), strict=True):
            if stride == 2:
                axes.axvline(block, color='gray', linestyle=':', linewidth=1)
        count = len(group.results)
        noun = 'configuration' if count == 1 else 'configurations'
        axes.set(title=f'{group.name} ({count} {noun})\ntop-1 {group.accuracy()} %')
        axes.set(xlabel='block (dotted: stride 2)', xticks=blocks)
        axes.grid(alpha=0.3)
        axes.legend(loc='upper left')
    panels[0].set(ylabel='output channels', ylim=(0, None))
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=110)
    return buffer.getvalue()
