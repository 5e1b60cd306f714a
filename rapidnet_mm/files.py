"""Write files whole or not at all, never over a file of the user; check this before long work.

Commands write their results with :func:`write_output`. It remembers the hashes of its files in the
cache folder, and replaces a file only if the file has one of these hashes. If the path is a link,
its target is written. Devices and pipes can be written to.

Needs neither torch nor the MM packages.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
import sys
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from .errors import UserError

NAME_BYTES = 200  # of the temporary file's name; file systems allow 255
STREAMS = {'/dev/stdout': '__stdout__', '/dev/stderr': '__stderr__'}


def cache_folder() -> Path:
    """Return where this package keeps notes, ``~/.cache/rapidnet_mm`` or in ``$XDG_CACHE_HOME``."""
    root = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(root) / 'rapidnet_mm'


def write_atomically(data: bytes, path: str | Path) -> None:
    """Write a file under its final name only once it is whole and on the disk.

    The new file gets the permissions of the old one. A link is replaced, not followed.

    Raises:
        OSError: the disk is full or the folder cannot be written. An old file stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_of(path, '.partial')
    try:
        with open(partial, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _publish(partial, path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _partial_of(path: Path, ending: str) -> Path:
    """Return where a file is written until it is whole."""
    start = os.fsencode(path.name)[:NAME_BYTES].decode(errors='ignore')
    return path.with_name(f'.{start}.{os.getpid()}{ending}')


def _publish(partial: Path, path: Path) -> None:
    """Give a whole file, which is on the disk, its final name."""
    with suppress(FileNotFoundError):
        old = os.lstat(path)
        if stat.S_ISREG(old.st_mode):
            os.chmod(partial, stat.S_IMODE(old.st_mode))
    os.replace(partial, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the disk store a new file name, before old files are removed from the folder."""
    if os.name == 'nt':
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not all file systems can do this
            raise
    finally:
        os.close(number)


def write_file(data: bytes, path: str | Path) -> None:
    """Write a file whole or not at all. It may replace any file.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_atomically(data, path)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror}') from error


def write_output(data: bytes, path: str | Path) -> None:
    """Write a result whole or not at all. It replaces only files that a command of ours wrote.

    Raises:
        UserError: the file cannot be written, or would replace a file that is not from a command.
    """
    try:
        if _is_special(path):
            _write_to_special(data, str(path))
            return
        if fault := _fault_of(path, data):
            raise UserError(f'{path} {fault}')
        target = Path(os.path.realpath(path))
        _remember(_hash_of(data), target)
        write_atomically(data, target)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror}') from error


@contextmanager
def whole_output(path: str | Path) -> Iterator[Path]:
    """Yield a path to write a long result to. It gets the name ``path`` at the end of the block.

    An error inside the block removes it. Like :func:`write_output`, this replaces only files that
    a command of ours wrote.

    Raises:
        UserError: the file cannot be written, or would replace a file that is not from a command.
    """
    target = Path(os.path.realpath(path))
    try:
        if fault := _fault_of(path):
            raise UserError(f'{path} {fault}')
        target.parent.mkdir(parents=True, exist_ok=True)
        # Libraries choose the format of a video by the ending.
        partial = _partial_of(target, f'.partial{target.suffix}')
        try:
            yield partial
            with open(partial, 'rb+') as file:
                os.fsync(file.fileno())
            _remember(hash_of(partial), target)
            _publish(partial, target)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror}') from error


def is_foreign(path: str | Path) -> bool:
    """Return whether a path has a file that is not from a command, or was changed since."""
    try:
        return not _is_special(path) and _fault_of(path) is not None
    except OSError:
        return False  # writing it will raise the error


def same_name(paths: Iterable[Path], folder: Path) -> Path | None:
    """Return a path that the file system treats as an earlier one; None if all are different.

    Args:
        paths: paths of files, which need not exist.
        folder: a folder in the same file system, which can be written.
    """
    plain: dict[str, Path] = {}
    for path in paths:
        key = unicodedata.normalize('NFC', str(path)).casefold()
        if key in plain and (plain[key] == path or _ignores_case(folder)):
            return path
        plain[key] = path
    return None


def _ignores_case(folder: Path) -> bool:
    with tempfile.NamedTemporaryFile(dir=folder, prefix='case') as file:
        return Path(file.name).with_name(Path(file.name).name.upper()).exists()


