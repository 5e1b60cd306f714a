"""Write files whole or not at all, and check before long work that files can be written.

Needs neither torch nor the MM packages.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import UserError


def write_atomically(data: bytes, path: str | Path) -> None:
    """Write a file under its final name only once it is whole and on the disk.

    Raises:
        OSError: the disk is full or the folder cannot be written. An old file stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        with open(partial, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def write_output(data: bytes, path: str | Path) -> None:
    """Write a result whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_atomically(data, path)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror}') from error


def write_metrics(metrics: Mapping[str, Any], path: str | Path) -> Path:
    """Write metrics, which may be nested, as json, and return the path.

    A number that is not finite becomes null.

    Raises:
        UserError: the file cannot be written.
    """
    write_output((json.dumps(_number(metrics), indent=2) + '\n').encode(), path)
    return Path(path)


def _number(value: Any) -> dict | float | str | None:
    if isinstance(value, Mapping):
        return {name: _number(inner) for name, inner in value.items()}
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    return value if math.isfinite(value) else None


def writable_file(path: str | Path, option: str) -> Path:
    """Check before long work that a file can be written, and return its path.

    Raises:
        UserError: the file cannot be written. The message names the command line ``option``.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f'{option} {path} is a folder; name a file')
    writable_folder(path.parent, option)
    return path


def writable_folder(path: str | Path, option: str) -> None:
    """Make a folder, and check that files can be written there.

    Raises:
        UserError: the folder cannot be written. The message names the command line ``option``.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(
            f'folder {path} cannot be written ({error.strerror}); choose another with {option}'
        ) from error
