"""Formats of checkpoint files, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

from .archive import DAMAGE, check_zip, read_pickle
from .safetensors_file import read_safetensors
from .values import ContentError, ForbiddenError


def kind_of(path: Path) -> str | None:
    """Return the format of a file, by its content.

    Returns:
        'zip' or 'pickle' (the new and the old format of torch), 'safetensors', or None.
    """
    with open(path, 'rb') as file:
        head = file.read(9)
    # safetensors: the length of the header in eight bytes, the lowest first, then the header. This
    # test comes first, because such a length may begin like the other formats.
    if head[5:] == b'\0\0\0{':
        return 'safetensors'
    if head.startswith(b'PK'):
        return 'zip'
    return 'pickle' if head.startswith(b'\x80') else None


def fault_of(path: Path) -> str | None:
    """Return what is wrong with a checkpoint file; None if it is whole."""
    kind = kind_of(path)
    if kind is None:
        with open(path, 'rb') as file:
            start = file.read(20)
        return 'is no checkpoint: ' + (f'it begins with {start!r}' if start else 'it is empty')
    checks = {'safetensors': read_safetensors, 'zip': check_zip, 'pickle': read_pickle}
    try:
        checks[kind](path)
    except ForbiddenError:
        return None  # reading it will fail with its own message; nothing is known about damage
    except ContentError as error:
        return str(error)
    except DAMAGE as error:
        return damage(path, error)
    return None


def damage(path: Path, error: Exception) -> str:
    """Return the end of a message that begins with the file: how the file is damaged."""
    size = path.stat().st_size
    with open(path, 'rb') as file:
        file.seek(max(0, size - 2**16))
        is_short = kind_of(path) == 'zip' and b'PK\5\6' not in file.read()
    if is_short or isinstance(error, EOFError):
        return f'is damaged: it is cut off ({size} bytes)'
    return (
        f'is damaged ({size} bytes): its parts do not fit together or have wrong checksums; '
        'copy or download it again'
    )
