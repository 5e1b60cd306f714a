"""The course of trainings: loss, learning rate, and validation, several runs in one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...data.checks.messages import counted
from ...display.curves import Series, headlines, read_records, read_scalars, scalar_files
from .charts import Lines, line_chart
from .page import Charts, Section, Text

MOST_POINTS = 1000  # of a line
MOST_LOSSES = 6


def curves_section(folders: Mapping[str, Path], damaged: Sequence[str]) -> Section:
    """Return the curves of all runs. The runs of one folder, as after a resume, are one line.

    Args:
        folders: work directories by the names of the lines.
        damaged: what :func:`damaged_lines` says of them.
    """
    section = Section('Curves', 'curves')
    section.blocks += [Text(line, warning=True) for line in damaged]
    scalars = {name: read_scalars(folder) for name, folder in folders.items()}
    resumed = [f'{name} of {counted(n, "run")}' for name, n in _runs(folders).items() if n > 1]
    if resumed:
        section.blocks.append(Text(f'Joined, as a resumed training: {", ".join(resumed)}.'))
    charts = _loss_charts({name: train for name, (train, _) in scalars.items()})
    charts += _validation_charts({name: val for name, (_, val) in scalars.items()})
    if not charts:
        section.blocks.append(Text('There are no logs (*/vis_data/scalars.json), so no curves.'))
    else:
        section.blocks.append(Charts(charts))
    return section


def damaged_lines(folders: Any) -> list[str]:
    """Return a line about each file of scalars that is damaged somewhere."""
    lines = []
    for folder in folders:
        for file in scalar_files(folder):
            damaged = read_records(file)[1]
            if damaged:
                places = ', '.join(map(str, damaged[:5])) + (', ...' if len(damaged) > 5 else '')
                word = 'line' if len(damaged) == 1 else 'lines'
                lines.append(
                    f'{file}: {word} {places} cannot be read and is left out of the curves'
                )
    return lines


def _runs(folders: Mapping[str, Path]) -> dict[str, int]:
    return {name: len(scalar_files(folder)) for name, folder in folders.items()}


def _loss_charts(series: Mapping[str, Series]) -> list[Any]:
    charts = []
    if len(series) == 1:
        (train,) = series.values()
        names = [n for n in train if n.rpartition('.')[2].startswith('loss')]
        names = ['loss'] if len(names) == 2 else names[:MOST_LOSSES]
        losses: Lines = {name: thinned(train[name]) for name in names if name in train}
    else:
        losses = _of_runs(series, 'loss')
    if losses:
        charts.append(line_chart(losses, 'Training loss.', ('iteration', 'loss'), counts=True))
    rates = {
        name: thinned(train['lr' if 'lr' in train else 'base_lr'])
        for name, train in series.items()
        if 'lr' in train or 'base_lr' in train
    }
    if rates:
        charts.append(
            line_chart(rates, 'Learning rate.', ('iteration', 'learning rate'), counts=True)
        )
    return charts


def _validation_charts(series: Mapping[str, Series]) -> list[Any]:
    """Draw the results of the validations: all of one run, or one chart for each with many."""
    names = list(dict.fromkeys(n for val in series.values() for n in headlines(val)))
    labels = ('epoch or iteration', 'result')
    if len(series) == 1:
        (val,) = series.values()
        lines: Lines = {name: val[name] for name in names[:MOST_LOSSES]}
        title = f'Validation: {names[0]}.' if len(lines) == 1 else 'Validation.'
        return [line_chart(lines, title, labels, counts=True)] if lines else []
    charts = []
    for name in names[:MOST_LOSSES]:
        charts.append(
            line_chart(_of_runs(series, name), f'Validation: {name}.', labels, counts=True)
        )
    return charts


def _of_runs(series: Mapping[str, Series], name: str) -> Lines:
    return {run: thinned(part[name]) for run, part in series.items() if part.get(name)}


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most ``MOST_POINTS`` points: the means of neighbours where there are more."""
    step = -(-len(points) // MOST_POINTS)
    if step <= 1:
        return list(points)
    groups = [points[i : i + step] for i in range(0, len(points), step)]
    return [(g[-1][0], sum(y for _, y in g) / len(g)) for g in groups]
