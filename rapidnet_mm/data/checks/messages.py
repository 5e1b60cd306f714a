"""Parts of messages: a count with its noun, the first few of many names, a warning."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it has to be.

    Example:
        >>> counted(2, 'process'), counted(1, 'box')
        ('2 processes', '1 box')
    """
    ending = 'es' if noun.endswith(('s', 'x')) else 's'
    return f'{number} {noun}{"" if number == 1 else ending}'


def first_few(names: Sequence[str], limit: int = 3) -> str:
    """Return the first names, and how many more there are.

    Example:
        >>> first_few(['ant', 'bee', 'cat', 'dog', 'emu'])
        'ant, bee, cat and 2 more'
    """
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more


def folders_beside(folder: str) -> str:
    """Return the names of the folders in the place where ``folder`` should be."""
    names = sorted(path.name for path in Path(folder).parent.glob('*') if path.is_dir())
    return first_few(names, 8) or 'none'


def files_in(folder: str) -> list[str]:
    """Return the sorted names of the files in a folder."""
    with os.scandir(folder or '.') as entries:
        return sorted(entry.name for entry in entries if entry.is_file())


def other_files(names: Sequence[str]) -> str:
    """Say what a folder holds instead of the files that should be there."""
    return f'{len(names)} other files such as {names[0]}' if names else 'no files'


def warn(line: str) -> None:
    """Write a warning to MMEngine's log."""
    # MMEngine imports torch. The checks of files run without both.
    from mmengine.logging import print_log

    print_log(line, 'current', logging.WARNING)
