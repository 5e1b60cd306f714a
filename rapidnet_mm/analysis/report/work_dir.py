"""Find the config and the checkpoint of a training in its work directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ...engine.hooks.checkpoint import checkpoint_files, latest_checkpoint
from ...errors import UserError


class WorkDir(NamedTuple):
    """A training: its folder, its config, and the checkpoint to look at."""

    folder: Path
    config: Path
    checkpoint: Path
    reason: str  # why this checkpoint

    @property
    def name(self) -> str:
        """The name of the folder, for headings."""
        return self.folder.resolve().name or str(self.folder)


def open_work_dir(folder: str | Path, checkpoint: str | None = None) -> WorkDir:
    """Return what is needed of a work directory.

    Args:
        folder: the work directory.
        checkpoint: the checkpoint to look at; by default the best one, else the last.

    Raises:
        UserError: the folder is no work directory, or has no checkpoint.
    """
    path = Path(folder)
    if not path.exists():
        raise UserError(f'work directory {path} does not exist')
    if not path.is_dir():
        raise UserError(f'{path} is a file; name the work directory of a training')
    weights = sorted(path.glob('*.pth'))
    logged = sorted(path.glob('*/vis_data/config.py'))
    if not weights and not logged:
        raise UserError(
            f'{path} is no work directory of a training: it has neither checkpoints (*.pth) nor '
            'logs (*/vis_data)' + _near(path)
        )
    chosen, reason = (Path(checkpoint), '--checkpoint') if checkpoint else _checkpoint(path)
    if chosen is None:
        raise UserError(
            f'{path} has no checkpoint (*.pth); train longer, or name one with --checkpoint'
            + _near(path)
        )
    if not chosen.is_file():
        raise UserError(f'--checkpoint {chosen} is no file')
    configs = logged or _newest_first(path.glob('*.py'))[:1]
    if not configs:
        raise UserError(f'{path} has no config (*/vis_data/config.py, *.py)')
    return WorkDir(path, configs[-1], chosen, reason)


def _checkpoint(folder: Path) -> tuple[Path | None, str]:
    best = _newest_first(folder.glob('best_*.pth'))
    if best:
        return best[0], 'the best of the training'
    trained = checkpoint_files(folder)
    if trained:
        last = latest_checkpoint(folder)
        return last or trained[0], 'the last of the training'
    other = _newest_first(folder.glob('*.pth'))
    return (other[0], 'the newest file') if other else (None, '')


def _newest_first(files: object) -> list[Path]:
    return sorted(files, key=lambda file: (-file.stat().st_mtime, file.name))


def _near(folder: Path) -> str:
    """Name the work directory that the folder is in, or that is in the folder, if there is one."""
    parent = Path(os.path.normpath(folder / '..'))
    if any(parent.glob('*.pth')):
        return f'; {parent} is one that has'
    found = sorted({p.parent for p in folder.glob('*/*.pth')})
    return f'; {found[0]} is one that has' if found else ''
