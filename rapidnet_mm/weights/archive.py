"""Read the files of ``torch.save``, new and old, and look whether they are whole.

PyTorch does not look at the checksums that a file has, so it loads a file with a flipped bit. Here
every byte that is read is checked. Nothing is read that is larger than the file.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import torch

from .pickled import Unpickler, check_plain
from .values import ContentError, Kind

# The old format begins with three pickles: this number, this version, and facts on the machine.
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001

# Whatever a damaged file leads to, in zipfile, pickle and torch.
DAMAGE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError),
    *(MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError, struct.error),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, pickle.UnpicklingError),
)


def read_zip(path: Path, place: Any = 'cpu') -> Any:
    """Return the content of a file of PyTorch 1.6 or later, a zip archive.

    Args:
        path: the file.
        place: where the tensors go; ``map_location`` of ``torch.load``.

    Raises:
        ForbiddenError: it names something that could run code.
        ContentError: it has values that no training writes, or another structure.
        Exception: of several types, because it is damaged.
    """
    size = path.stat().st_size
    with open(path, 'rb') as file, zipfile.ZipFile(file) as archive, _Parts(file) as parts:
        entries = _entries(archive, size)
        folder = _folder(entries)
        swapped = _is_swapped(parts, entries.pop(f'{folder}byteorder', None))
        storages: dict[str, torch.UntypedStorage] = {}

        def storage_of(kind: Kind, key: str, location: str, count: int) -> torch.UntypedStorage:
            if key not in storages:
                data = parts.read(entries.pop(f'{folder}data/{key}'))
                if swapped and kind.itemsize > 1:
                    parts.check()  # the sum is of the bytes as they are in the file
                    data.untyped_storage().byteswap(kind.dtype)
                storages[key] = _placed(data, location, place)
            if storages[key].nbytes() < count * kind.itemsize:
                raise ContentError('has fewer numbers than it says')
            return storages[key]

        program = parts.read(entries.pop(f'{folder}data.pkl'))
        parts.check()
        content = Unpickler(io.BytesIO(program.numpy()), size, storage_of).load()
        for entry in entries.values():
            parts.read(entry)
        parts.check()
    check_plain(content)
    return content


def check_zip(path: Path) -> None:
    """Check the sums of a zip archive, without making anything of what is in it.

    Raises:
        ContentError: it has another structure than files of PyTorch.
        Exception: of several types, because it is damaged.
    """
    with open(path, 'rb') as file, zipfile.ZipFile(file) as archive, _Parts(file) as parts:
        for entry in _entries(archive, path.stat().st_size).values():
            parts.read(entry)
            parts.check()


def read_pickle(path: Path, place: Any = 'cpu') -> Any:
    """Return the content of a file of PyTorch before 1.6: pickles, and then all numbers.

    Raises:
        ForbiddenError: it names something that could run code.
        ContentError: it has values that no training writes, or another structure.
        Exception: of several types, because it is damaged.
    """
    size = path.stat().st_size
    with open(path, 'rb') as file:
        _check_start(file, size)
        program = file.tell()
        wanted: dict[str, tuple[int, str, int]] = {}
        Unpickler(file, size, _counting(wanted, size)).load()
        storages = _read_storages(file, size, wanted, place)
        if file.tell() != size:
            raise ContentError(f'has {size - file.tell()} bytes after its end')
        file.seek(program)
        content = Unpickler(file, size, lambda _kind, key, *_: storages[key]).load()
    check_plain(content)
    return content


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the parts of an archive by name, if they are as PyTorch writes them."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) < len(archive.infolist()):
        raise ContentError('has two parts of one name')
    for entry in entries.values():
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ContentError(
                f'has compressed parts ({entry.filename}), which PyTorch does not write: '
                'they may unpack to any size'
            )
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ContentError('has parts that are larger than the file')
    return entries


def _folder(entries: dict[str, zipfile.ZipInfo]) -> str:
    """Return the folder of an archive that holds the pickle, with a slash."""
    programs = [name for name in entries if name.endswith('/data.pkl') and name.count('/') == 1]
    if len(programs) != 1:
        raise ContentError('is an archive, but not one of torch.save')
    folder = programs[0].removesuffix('data.pkl')
    if f'{folder}constants.pkl' in entries:
        raise ContentError('is a program (TorchScript), not a dict of tensors')
    return folder


def _is_swapped(parts: _Parts, entry: zipfile.ZipInfo | None) -> bool:
    """Return whether the bytes of the numbers are in the order of another kind of machine."""
    order = bytes(parts.read(entry).numpy()).decode() if entry else 'little'
    if order not in ('little', 'big'):
        raise ContentError('has numbers in an unknown order of bytes')
    return order != sys.byteorder


class _Parts:
    """Reads the parts of an archive, and checks their sums meanwhile, in another thread."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._workers = ThreadPoolExecutor(1)
        self._sums: list[tuple[zipfile.ZipInfo, Future[int]]] = []

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *_: Any) -> None:
        self._workers.shutdown(cancel_futures=True)

    def read(self, entry: zipfile.ZipInfo) -> torch.Tensor:
        """Return the bytes of a part. They count only after :meth:`check`."""
        self._file.seek(entry.header_offset)
        header = self._file.read(30)
        name = self._file.read(int.from_bytes(header[26:28], 'little'))
        encoding = 'utf-8' if entry.flag_bits & 0x800 else 'cp437'
        if header[:4] != b'PK\3\4' or name.decode(encoding) != entry.orig_filename:
            raise zipfile.BadZipFile(entry.filename)
        self._file.seek(int.from_bytes(header[28:30], 'little'), os.SEEK_CUR)
        data = torch.empty(entry.file_size, dtype=torch.uint8)
        memory = memoryview(data.numpy())
        if memory.nbytes and self._file.readinto(memory) != memory.nbytes:
            raise EOFError(entry.filename)
        self._sums.append((entry, self._workers.submit(zlib.crc32, memory)))
        return data

    def check(self) -> None:
        """Compare the sums of all parts that have been read.

        Raises:
            BadZipFile: one is another than the archive says.
        """
        for entry, actual in self._sums:
            if actual.result() != entry.CRC:
                raise zipfile.BadZipFile(entry.filename)
        self._sums.clear()


