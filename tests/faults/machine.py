"""Faults of the machine: what a training finds in its work directory, and what it makes of it.

A plant is a function of the work directory that :func:`make_work_dir` made, with two checkpoints.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch


class Fault(NamedTuple):
    """One fault.

    Attributes:
        name: what is wrong, in a few words.
        plant: makes the fault; gets the work directory.
        resume: what ``--resume`` gets: a file in the work directory, 'auto', or None.
        start: the checkpoint that the training goes on from; None if it is refused.
        facts: parts of the line that is printed, or of the refusal.
    """

    name: str
    plant: Callable[[Path], None]
    resume: str | None
    start: str | None
    facts: tuple[str, ...] = ()


def save(path: Path, iteration: int) -> None:
    """Write a checkpoint that says how far it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {'iter': iteration, 'epoch': 0, 'seed': 4}
    torch.save({'meta': meta, 'state_dict': {'a': torch.ones(300)}}, path)


def make_work_dir(folder: Path) -> None:
    """Make a work directory as a training leaves it."""
    save(folder / 'iter_5.pth', 5)
    save(folder / 'iter_10.pth', 10)
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_10.pth'))


def nothing(folder: Path) -> None:
    """Plant nothing."""


def cut(folder: Path) -> None:
    path = folder / 'iter_10.pth'
    path.write_bytes(path.read_bytes()[:-60])


def half(folder: Path) -> None:
    path = folder / 'iter_10.pth'
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(folder: Path) -> None:
    (folder / 'iter_10.pth').write_bytes(b'')


def rubbish(folder: Path) -> None:
    (folder / 'iter_10.pth').write_bytes(os.urandom(5000))


def web_page(folder: Path) -> None:
    (folder / 'iter_10.pth').write_text('<!DOCTYPE html>')


def directory(folder: Path) -> None:
    (folder / 'iter_10.pth').unlink()
    (folder / 'iter_10.pth').mkdir()


def dangling(folder: Path) -> None:
    (folder / 'iter_10.pth').unlink()
    (folder / 'iter_10.pth').symlink_to(folder / 'nowhere.pth')


def all_cut(folder: Path) -> None:
    for path in folder.glob('iter_*.pth'):
        path.write_bytes(path.read_bytes()[:-60])


def other_times(folder: Path) -> None:
    os.utime(folder / 'iter_10.pth', (5, 5))


def other_names(folder: Path) -> None:
    (folder / 'iter_5.pth').rename(folder / 'iter_11.pth')


def epochs_too(folder: Path) -> None:
    save(folder / 'epoch_2.pth', 8)
    save(folder / 'epoch_3.pth', 12)


def empty_note(folder: Path) -> None:
    (folder / 'last_checkpoint').write_text('')


def stale_note(folder: Path) -> None:
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_99.pth'))


def no_checkpoints(folder: Path) -> None:
    for path in folder.glob('iter_*.pth'):
        path.unlink()


def in_the_way(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text('a file')


def half_written(folder: Path) -> None:
    (folder / '.iter_15.pth.123.partial').write_bytes(b'PK')


FALL_BACK = ('iter_10.pth', 'going on from', 'iter_5.pth')
WAY_OUT = ('has checkpoints', '--resume', '--work-dir')
FAULTS = [
    Fault('the newest checkpoint is cut off at the end', cut, 'auto', 'iter_5.pth', FALL_BACK),
    Fault('the newest checkpoint is cut in half', half, 'auto', 'iter_5.pth', FALL_BACK),
    Fault('the newest checkpoint is empty', empty, 'auto', 'iter_5.pth', FALL_BACK),
    Fault('the newest checkpoint is rubbish', rubbish, 'auto', 'iter_5.pth', FALL_BACK),
    Fault('the newest checkpoint is a web page', web_page, 'auto', 'iter_5.pth', FALL_BACK),
    Fault('the newest checkpoint is a folder', directory, 'auto', 'iter_5.pth', FALL_BACK),
    Fault('the newest checkpoint is a dangling link', dangling, 'auto', 'iter_5.pth', FALL_BACK),
    Fault('no checkpoint is whole', all_cut, 'auto', None, ('--resume', 'is whole', '--work-dir')),
    Fault('the newest has an old time', other_times, 'auto', 'iter_10.pth'),
    Fault('an old one has a high number', other_names, 'auto', 'iter_10.pth'),
    Fault('epochs and iterations are mixed', epochs_too, 'auto', 'epoch_3.pth'),
    Fault('last_checkpoint is empty', empty_note, 'auto', 'iter_10.pth'),
    Fault('last_checkpoint names nothing', stale_note, 'auto', 'iter_10.pth'),
    Fault('a checkpoint is half-written', half_written, 'auto', 'iter_10.pth'),
    Fault('there are checkpoints and no --resume', nothing, None, None, WAY_OUT),
    Fault('there is a broken checkpoint and no --resume', all_cut, None, None, WAY_OUT),
    Fault('the checkpoint to resume does not exist', nothing, 'iter_7.pth', None, ('iter_7.pth',)),
    Fault('the checkpoint to resume is cut', cut, 'iter_10.pth', None, ('iter_10.pth',)),
    Fault('the work directory is a file', in_the_way, 'auto', None, ('work', '--work-dir')),
    Fault('there is nothing to resume from', no_checkpoints, 'auto', '', ('no checkpoint in',)),
]
