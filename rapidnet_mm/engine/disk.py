"""A disk that is full, or a folder that two trainings share."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.hooks import CheckpointHook, Hook, LoggerHook

from ..errors import UserError, one_line
from .hooks.checkpoint import checkpoint_files
from .hooks.curves import CurvesHook
from .hooks.stop import StopHook

# No space, quota exceeded, read-only disk.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
LOCK = '.training.lock'
# The workers of a killed training end within this time, and the lock with them.
PATIENCE_SECONDS = 6.0


@contextmanager
def named_write_errors(hook: Hook, logger: Any) -> Iterator[None]:
    """Let no picture and no log end a training; say in a line that a checkpoint cannot be written.

    Raises:
        UserError: a checkpoint cannot be written.
    """
    try:
        yield
    except UserError as error:
        if not _draws(hook):
            raise
        logger.warning(f'no picture: {error}')
    except OSError as error:
        if isinstance(hook, CheckpointHook | StopHook):
            raise UserError(
                f'a checkpoint cannot be written ({one_line(error)}); what was saved before is '
                'whole: make room and go on with --resume'
            ) from error
        if not (_draws(hook) or isinstance(hook, LoggerHook)):
            raise
        logger.warning(f'{type(hook).__name__} cannot write: {one_line(error)}')
    except Exception as error:
        if not _draws(hook):
            raise
        logger.warning(f'{type(hook).__name__}: no picture: {one_line(error)}')


@contextmanager
def named_start_errors(folder: str | Path) -> Iterator[None]:
    """Turn the error that a log or a config cannot be written into one line.

    Raises:
        UserError: the code inside could not write a file in the folder.
    """
    try:
        yield
    except OSError as error:
        inside = os.path.realpath(str(error.filename or '')).startswith(os.path.realpath(folder))
        if not inside and error.errno not in FULL:
            raise
        raise UserError(f'--work-dir {folder} cannot be written: {one_line(error)}') from error


def _draws(hook: Hook) -> bool:
    """Return whether all that a hook does is to make pictures."""
    return isinstance(hook, CurvesHook) or type(hook).__name__.endswith('VisualizationHook')


def check_is_free(folder: Path, resumed: Path | None, template: str | None = None) -> None:
    """Refuse a folder with checkpoints of another training: new ones would replace them.

    Args:
        folder: where this training saves checkpoints.
        resumed: the checkpoint that it goes on from.
        template: the names that the config gives to checkpoints.

    Raises:
        UserError: the folder has some.
    """
    if resumed is not None and resumed.resolve().parent == folder.resolve():
        return
    files = [*checkpoint_files(folder, template), *folder.glob('best_*.pth')]
    if files:
        newest = max(files, key=lambda file: file.lstat().st_mtime).name
        raise UserError(
            f'{folder} has checkpoints of a training ({newest}); go on with it with --resume, or '
            'choose another folder with --work-dir'
        )


def lock(folder: Path) -> FileLock | None:
    """Return the lock of a work directory; the system releases it when this process ends.

    Raises:
        UserError: another process holds it.
    """
    guard = FileLock(folder / LOCK, is_singleton=True)
    try:
        guard.acquire(timeout=PATIENCE_SECONDS)
    except Timeout as error:
        raise UserError(
            f'another training runs in {folder}; choose another folder with --work-dir'
        ) from error
    except (OSError, NotImplementedError):  # this file system has no locks
        return None
    return guard
