"""Read a config file. Every error in it, or in its ``_base_`` files, is one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from ..errors import UserError, one_line
from .data_configs import SUFFIXES, check_imports, is_installed

ENDINGS = ('.py', *SUFFIXES)


def read_config_file(path: Path) -> Config:
    """Return the config in a file.

    Raises:
        UserError: the file or one of its bases is not a config, or a file is its own base.
    """
    if path.suffix not in ENDINGS:
        raise UserError(f'config {path} has another ending than {", ".join(ENDINGS)}')
    with _named_errors(path):
        _check_bases(path, path, ())
        return Config.fromfile(path)


def _check_bases(path: Path, top: Path, above: tuple[Path, ...]) -> None:
    """Check that all ``_base_`` files of a config exist, and that no file is its own base."""
    place = f'config {top}' if path == top else f'config {top}: {path}'
    if path.resolve() in above:
        raise UserError(f'{place} stands on itself: its _base_ leads back to it')
    if path.suffix != '.py':
        _check_is_dict(path, place)
    try:
        if path.suffix == '.py' and Config._is_lazy_import(str(path)):
            return
        bases = Config._get_base_files(str(path))
    except TypeError as error:
        raise UserError(f'{place}: _base_ must be the name of a file, or a list of them') from error
    except Exception as error:  # such as a base that is not Python
        raise UserError(f'{place} cannot be read: {_fault(error)}') from error
    for base in bases:
        if not isinstance(base, str):
            raise UserError(f'{place}: _base_ must be the name of a file, not {base!r}')
        try:
            file = Path(Config._get_cfg_path(base, str(path))[0])
        except Exception as error:  # MMEngine's search in other packages
            reason = '' if 'No such file' in str(error) else f' ({_fault(error)})'
            raise UserError(f'{place}: there is no _base_ {base}{reason}') from error
        if not file.is_file():
            raise UserError(f'{place}: its _base_ {base} does not exist ({file})')
        if path.suffix != '.py' and file.suffix == '.py' and not is_installed(base, file):
            raise UserError(
                f'{place}: its _base_ {base} is code, and {path.suffix} files may name only the '
                'code of installed packages; write a .py config'
            )
        _check_bases(file, top, (*above, path.resolve()))


def _check_is_dict(path: Path, place: str) -> None:
    from mmengine.fileio import load

    try:
        content = load(str(path))
    except Exception as error:  # whatever the parsers raise
        raise UserError(f'{place} cannot be read: {_fault(error)}') from error
    if not isinstance(content, dict):
        raise UserError(f'{place} holds a {type(content).__name__}, not settings by name')
    check_imports(content.get('custom_imports'), place)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except SystemExit as error:
        raise UserError(f'config {path} cannot be read: it ends the program') from error
    except Exception as error:  # a config is Python, and may fail in any way
        raise UserError(f'config {path} cannot be read: {_fault(error)}') from error


def _fault(error: Exception) -> str:
    return f'{type(error).__name__}: {one_line(error)}'
