"""Tables for people: the same look wherever a tool prints one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str = '') -> str:
    """A table as plain text: first column to the left, the others to the right.

    Floats are printed with four decimals; everything else as ``str``.
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
