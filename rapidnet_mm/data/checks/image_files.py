"""Are all images there and whole? A pass over the ends of files, and a memory of the good ones."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

import cv2
from rich.console import Console
from rich.progress import Progress

from ...errors import UserError
from ...files import write_atomically

JPEG, JPEG_END = b'\xff\xd8\xff', b'\xff\xd9'
PNG, PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND'

THREADS = 16  # they wait for the disk or the network, not for the processor
BATCH = 64  # files a task
PATIENCE = 3.0  # seconds without progress on the screen
NAMED = 3  # bad files that an error names
CHECKS = 1  # counted up when the checks become stricter, so that old notes no longer count


def check_images(
    paths: Sequence[str | Path],
    remember: bool = True,
    otherwise: str = 'take them out of the annotations',
) -> None:
    """Make sure that all images exist and look whole, without decoding them.

    Found are files that are missing, empty, truncated or no image. Files that were found good and
    have not changed since are not read again.

    Args:
        paths: the image files; one mentioned twice is read once.
        remember: keep a note of good files in :func:`cache_folder`.
        otherwise: what else to do with bad ones than to get them again, for the message.

    Raises:
        UserError: how many files are bad, and the first few with what is wrong.
    """
    files = list(dict.fromkeys(map(str, paths)))
    subject = '\n'.join(['images', *files])
    state = fingerprint({os.path.dirname(file) for file in files}) if remember else None
    if state is not None and recall(subject) == state:
        return
    if bad := find_faults(files):
        raise UserError(_describe(bad, len(files), otherwise))
    if state is not None:
        note(subject, state)


def find_faults(files: Sequence[str]) -> list[tuple[str, str]]:
    """The bad ones among image files, each with what is wrong, in the order given."""
    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    bad = []
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda batch: [(file, find_fault(file)) for file in batch], batches)
        for batch in with_progress(found, len(batches), f'checking {len(files)} images'):
            bad += [(file, fault) for file, fault in batch if fault]
    return bad


def find_fault(path: str) -> str | None:
    """What is wrong with an image file, or None. Formats are told by content, not by name."""
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
    """Where a JPEG's header ends, or the end of the file if it does not.

    The header may hold a whole thumbnail with an end marker of its own.
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
    # Cameras append what they like, so what is rare is searched in full before it is called bad.
    file.seek(start)
    return marker in file.read()


def with_progress(items: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """Pass items on; when it takes long, show a bar with the time left on stderr."""
    started = time.monotonic()
    bar = task = None
    with ExitStack() as stack:
        for done, item in enumerate(items, 1):
            if bar is None and time.monotonic() - started > PATIENCE:
                bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
                task = bar.add_task(title, total=total)
            if bar is not None:
                bar.update(task, completed=done)
            yield item


def _describe(bad: Sequence[tuple[str, str]], total: int, otherwise: str) -> str:
    folder = os.path.commonpath([os.path.dirname(file) for file, _ in bad])
    named = ', '.join(
        f'{os.path.relpath(file, folder)} ({_other_case(file) if fault == "missing" else fault})'
        for file, fault in bad[:NAMED]
    )
    more = f' and {len(bad) - NAMED} more' if len(bad) > NAMED else ''
    return (
        f'{len(bad)} of {total} images in {folder or "."} cannot be used: {named}{more}; '
        f'copy or download them again, or {otherwise}'
    )


def _other_case(path: str) -> str:
    folder, name = os.path.split(path)
    with suppress(OSError):
        for other in os.listdir(folder or '.'):
            if other.lower() == name.lower():
                return f'missing, but {other} is there'
    return 'missing'


def cache_folder() -> Path:
    """Where notes are kept: ``$XDG_CACHE_HOME/rapidnet_mm``, or else under ``~/.cache``."""
    root = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(root) / 'rapidnet_mm'


def fingerprint(folders: Iterable[str], files: Iterable[str] = ()) -> str | None:
    """A digest of names, sizes and times of what lies in folders, and of single files.

    Returns None if one of them does not exist.
    """
    digest = hashlib.sha256(str(CHECKS).encode())
    try:
        for folder in sorted(folders):
            digest.update(f'\n{os.path.abspath(folder)}\n'.encode(errors='surrogateescape'))
            with os.scandir(folder or '.') as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    digest.update(_signature(entry.name, entry))
        for file in files:
            digest.update(_signature(os.path.abspath(file), Path(file)))
    except OSError:
        return None
    return digest.hexdigest()


def _signature(name: str, entry: os.DirEntry | Path) -> bytes:
    try:
        stat = entry.stat()
        text = f'{name} {stat.st_size} {stat.st_mtime_ns}\n'
    except FileNotFoundError:  # a link to nowhere, perhaps not one of the images
        text = f'{name} -\n'
    return text.encode(errors='surrogateescape')


def recall(subject: str) -> Any:
    """What :func:`note` wrote about a subject, or None."""
    try:
        return json.loads(_note_file(subject).read_bytes())
    except (OSError, ValueError):
        return None


def note(subject: str, content: Any) -> None:
    """Keep a small note about a subject; where that is not possible, just do not."""
    with suppress(OSError):
        write_atomically(json.dumps(content).encode(), _note_file(subject))


def _note_file(subject: str) -> Path:
    # Relative paths are of this folder: the same words elsewhere are another subject.
    text = f'{os.getcwd()}\n{subject}'
    name = hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:32]
    return cache_folder() / f'{name}.json'
