"""Tables as text, with the same look in every command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str = '') -> str:
    """Return a table as plain text: the first column to the left, the others to the right.

    Floats have four decimals; everything else is printed as ``str``.

    Example:
        >>> print(text_table(['part', 'FLOPs (G)'], [('backbone', 3.22)]))
        +----------+-----------+
        | part     | FLOPs (G) |
        +----------+-----------+
        | backbone |    3.2200 |
        +----------+-----------+
    """
    table = Table(title=title or None, title_justify='left', box=box.ASCII2)
    for index, name in enumerate(header):
        table.add_column(name, justify='left' if index == 0 else 'right', no_wrap=True)
    for row in rows:
        table.add_row(*(f'{v:.4f}' if isinstance(v, float) else str(v) for v in row))
    console = Console(width=240, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
