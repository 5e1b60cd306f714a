"""Results in files, whole or not at all, and folders that are known to be writable before work."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import UserError
from .hooks.checkpoint import write_atomically


def write_metrics(metrics: Mapping[str, Any], path: str | Path) -> Path:
    """Write results, which may be nested, as json; a value that is not a number becomes null.

    Raises:
        UserError: the file cannot be written.
    """
    write_output((json.dumps(_number(metrics), indent=2) + '\n').encode(), path)
    return Path(path)


def write_output(data: bytes, path: str | Path) -> None:
    """Write a result in whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_atomically(data, path)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror}') from error


def _number(value: Any) -> dict | float | str | None:
    if isinstance(value, Mapping):
        return {name: _number(inner) for name, inner in value.items()}
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    return value if math.isfinite(value) else None


def writable_file(path: str | Path, option: str) -> Path:
    """The path, after making sure that a file can be written there, before long work starts.

    Raises:
        UserError: it cannot.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f'{option} {path} is a folder; name a file')
    writable_folder(path.parent, option)
    return path


def writable_folder(path: str | Path, option: str) -> None:
    """Make a folder and sure that it can be written.

    Raises:
        UserError: it cannot.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(
            f'folder {path} cannot be written ({error.strerror}); choose another with {option}'
        ) from error
