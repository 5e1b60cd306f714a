"""Check that all image files exist and are whole. Only their structure is read, without decoding.

In small data sets JPEGs are also searched for holes, which takes seconds. In large data sets this
is done when an image is loaded, see ``engine/hooks/bad_images.py``.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from rich.console import Console
from rich.progress import Progress

from ...display.images import quiet_opencv
from ...errors import UserError
from .holes import hole_in
from .image_formats import Damaged, Header, read_header
from .notes import read_note, write_note

VERSION = 3  # raise it when the check becomes stricter, so that old notes are not used
THREADS = 16  # they wait for the disk or the network, not for the processor
BATCH = 64  # image files that a thread reads before it reports
PATIENCE = 3.0  # seconds before a progress bar appears
READ_WHOLE = 2**30  # if all new images have at most so many bytes, they are searched for holes
NAMED = 3  # bad files that a message names
PIXELS, SIDE = 2**30, 2**20  # OpenCV loads no larger images; these can be set by its variables
KINDS = {
    stat.S_IFDIR: 'a folder, not a file',
    stat.S_IFIFO: 'a pipe, not a file',
    stat.S_IFSOCK: 'a socket, not a file',
    stat.S_IFCHR: 'a device, not a file',
    stat.S_IFBLK: 'a device, not a file',
}


class ImageFile(NamedTuple):
    """What was seen of an image file.

    Attributes:
        fault: why it cannot be used, or None.
        header: what its header says, None if it has a fault or the format is a rare one.
    """

    fault: str | None = None
    header: Header | None = None


def check_images(
    paths: Sequence[str | Path],
    remember: bool = True,
    otherwise: str = 'take them out of the annotations',
) -> dict[str, Header | None]:
    """Check that all images exist and look whole, without decoding them, and return their headers.

    A file is bad if it is missing, empty, cut off, damaged, too large or no image. Files that were
    good before and have not changed are not read again.

    Args:
        paths: the image files. A file that is listed twice is read once.
        remember: write notes about good files, see ``notes.py``.
        otherwise: what a person can do with bad files other than get them again. The message says
            it.

    Raises:
        UserError: how many files are bad, and what is wrong with the first few.
    """
    files = list(dict.fromkeys(map(str, paths)))
    images = read_images(files, remember)
    faults = [(file, image.fault) for file, image in images.items() if image.fault]
    if faults:
        raise UserError(_describe(faults, len(files), otherwise))
    return {file: image.header for file, image in images.items()}


def read_images(files: Sequence[str], remember: bool = True) -> dict[str, ImageFile]:
    """Return what is seen of each image file, in the order given.

    A note for each folder holds size, time and header of the good files in it. Only files that
    are new or have changed are read.
    """
    folders = sorted({os.path.dirname(file) for file in files})
    notes = {folder: _read_folder_note(folder) for folder in folders if remember}
    states = {file: state_of(file) for file in files}
    images = {}
    for file in files:
        folder, name = os.path.split(file)
        note = notes.get(folder, {}).get(name)
        if note and note[0] == states[file]:
            images[file] = ImageFile(None, Header(*note[1]))
    unknown = [file for file in files if file not in images]
    total = sum(states[file][0] for file in unknown if states[file])
    look = partial(look_at, whole=total <= READ_WHOLE)
    seen = read_in_threads(look, unknown, BATCH, f'checking {len(unknown)} images')
    images.update(zip(unknown, seen, strict=True))
    changed = set()
    for file in unknown if remember else ():
        if not images[file].fault:
            folder, name = os.path.split(file)
            notes[folder][name] = [states[file], images[file].header]
            changed.add(folder)
    for folder in changed:
        write_note(_subject(folder), notes[folder])
    return {file: images[file] for file in files}


def _read_folder_note(folder: str) -> dict[str, list]:
    note = read_note(_subject(folder))
    return note if isinstance(note, dict) else {}


def _subject(folder: str) -> str:
    return f'images {VERSION} {folder}'


def state_of(path: str) -> list[int] | None:
    """Return size and time of a file, which differ when it was changed; None if it is missing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a name can hold a null character
        return None
    return [status.st_size, status.st_mtime_ns]


def look_at(path: str, whole: bool = True) -> ImageFile:
    """Read the structure of an image file; with ``whole``, also search all bytes for a hole."""
    try:
        if fault := name_fault(path) or _kind_fault(os.stat(path).st_mode):
            return ImageFile(fault)
        with open(path, 'rb', buffering=4096) as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return ImageFile('empty')
            header = read_header(file, size)
            if whole:
                file.seek(0)
                if hole := hole_in(file.read()):
                    raise Damaged(f'damaged: {hole}')
        if header is None:
            header, fault = _other_format(path)
        else:
            fault = size_fault(header)
    except Damaged as error:
        fault = str(error)
    except (FileNotFoundError, NotADirectoryError):
        fault = 'missing'
    except OSError as error:
        fault = f'unreadable: {error.strerror}'
    return ImageFile(fault) if fault else ImageFile(None, header)


def name_fault(path: str) -> str | None:
    """Return what is wrong with the name of a file, or None."""
    if '\0' in path:
        return 'its name holds a null character'
    try:
        path.encode()
    except UnicodeEncodeError:
        return 'its name is not UTF-8; rename it'
    return None


def _kind_fault(mode: int) -> str | None:
    """Return what a thing in a folder is if it is no file. To open a pipe would wait for ever."""
    return None if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), 'not a file')


def size_fault(header: Header) -> str | None:
    """Return that an image has more pixels than OpenCV loads, or None."""
    pixels = int(os.environ.get('OPENCV_IO_MAX_IMAGE_PIXELS') or PIXELS)
    if header.width * header.height > pixels:
        return too_large(header.width, header.height, pixels, 'OPENCV_IO_MAX_IMAGE_PIXELS')
    for side, name in ((header.width, 'WIDTH'), (header.height, 'HEIGHT')):
        limit = int(os.environ.get(f'OPENCV_IO_MAX_IMAGE_{name}') or SIDE)
        if side > limit:
            return f'{header.width}x{header.height} pixels; the limit of a side is {limit}'
    return None


def too_large(width: int, height: int, limit: int, name: str) -> str:
    """Say that an image has more pixels than its reader loads, and who sets the limit."""
    return (
        f'{width}x{height}, {width * height / 1e6:.0f} megapixels; '
        f'the limit is {limit / 1e6:.0f} ({name})'
    )


def _other_format(path: str) -> tuple[Header | None, str | None]:
    """Return the header of an image in a rare format, and what is wrong with it.

    There is no reader of its structure, so the whole image is decoded.
    """
    if not cv2.haveImageReader(path):
        return None, 'not an image'
    try:
        with quiet_opencv():
            pixels = cv2.imread(path)
    except cv2.error as error:
        if 'CV_IO_MAX_IMAGE' in str(error):
            return None, f'more than {PIXELS / 1e6:.0f} megapixels, the limit of OpenCV'
        pixels = None
    if pixels is None:
        return None, 'damaged: OpenCV cannot decode it'
    return Header(pixels.shape[1], pixels.shape[0]), None


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
    if os.path.islink(path):
        return 'a link to a missing file'
    with suppress(OSError):
        for other in os.listdir(folder or '.'):
            if other.lower() == name.lower():
                return f'missing, but {other} is there'
    return 'missing'
