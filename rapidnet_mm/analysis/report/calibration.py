"""Do the scores say how often a model is right?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .charts import reliability_chart
from .page import Table, Text, number

BINS = 10


def calibration_blocks(
    bins: Sequence[Mapping[str, Any]],
    errors: tuple[float, float],
    per_class: Mapping[str, float],
    share: str,
) -> list[Any]:
    """Return a reliability diagram and the calibration errors.

    Args:
        bins: of scores, as hotcoco returns them.
        errors: the mean error (ECE) and the largest (MCE).
        per_class: ECE by class.
        share: what is right, for the axis.
    """
    if not any(one['count'] for one in bins):
        return [Text('There are no predictions whose scores could be compared.')]
    title = 'The dots are the bins: mean score, and how often it is right. Ideal is the diagonal.'
    rows = [
        [
            f'{one["bin_lower"]:.1f} to {one["bin_upper"]:.1f}',
            str(one['count']),
            number(one['avg_confidence']) if one['count'] else number(None),
            number(one['avg_accuracy']) if one['count'] else number(None),
        ]
        for one in bins
    ]
    blocks: list[Any] = [
        Text(
            f'Expected calibration error (ECE) {number(errors[0])}: by so much score and share of '
            f'right predictions differ on average. The largest difference is {number(errors[1])}.'
        ),
        reliability_chart(bins, title, share),
        Table(['score', 'predictions', 'mean score', share], rows),
    ]
    if per_class:
        worst = sorted(per_class.items(), key=lambda item: -item[1])
        blocks.append(Table(['class', 'ECE'], [[name, number(v)] for name, v in worst]))
    return blocks
