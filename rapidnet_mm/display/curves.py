"""A picture of a training: loss, learning rate and validation results."""

from __future__ import annotations

import io
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import write_output

# The validation results that are drawn. If a run has none of them, all its results are drawn.
HEADLINES = ('bbox_mAP', 'segm_mAP', 'bbox_mAP_50', 'segm_mAP_50', 'mIoU', 'accuracy/top1')
Series = dict[str, list[tuple[float, float]]]


def read_scalars(work_dir: str | Path, run: str = '*') -> tuple[Series, Series]:
    """Return training and validation values by name, each a list of (step, value).

    Training steps are iterations. Validation steps are epochs or iterations, as the loop counts.
    A resumed run writes a file of its own; where two runs have the same step, the later one counts.

    Args:
        work_dir: the work directory.
        run: the folder of one run in it; by default all runs.
    """
    merged: list[dict[str, dict[float, float]]] = [defaultdict(dict), defaultdict(dict)]
    for file in scalar_files(work_dir, run):
        for record in read_records(file)[0]:
            step = record.get('step')
            target = merged[0 if 'loss' in record else 1]
            for name, value in record.items():
                if _is_finite(step) and _is_finite(value):
                    target[name][step] = value
    train, val = ({k: sorted(v.items()) for k, v in part.items()} for part in merged)
    return train, val


def scalar_files(work_dir: str | Path, run: str = '*') -> list[Path]:
    """Return the files with the scalars of some runs, the oldest run first."""
    return sorted(Path(work_dir).glob(f'{run}/vis_data/scalars.json'))


def read_records(file: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the records of a file of scalars, and the numbers of the lines that are damaged.

    The last line of a run that was killed may be cut off.
    """
    records, damaged = [], []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        elif line.strip():
            damaged.append(number)
    return records, damaged


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def headlines(val: Series) -> list[str]:
    """Return the names of the validation results to draw."""
    measured = [name for name in val if name not in ('step', 'time', 'data_time')]
    return [name for name in measured if name.endswith(HEADLINES)] or measured


def plot_curves(train: Series, val: Series, target: Path) -> None:
    """Draw loss, learning rate and validation results side by side into ``target`` (PNG).

    Raises:
        UserError: the picture cannot be written, or would replace a file that is not ours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses = [n for n in train if n.rpartition('.')[2].startswith('loss')]
    if len(losses) == 2:  # the only part equals the whole loss
        losses = ['loss']
    rates = [n for n in train if n in ('lr', 'base_lr')][:1]
    panels = [
        ('loss', train, losses, 'iteration'),
        ('learning rate', train, rates, 'iteration'),
        ('validation', val, headlines(val), 'epoch or iteration'),
    ]
    figure = Figure(figsize=(15, 4.2), layout='constrained')
    FigureCanvasAgg(figure)
    for axes, (title, series, names, unit) in zip(figure.subplots(1, 3), panels, strict=True):
        _draw(axes, series, names)
        axes.set(title=title, xlabel=unit, ylim=(0, None))
        axes.grid(alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format='png')
    write_output(picture.getvalue(), target)


def _draw(axes: Any, series: Series, names: Sequence[str]) -> None:
    for name in names:
        steps, values = zip(*series[name], strict=True)
        main = name == 'loss'
        axes.plot(
            steps,
            values,
            label=name,
            linewidth=2 if main else 1.2,
            color='black' if main else None,
            marker='o' if len(steps) < 30 else None,
            markersize=3,
        )
    if names:
        axes.legend(fontsize='small')
