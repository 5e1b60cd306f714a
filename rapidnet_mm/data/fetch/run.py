"""Fetch a published data set, and lay it out as the configs expect."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ...errors import UserError
from ...files import hash_of, write_file
from ...transfer.archives import (
    Change,
    DamagedArchive,
    check_space,
    free_space,
    gigabytes,
    unpack,
    zip_entries,
)
from ...transfer.download import DownloadError, fetch_patiently, length_of
from .sources import Archive, Source

ARCHIVES = 'archives'  # the folder of the output that holds what is not unpacked yet


def fetch(source: Source, out: Path, keep: bool = False) -> Path:
    """Download and unpack what is missing of a data set; return its folder.

    Args:
        source: of the table.
        out: the folder of all data sets, such as ``data``.
        keep: whether archives stay when they are unpacked.

    Raises:
        UserError: the disk has too little room, or something cannot be downloaded or unpacked.
    """
    waiting = [one for one in source.archives if not _is_unpacked(source, one, out)]
    if waiting:
        ask_for_space(source, waiting, out, keep)
    for archive in waiting:
        path = fetch_archive(archive, out)
        count = _unpacked(source, archive, path, out)
        write_file(f'{count}\n'.encode(), done_file(source, archive, out))
        print(f'{path.name}: {count} files in {out / source.folder}')
        if not keep:
            path.unlink()
            _remove_empty(path.parent)
    return out / source.folder


def done_file(source: Source, archive: Archive, out: Path) -> Path:
    """Return the file that says that an archive is unpacked."""
    return out / source.folder / f'.{_name_of(archive)}.done'


def fetch_archive(archive: Archive, out: Path) -> Path:
    """Download an archive, if it is not there; return its path.

    Raises:
        UserError: it cannot be downloaded.
    """
    path = out / ARCHIVES / _name_of(archive)
    try:
        fetch_patiently(archive.url, path, partial(_fault_of, archive))
    except DownloadError as error:
        raise UserError(
            f'{archive.url} cannot be downloaded: {error}; run again to go on, or download it '
            f'yourself and put it at {path}'
        ) from error
    return path


def ask_for_space(source: Source, archives: list[Archive], out: Path, keep: bool) -> None:
    """Say how much room a data set needs and how much there is.

    Raises:
        UserError: there is too little, or a server cannot be reached.
    """
    sizes = []
    for archive in archives:
        path = out / ARCHIVES / _name_of(archive)
        if path.exists():
            sizes.append(0)
            continue
        try:
            size = length_of(archive.url) or archive.size
        except DownloadError as error:
            raise UserError(
                f'{archive.url} cannot be downloaded: {error}; look at the network, or download '
                f'it yourself and put it at {path}'
            ) from error
        part = path.with_name(f'{path.name}.part')
        sizes.append(max(0, size - (part.stat().st_size if part.exists() else 0)))
    # An archive goes when it is unpacked.
    needed = sum(archive.unpacked for archive in archives) + (sum(sizes) if keep else max(sizes))
    print(f'{source.title}: needs about {gigabytes(needed)}, free are {gigabytes(free_space(out))}')
    check_space(out, needed, source.title)


def place_in(source: Source, archive: Archive, out: Path) -> Callable[[str], Change | None]:
    """Return the function that says where the files of an archive go."""

    def place_of(name: str) -> Change | None:
        for prefix, folder in archive.folders.items():
            rest = name.removeprefix(prefix)
            if rest != name and not any(part.startswith('.') for part in rest.split('/')):
                labels = source.void is not None and '/annotations/' in folder
                convert = partial(_without_void, name, source.void) if labels else None
                return Change(out / folder / rest, convert)
        return None

    return place_of


def _unpacked(source: Source, archive: Archive, path: Path, out: Path) -> int:
    """Unpack an archive; return the number of its files. A damaged archive is removed."""
    try:
        with zip_entries(path) as entries:
            count = unpack(path, entries, place_in(source, archive, out))
    except DamagedArchive as error:
        path.unlink(missing_ok=True)
        raise UserError(f'{error}; it is removed, run again to download it anew') from error
    if not count:
        path.unlink(missing_ok=True)
        raise UserError(f'{archive.url} holds none of the folders of {source.title}')
    return count


def _fault_of(archive: Archive, path: Path) -> str | None:
    """Return what is wrong with a downloaded archive, None if nothing is."""
    if archive.checksum is not None:
        kind, digits = archive.checksum
        if (actual := hash_of(path, kind)) != digits:
            return f'has the {kind} {actual}, but the published one is {digits}'
        return None
    # Its end holds the list of files, so one that is cut off is no zip file.
    return None if zipfile.is_zipfile(path) else 'is no zip file, or is cut off'


def _without_void(name: str, void: int, content: bytes) -> bytes:
    """Return a label map whose label ``void`` has become 255, which is not counted."""
    labels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2 or labels.max() > void:
        raise ValueError(f'{name} is no label map with labels up to {void}')
    labels[labels == void] = 255
    return cv2.imencode('.png', labels)[1].tobytes()


def _is_unpacked(source: Source, archive: Archive, out: Path) -> bool:
    """Return whether all files of an archive are there, by their number."""
    try:
        expected = int(done_file(source, archive, out).read_text())
    except (OSError, ValueError):
        return False
    folders = [os.walk(out / folder) for folder in set(archive.folders.values())]
    return sum(len(names) for walk in folders for _, _, names in walk) >= expected


def _name_of(archive: Archive) -> str:
    return archive.url.rpartition('/')[2]


def _remove_empty(folder: Path) -> None:
    """Remove the folder of archives if it holds no more than locks."""
    if all(path.suffix == '.lock' for path in folder.iterdir()):
        for path in folder.iterdir():
            path.unlink()
        os.rmdir(folder)