def _is_special(path: str | Path) -> bool:
    """Return whether a path is a device, a pipe or a stream of this process."""
    if str(path) in STREAMS:
        return True
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _write_to_special(data: bytes, path: str) -> None:
    if path not in STREAMS:
        with open(path, 'wb', buffering=0) as file:
            file.write(data)
        return
    stream = getattr(sys, STREAMS[path])
    stream.flush()
    stream.buffer.write(data)
    stream.flush()


def _fault_of(path: str | Path, data: bytes | None = None) -> str | None:
    """Return why a file must not be replaced; None if it does not exist or a command wrote it.

    Args:
        path: path of the file.
        data: the new content; a file with the same content may be replaced.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        return 'is a folder; name a file'
    if not mode & 0o222:
        return 'is write-protected; choose another name'
    digest = hash_of(target)
    ours = _remembered(_record_of(target))[target.name]
    if digest in ours or (data is not None and digest == _hash_of(data)):
        return None
    link = f', which is {target},' if Path(path).is_symlink() else ''
    return (
        f'is there already{link} and this command has not written it, or it was changed since; '
        'move it away, or choose another name'
    )


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def hash_of(path: str | Path, name: str = 'sha256') -> str:
    """Return the hash of a file, which may be longer than the memory, in hexadecimal digits.

    Args:
        path: path of the file.
        name: 'sha256', 'sha1', 'md5', ...
    """
    digest = hashlib.new(name, usedforsecurity=False)
    with open(path, 'rb') as file:
        while chunk := file.read(2**22):
            digest.update(chunk)
    return digest.hexdigest()


def _record_of(target: Path) -> Path:
    """Return the file with the hashes of what commands wrote to the folder of a file."""
    folder = os.fsencode(target.parent)
    return cache_folder() / 'outputs' / f'{hashlib.sha256(folder).hexdigest()[:32]}.txt'


@cache
def _remembered(record: Path) -> dict[str, set[str]]:
    """Return the hashes of the files that commands wrote to a folder, by file name."""
    hashes: dict[str, set[str]] = defaultdict(set)
    with suppress(OSError):
        for line in record.read_text(encoding='utf-8').splitlines():
            with suppress(ValueError, TypeError):  # a line that is cut off, as on a full disk
                name, digest = json.loads(line)
                hashes[name].add(digest)
    return hashes


def _remember(digest: str, target: Path) -> None:
    """Store the hash of a new file. Without a cache folder, the file cannot be replaced later."""
    record = _record_of(target)
    hashes = _remembered(record)[target.name]
    if digest in hashes:
        return
    hashes.add(digest)
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        with open(
            record, 'a', encoding='utf-8'
        ) as file:  # the first line break ends a line that was cut off
            file.write(f'\n{json.dumps([target.name, digest])}\n')


def write_metrics(metrics: Mapping[str, Any], path: str | Path) -> Path:
    """Write metrics, which may be nested, as json, and return the path.

    A number that is not finite becomes null.

    Raises:
        UserError: the file cannot be written.
    """
    write_output((json.dumps(_number(metrics), indent=2) + '\n').encode(), path)
    return Path(path)


def _number(value: Any) -> dict | float | str | None:
    if isinstance(value, Mapping):
        return {name: _number(inner) for name, inner in value.items()}
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    return value if math.isfinite(value) else None


def writable_file(path: str | Path, option: str) -> Path:
    """Check before long work that a file can be written, and return its path.

    Raises:
        UserError: the file cannot be written, or a file that is not from a command is there. The
            message names the command line ``option``.
    """
    path = Path(path)
    try:
        if _is_special(path):
            return path
        fault = _fault_of(path)
    except OSError as error:
        raise UserError(f'{option} {path} cannot be written: {error.strerror}') from error
    if fault:
        raise UserError(f'{option} {path} {fault}')
    writable_folder(Path(os.path.realpath(path)).parent, option)
    return path


def writable_folder(path: str | Path, option: str) -> None:
    """Make a folder, and check that files can be written there.

    Raises:
        UserError: the folder cannot be written. The message names the command line ``option``.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(
            f'folder {path} cannot be written ({error.strerror}); choose another with {option}'
        ) from error