def _placed(data: torch.Tensor, location: str, place: Any) -> torch.UntypedStorage:
    """Return bytes as a storage on the device where they are wanted."""
    storage = data.untyped_storage()
    if callable(place):
        return place(storage, location) or storage
    if isinstance(place, dict):
        place = place.get(location, location)
    device = torch.device(place or 'cpu')
    if device.type == 'meta':
        return torch.UntypedStorage(storage.nbytes(), device='meta')
    return storage if device.type == 'cpu' else data.to(device).untyped_storage()


def _check_start(file: BinaryIO, size: int) -> None:
    if Unpickler(file, size).load() != MAGIC:
        raise ContentError('is a pickle, but not one of torch.save')
    if Unpickler(file, size).load() != VERSION:
        raise ContentError('is of an unknown version of torch.save')
    machine = Unpickler(file, size).load()
    if type(machine) is not dict or machine.get('little_endian') is not (sys.byteorder == 'little'):
        raise ContentError('was written on another kind of machine')


def _counting(
    wanted: dict[str, tuple[int, str, int]], size: int
) -> Callable[[Kind, str, str, int], torch.UntypedStorage]:
    """Return a function that notes the bytes of each storage, and gives one without memory."""

    def storage_of(kind: Kind, key: str, location: str, count: int) -> torch.UntypedStorage:
        length = count * kind.itemsize
        if wanted.setdefault(key, (length, location, kind.itemsize))[0] != length:
            raise ContentError('has numbers of two lengths in one place')
        if sum(entry[0] for entry in wanted.values()) > size:
            raise EOFError('the file is shorter than its numbers')
        return torch.UntypedStorage(length, device='meta')

    return storage_of


def _read_storages(
    file: BinaryIO, size: int, wanted: dict[str, Any], place: Any
) -> dict[str, torch.UntypedStorage]:
    """Return the storages that follow the pickle, in the order that the file says."""
    keys = Unpickler(file, size).load()
    if type(keys) is not list or sorted(map(str, keys)) != sorted(wanted):
        raise ContentError('has other numbers than its tensors need')
    storages = {}
    for key in keys:
        length, location, itemsize = wanted[key]
        (count,) = struct.unpack('<q', file.read(8))
        if count * itemsize != length:
            raise ContentError('has numbers of another length than its tensors need')
        data = torch.empty(length, dtype=torch.uint8)
        if length and file.readinto(memoryview(data.numpy())) != length:
            raise EOFError(os.fspath(file.name))
        storages[key] = _placed(data, location, place)
    return storages
