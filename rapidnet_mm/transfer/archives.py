"""Unpack zip and tar files: safely, with progress, and on from where an earlier try stopped."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import UserError, one_line

CHUNK = 2**20  # bytes
# What the readers raise for files that are damaged, encrypted or of a rare kind.
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class DamagedArchive(UserError):
    """An archive cannot be unpacked. Another copy of it may be whole."""


class Entry(NamedTuple):
    """A file in an archive.

    Attributes:
        name: its path there.
        size: in bytes.
        read: opens it.
    """

    name: str
    size: int
    read: Callable[[], IO[bytes]]


class Change(NamedTuple):
    """Where a file of an archive goes, and what happens to its content on the way.

    Attributes:
        target: path of the new file.
        convert: makes the new content from the old; None if it stays.
    """

    target: Path
    convert: Callable[[bytes], bytes] | None = None


def unpack(
    archive: Path,
    entries: Iterable[Entry],
    place_of: Callable[[str], Change | None],
    show: bool = True,
) -> int:
    """Write files of an archive; return how many there are. Files that are there already stay.

    A file gets its name when it is whole, so that an unpacking can be stopped at any moment.

    Args:
        archive: for messages.
        entries: what :func:`zip_entries` or :func:`tar_entries` gives for it.
        place_of: where a file goes; None leaves it out.
        show: whether to show the progress.

    Raises:
        DamagedArchive: the archive is damaged.
        UserError: the disk has too little room, or a target is another file.
    """
    with _named_damage(archive):
        jobs = [(entry, change) for entry in entries if (change := place_of(entry.name))]
    missing = [(entry, change) for entry, change in jobs if not _is_there(entry, change)]
    if not missing:
        return len(jobs)
    check_space(missing[0][1].target, sum(entry.size for entry, _ in missing), str(archive))
    bar = unpacking_bar(show)
    with bar, _named_damage(archive):
        total = sum(entry.size for entry, _ in jobs)
        left = sum(entry.size for entry, _ in missing)
        task = bar.add_task(f'unpacking {archive.name}', total=total, completed=total - left)
        for entry, change in missing:
            _write(entry, change)
            bar.advance(task, entry.size)
    return len(jobs)


@contextmanager
def zip_entries(archive: Path) -> Iterator[list[Entry]]:
    """Give the files of a zip archive.

    Raises:
        DamagedArchive: it is damaged, or holds links or paths that lead out of it.
    """
    with _named_damage(archive), zipfile.ZipFile(archive) as file:
        entries = []
        for info in file.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise DamagedArchive(f'{archive} holds {info.filename}, which is no plain file')
            check_name(info.filename, archive)
            entries.append(Entry(info.filename, info.file_size, _opener(file.open, info)))
        yield entries


@contextmanager
def tar_entries(archive: Path) -> Iterator[Iterator[Entry]]:
    """Give the files of a tar archive one after the other; each has to be read at once or never.

    Raises:
        DamagedArchive: it is damaged, or holds links or paths that lead out of it.
    """
    with _named_damage(archive), tarfile.open(archive) as file:
        yield _members(file, archive)


def _members(file: tarfile.TarFile, archive: Path) -> Iterator[Entry]:
    for info in file:
        if info.isdir():
            continue
        if not info.isreg():
            raise DamagedArchive(f'{archive} holds {info.name}, which is no plain file')
        check_name(info.name, archive)
        yield Entry(info.name, info.size, _opener(file.extractfile, info))


def unpacking_bar(show: bool = True) -> Progress:
    """Return a bar for bytes, with the time left."""
    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not show)


def check_name(name: str, archive: Path) -> None:
    """Check that a path in an archive stays in the folder that it is unpacked to.

    Raises:
        DamagedArchive: it does not.
    """
    path = PurePosixPath(name)
    windows = PureWindowsPath(name)
    leads_out = path.is_absolute() or windows.drive or windows.root or '..' in windows.parts
    if leads_out or '\0' in name or not path.name:
        raise DamagedArchive(f'{archive} holds the path {name!r}, which leads out of its folder')


def check_space(place: Path, needed: int, what: str) -> None:
    """Check that a disk has room.

    Args:
        place: a file or folder there, which need not exist.
        needed: bytes.
        what: what needs them, for the message.

    Raises:
        UserError: it has too little room.
    """
    free = free_space(place)
    if free < needed:
        raise UserError(
            f'{what} needs {gigabytes(needed)} in {place}, but only {gigabytes(free)} are free; '
            'make room, or choose another folder'
        )


def free_space(place: Path) -> int:
    """Return the free bytes of the disk of a path, which need not exist."""
    place = Path(place).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def gigabytes(count: int) -> str:
    """Return a number of bytes as people read it.

    Example:
        >>> gigabytes(19_336_861_798), gigabytes(5_000_000)
        ('19.3 GB', '0.005 GB')
    """
    amount = count / 1e9
    return f'{amount:.1f} GB' if amount >= 0.1 else f'{amount:.1g} GB'


def _opener(function: Callable[[Any], IO[bytes]], info: Any) -> Callable[[], IO[bytes]]:
    return lambda: function(info)


def _is_there(entry: Entry, change: Change) -> bool:
    """Return whether a file was unpacked before.

    Raises:
        UserError: another file has its name.
    """
    try:
        size = os.stat(change.target).st_size
    except FileNotFoundError:
        return False
    if change.convert is None and size != entry.size:
        raise UserError(
            f'{change.target} is there already and has {size} bytes, not {entry.size}; '
            'move it away, or choose another folder'
        )
    return True


def _write(entry: Entry, change: Change) -> None:
    target = change.target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'.{target.name}.{os.getpid()}.partial')
    try:
        with entry.read() as source, open(partial, 'wb') as file:
            if change.convert is None:
                # To the end, where the checksum of a zip file is compared.
                shutil.copyfileobj(source, file, CHUNK)
            else:
                file.write(change.convert(source.read()))
        if change.convert is None and partial.stat().st_size != entry.size:
            raise EOFError(f'{entry.name} is cut off')
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _named_damage(archive: Path) -> Iterator[None]:
    """Turn the errors of the readers into one line."""
    try:
        yield
    except UserError:
        raise
    except DAMAGED as error:
        raise DamagedArchive(f'{archive} is damaged: {one_line(error)}') from error
