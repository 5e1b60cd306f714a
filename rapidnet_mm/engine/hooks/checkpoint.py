"""Checkpoints that are whole or not there, whenever the process or the machine stops."""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from ...errors import UserError, one_line
from ...files import write_atomically
from ...weights.read import read_checkpoint
from .finite import all_have_finite_weights


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
            with suppress(FileNotFoundError):  # somebody else was quicker
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
        if getattr(runner, '_resume', False):
            # After a best validation, the last checkpoint is saved again. After a resume, that is
            # the resumed one, if it is in this folder. In a copied folder its stored path is wrong.
            resumed = Path(runner._load_from)
            own = resumed.resolve().parent == Path(self.out_dir).resolve()
            self.last_ckpt = str(Path(self.out_dir, resumed.name)) if own else None
        if is_main_process():
            for pattern in ('epoch_*', 'iter_*', 'best_*', f'{_pattern(self.filename_tmpl)}*'):
                for partial in Path(self.out_dir).glob(f'.{pattern}.partial'):
                    partial.unlink(missing_ok=True)

    def _save_checkpoint(self, runner: Any) -> None:
        if self._is_worth_it(runner):
            self._with_late_removal(super()._save_checkpoint, runner)

    def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
        if self._is_worth_it(runner):
            self._with_late_removal(super()._save_best_checkpoint, runner, metrics)

    @staticmethod
    def _is_worth_it(runner: Any) -> bool:
        """Return whether the weights are finite: others must not replace earlier checkpoints."""
        finite = all_have_finite_weights(runner.model)
        if not finite:
            runner.logger.warning('the weights are not finite: no checkpoint is saved')
        return finite

    def _with_late_removal(self, save: Any, *args: Any) -> None:
        backend, self.file_backend = self.file_backend, _RemovesLater(self.file_backend)
        try:
            save(*args)
            self.file_backend.flush()
        finally:
            self.file_backend = backend


def checkpoint_folder(cfg: Config) -> Path:
    """Return where the training of a config puts its checkpoints."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    folder, work_dir = hook.get('out_dir'), str(cfg.work_dir)
    if not folder or str(folder) == work_dir:
        return Path(work_dir)
    # MMEngine gives each work directory a folder of its own there.
    return Path(folder) / Path(work_dir.rstrip(os.sep)).name


def checkpoint_template(cfg: Config) -> str | None:
    """Return what the config says of the names of checkpoints, such as ``'step_{}.pth'``."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    return hook.get('filename_tmpl')


def checkpoint_files(folder: str | Path, template: str | None = None) -> list[Path]:
    """Return the checkpoints in a folder that a training can go on from, by their names.

    The best checkpoints have no optimizer state, so they do not count.

    Args:
        folder: where the training keeps them.
        template: the names that the config gives them, besides those of MMEngine.
    """
    patterns = ['epoch_*.pth', 'iter_*.pth', *([_pattern(template)] if template else [])]
    return list(dict.fromkeys(file for p in patterns for file in Path(folder).glob(p)))


def _pattern(template: str) -> str:
    return re.sub(r'\{.*\}', '*', glob.escape(template))


def latest_checkpoint(folder: str | Path, template: str | None = None) -> Path | None:
    """Return the whole checkpoint that is furthest in the training, None if there is none.

    How far it is, the file says itself: times are lost when a folder is copied. Files that are not
    whole are named, in a line each, if they may be newer.

    Args:
        folder: as for :func:`checkpoint_files`.
        template: as well.
    """
    files = [_Candidate(path, _number(path)) for path in checkpoint_files(folder, template)]
    # Reading takes time. Of many files, those with the highest numbers will do.
    files.sort(key=lambda candidate: candidate.number, reverse=True)
    kinds = [[f for f in files if _kind(f.path) == kind] for kind in (*KINDS, '')]
    whole: list[_Candidate] = []
    for kind in kinds:
        fine = 0
        for candidate in kind:
            candidate.read()
            if candidate.fault is None:
                whole.append(candidate)
                fine += 1
            if fine == MOST_READ:
                break
    best = max(whole, key=lambda candidate: (candidate.iteration, candidate.number), default=None)
    for candidate in files:
        newer = best is None or candidate.number > best.number
        if candidate.fault is not None and newer:
            way = f'going on from {best.path}' if best else 'there is no other to go on from'
            print(f'warning: {candidate.fault}; {way}')
    return best and best.path


KINDS = ('epoch_', 'iter_')
# Of one kind.
MOST_READ = 4


def _kind(file: Path) -> str:
    return next((kind for kind in KINDS if file.name.startswith(kind)), '')


def _number(file: Path) -> int:
    digits = re.search(r'([0-9]+)[^0-9]*$', file.stem)
    return int(digits[1]) if digits else 0


@dataclass
class _Candidate:
    """A checkpoint that one may go on from: what its name says, and what its content says."""

    path: Path
    number: int
    iteration: int = -1
    fault: str | None = None

    def read(self) -> None:
        """Find out whether the file is whole, and how far the training was."""
        try:
            meta = read_checkpoint(self.path).get('meta')
        except UserError as error:
            self.fault = one_line(error)
            return
        iteration = meta.get('iter') if isinstance(meta, dict) else None
        if type(iteration) is int:
            self.iteration = iteration
