"""Are all images there, and whole? Only the beginnings and ends of the files are read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

import cv2
from rich.console import Console
from rich.progress import Progress

from ...errors import UserError
from .notes import fingerprint, read_note, write_note

JPEG, JPEG_END = b'\xff\xd8\xff', b'\xff\xd9'
PNG, PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND'

THREADS = 16  # they wait for the disk or the network, not for the processor
BATCH = 64  # image files that a thread reads before it reports
PATIENCE = 3.0  # seconds before a progress bar appears
NAMED = 3  # bad files that a message names


def check_images(
    paths: Sequence[str | Path],
    remember: bool = True,
    otherwise: str = 'take them out of the annotations',
) -> None:
    """Check that all images exist and look whole, without decoding them.

    A file is bad if it is missing, empty, cut off or no image. Files that were good before and
    have not changed are not read again.

    Args:
        paths: the image files. A file that is listed twice is read once.
        remember: write a note about good files, see ``notes.py``.
        otherwise: what a person can do with bad files other than get them again. The message says
            it.

    Raises:
        UserError: how many files are bad, and what is wrong with the first few.
    """
    files = list(dict.fromkeys(map(str, paths)))
    subject = '\n'.join(['images', *files])
    state = fingerprint({os.path.dirname(file) for file in files}) if remember else None
    if state is not None and read_note(subject) == state:
        return
    if faults := find_faults(files):
        raise UserError(_describe(faults, len(files), otherwise))
    if state is not None:
        write_note(subject, state)


def find_faults(files: Sequence[str]) -> list[tuple[str, str]]:
    """Return the bad files among images, each with what is wrong, in the order given."""
    faults = read_in_threads(find_fault, files, BATCH, f'checking {len(files)} images')
    return [(file, fault) for file, fault in zip(files, faults, strict=True) if fault]


def find_fault(path: str) -> str | None:
    """Return what is wrong with an image file, or None.

    The first bytes tell the format, because names of files are often wrong.
    """
    try:
        with open(path, 'rb', buffering=4096) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(12)
            if not head:
                return 'empty'
            if head.startswith(JPEG):
                whole = _ends_with(JPEG_END, file, size, _scan_start(file))
            elif head.startswith(PNG):
                whole = _ends_with(PNG_END, file, size, len(PNG))
            elif head[:4] == b'RIFF' and head[8:] == b'WEBP':
                whole = size >= 8 + int.from_bytes(head[4:8], 'little')
            else:
                return None if cv2.haveImageReader(path) else 'not an image'
    except (FileNotFoundError, NotADirectoryError):
        return 'missing'
    except OSError as error:
        return f'unreadable: {error.strerror}'
    return None if whole else 'truncated'


def _scan_start(file: BinaryIO) -> int:
    """Return where the header of a JPEG ends; the end of the file if the header does not end.

    The header can hold a small preview, which is a whole JPEG with an end marker of its own.
    """
    position = 2
    while True:
        file.seek(position)
        segment = file.read(4)
        if len(segment) < 4 or segment[0] != 0xFF or segment[1] == 0xDA:
            return position
        if segment[1] == 0xFF:  # padding
            position += 1
        elif segment[1] == 0x01 or 0xD0 <= segment[1] <= 0xD8:  # markers without a length
            position += 2
        else:
            position += 2 + int.from_bytes(segment[2:], 'big')


def _ends_with(marker: bytes, file: BinaryIO, size: int, start: int) -> bool:
    file.seek(max(start, size - 64))
    if marker in file.read():
        return True
    # Some cameras write more data after the end of the image. This is rare, so only here the
    # whole file is searched.
    file.seek(start)
    return marker in file.read()


def read_in_threads(
    read: Callable[[Any], Any], items: Sequence[Any], batch: int, title: str
) -> list[Any]:
    """Return ``read(item)`` for each item, in their order. Show a progress bar if it takes long.

    Args:
        read: reads the files of one item.
        items: what to read.
        batch: items that a thread reads before it reports.
        title: the text beside the progress bar.
    """
    batches = [items[start : start + batch] for start in range(0, len(items), batch)]
    results = []
    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(lambda part: [read(item) for item in part], batches)
        for part in _with_progress(parts, len(batches), title):
            results += part
    return results


def _with_progress(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """Yield the items. If that takes long, show a progress bar on stderr."""
    start = time.monotonic()
    bar = task = None
    with ExitStack() as stack:
        for count, item in enumerate(items, 1):
            if bar is None and time.monotonic() - start > PATIENCE:
                bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
                task = bar.add_task(title, total=total)
            if bar is not None:
                bar.update(task, completed=count)
            yield item


def _describe(faults: Sequence[tuple[str, str]], total: int, otherwise: str) -> str:
    folder = os.path.commonpath([os.path.dirname(file) for file, _ in faults])
    names = ', '.join(
        f'{os.path.relpath(file, folder)} ({_other_case(file) if fault == "missing" else fault})'
        for file, fault in faults[:NAMED]
    )
    more = f' and {len(faults) - NAMED} more' if len(faults) > NAMED else ''
    return (
        f'{len(faults)} of {total} images in {folder or "."} cannot be used: {names}{more}; '
        f'copy or download them again, or {otherwise}'
    )


def _other_case(path: str) -> str:
    """Say that a file is missing, and whether one with other capital letters is there."""
    folder, name = os.path.split(path)
    with suppress(OSError):
        for other in os.listdir(folder or '.'):
            if other.lower() == name.lower():
                return f'missing, but {other} is there'
    return 'missing'
