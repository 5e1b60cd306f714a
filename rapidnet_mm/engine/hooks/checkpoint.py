"""Checkpoints that are whole or not there, whenever the process or the machine stops."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from ...files import write_atomically


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written atomically."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, see :func:`write_atomically`."""
        write_atomically(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text, see :func:`write_atomically`."""
        write_atomically(obj.encode(encoding), filepath)


class _RemovesLater:
    """A file backend that removes files later: when their replacement is written."""

    def __init__(self, backend: Any):
        self._backend = backend
        self._outdated: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._outdated.append((path, os.stat(path).st_ino))

    def flush(self) -> None:
        for path, inode in self._outdated:
            # A resumed run may have written a new file of the same name in the meantime.
            if os.stat(path).st_ino == inode:
                self._backend.remove(path)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook with files that are never half-written.

    A file gets its final name when it is whole. Outdated checkpoints are removed after that, so
    there is always one to resume from. Takes the arguments of MMEngine's hook.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault('backend_args', dict(backend='atomic'))
        super().__init__(*args, **kwargs)

    def before_train(self, runner: Any) -> None:
        """Remove the half-written files of a killed run."""
        super().before_train(runner)
        if is_main_process():
            for pattern in ('epoch_*', 'iter_*', 'best_*'):
                for partial in Path(self.out_dir).glob(f'.{pattern}.partial'):
                    partial.unlink(missing_ok=True)

    def _save_checkpoint(self, runner: Any) -> None:
        self._with_late_removal(super()._save_checkpoint, runner)

    def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
        self._with_late_removal(super()._save_best_checkpoint, runner, metrics)

    def _with_late_removal(self, save: Any, *args: Any) -> None:
        backend, self.file_backend = self.file_backend, _RemovesLater(self.file_backend)
        try:
            save(*args)
            self.file_backend.flush()
        finally:
            self.file_backend = backend


def _number(file: Path) -> int:
    digits = file.stem.rpartition('_')[2]
    return int(digits) if digits.isdigit() else 0


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the newest whole checkpoint of a training, None if there is none.

    The best checkpoints have no optimizer state, so they do not count. Nor do files that another
    tool left half-written.
    """
    folder = Path(work_dir)
    files = [*folder.glob('epoch_*.pth'), *folder.glob('iter_*.pth')]
    # After copying a folder all times may be equal; then the number decides.
    files.sort(key=lambda file: (file.stat().st_mtime, _number(file)), reverse=True)
    # torch.save writes a zip archive. Its directory comes last, so who can read it has it whole.
    return next((file for file in files if zipfile.is_zipfile(file)), None)
