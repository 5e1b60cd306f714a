"""Which classes does a model take for which?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .charts import heat_chart
from .page import Cell, Table, Text

LARGEST = 30  # classes in a table; larger matrices become a picture
MOST_PAIRS = 15


def confusion_blocks(
    matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], unit: str
) -> list[Any]:
    """Return a matrix with its most frequent confusions.

    Args:
        matrix: counts by (truth, prediction).
        rows: names of what is true.
        columns: names of what is predicted.
        unit: what is counted, such as 'objects'.
    """
    matrix = np.asarray(matrix, float)
    sums = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, sums, out=np.zeros_like(matrix), where=sums > 0)
    blocks: list[Any] = []
    if len(rows) <= LARGEST:
        blocks.append(_matrix_table(matrix, shares, rows, columns, unit))
    else:
        title = f'Shares of the {unit} of each row: truth downwards, prediction to the right.'
        blocks.append(heat_chart(shares, title, ('prediction', 'truth')))
    blocks.append(_pairs(matrix, shares, rows, columns, unit))
    return blocks


def _matrix_table(
    matrix: np.ndarray, shares: np.ndarray, rows: Sequence[str], columns: Sequence[str], unit: str
) -> Table:
    cells = [
        [name, *(Cell(_count(n), s) for n, s in zip(counts, part, strict=True))]
        for name, counts, part in zip(rows, matrix, shares, strict=True)
    ]
    note = f'Rows are the truth, columns the prediction. The colour is the share of the {unit} of '
    return Table(['truth \\ prediction', *columns], cells, note=f'{note}a row.')


def _pairs(
    matrix: np.ndarray, shares: np.ndarray, rows: Sequence[str], columns: Sequence[str], unit: str
) -> Table | Text:
    wrong = [
        (matrix[r, c], rows[r], columns[c], shares[r, c])
        for r in range(len(rows))
        for c in range(len(columns))
        if matrix[r, c] and r != c
    ]
    wrong.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    if not wrong:
        return Text('There is no confusion.')
    table = [
        [truth, prediction, _count(n), f'{100 * share:.1f} %']
        for n, truth, prediction, share in wrong[:MOST_PAIRS]
    ]
    header = ['truth', 'prediction', unit, 'share of the row']
    return Table(header, table, title='Most frequent')


def _count(value: float) -> str:
    if value >= 1e6:
        return f'{value / 1e6:.1f} M'
    return f'{value:.0f}' if value else '·'
