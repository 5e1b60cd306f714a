"""Download the files behind URLs: each once, and on from where a download broke off."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import torch
from filelock import FileLock
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ..errors import UserError

CHUNK = 2**18  # bytes
TIMEOUT = 30.0  # seconds without an answer
ATTEMPTS = 4  # for one file; each goes on where the last one broke off
HASH_IN_NAME = re.compile(r'-([a-f0-9]{8,64})\.\w+$')


def downloaded(url: str, fault_of: Callable[[Path], str | None]) -> Path:
    """Return the file behind a URL. It is downloaded, if it is not in the cache.

    Args:
        url: of http or https.
        fault_of: says what is wrong with a downloaded file; None if it is whole.

    Raises:
        UserError: it cannot be downloaded, or not in whole. The part that has arrived stays, and
            the next call goes on from there.
    """
    try:
        path = cached_path(url)
    except ValueError as error:
        raise UserError(f'checkpoint {url} is not a valid URL: {error}') from error
    if path.is_file():
        return path
    if (hub_file := _hub_file(url)) is not None:
        return hub_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One process at a time. The system frees the lock of a process that ends, however it ends.
        with FileLock(path.with_name(path.name + '.lock')):
            if not path.is_file():  # another process may have downloaded it in the meantime
                _fetch(url, path, fault_of)
    except urllib.error.HTTPError as error:
        raise _failure(url, f'the server says {error.code} {error.reason}') from error
    except http.client.IncompleteRead as error:
        raise _failure(url, 'the connection broke off; run again') from error
    except UnicodeError as error:
        raise _failure(url, 'its host or its path has characters that no URL can have') from error
    except (OSError, http.client.HTTPException) as error:  # no network, disk full, connection lost
        reason = str(getattr(error, 'reason', None) or error) or type(error).__name__
        raise _failure(url, reason) from error
    return path


def cached_path(url: str) -> Path:
    """Return where the file behind a URL is kept, in the cache of torch.hub (``TORCH_HOME``).

    Every URL has a folder of its own, so that files of the same name do not collide.
    """
    parsed = urlparse(url)
    host = re.sub(r'[^\w.-]', '_', parsed.hostname or 'local')
    name = re.sub(r'[^\w.+-]', '_', Path(unquote(parsed.path)).name) or 'checkpoint'
    folder = f'{host}-{hashlib.sha256(url.encode()).hexdigest()[:12]}'
    return _hub_folder() / folder / name


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(2**22):
            digest.update(chunk)
    return digest.hexdigest()


def _hub_file(url: str) -> Path | None:
    """Return the file that torch.hub has downloaded, if there is one.

    torch.hub knows files by their names alone, so the hash in the name must be that of the file.
    """
    path = _hub_folder() / Path(urlparse(url).path).name
    match = HASH_IN_NAME.search(path.name)
    if match and path.is_file() and sha256_of(path).startswith(match[1]):
        return path
    return None


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / 'checkpoints'


def _fetch(url: str, path: Path, fault_of: Callable[[Path], str | None]) -> None:
    """Download a file to ``path``, as a part beside it until it is whole."""
    part = path.with_name(path.name + '.part')
    for _ in range(ATTEMPTS):
        total = _receive(url, part)
        size = part.stat().st_size
        if total is None or size == total:
            break
    else:
        reason = f'it broke off at {size} of {total} bytes; run again to go on from there'
        raise _failure(url, reason)
    if fault := fault_of(part):
        part.unlink()
        raise _failure(url, f'the file that arrived {fault}')
    os.replace(part, path)
    _note(part).unlink()


def _receive(url: str, part: Path) -> int | None:
    """Append what is missing to a part.

    Returns:
        The length of the whole file, None if the server does not say it.
    """
    size = part.stat().st_size if part.exists() else 0
    with _opened(url, size) as response:
        encoding = response.headers.get('Content-Encoding') or 'identity'
        if encoding != 'identity':
            raise _failure(url, f'the server sends it encoded as {encoding}')
        start, total = _extent(response)
        if start and not size:
            raise _failure(
                url, 'the server sends only a part of the file, but the whole file was requested'
            )
        version = [total, response.headers.get('ETag') or response.headers.get('Last-Modified')]
        fits = not start or (start == size and _version_of(part) in (None, version))
        if fits:
            _note(part).write_text(json.dumps(version))
            _store(response, part, start, total)
    if not fits:  # the server has another file now, or nothing after the part
        part.unlink()
        return _receive(url, part)
    return total


def _opened(url: str, start: int) -> Any:
    """Request a file from a byte on; the whole file if the server has nothing from there on."""
    headers = {'User-Agent': 'rapidnet-mm', 'Accept-Encoding': 'identity'}
    if start:
        headers['Range'] = f'bytes={start}-'
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if start and error.code == 416:  # "range not satisfiable"
            return _opened(url, 0)
        raise


def _extent(response: Any) -> tuple[int, int | None]:
    """Return at which byte of the file the answer begins, and the length of the file."""
    if response.status == 206:
        content_range = response.headers.get('Content-Range', '')
        match = re.match(r'bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18})', content_range)
        return (int(match[1]), int(match[2])) if match else (-1, None)
    length = response.headers.get('Content-Length')
    return 0, int(length) if length and re.fullmatch(r'[0-9]{1,18}', length) else None


def _store(response: Any, part: Path, start: int, total: int | None) -> None:
    """Write what arrives to a part, and show the progress."""
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with (
        open(part, 'ab' if start else 'wb') as file,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        name = part.name.removesuffix('.part')
        task = progress.add_task(f'downloading {name}', total=total, completed=start)
        for chunk in _chunks(response, total):
            file.write(chunk)
            progress.advance(task, len(chunk))


def _chunks(response: Any, total: int | None) -> Iterator[bytes]:
    """Yield what arrives. If the length is known, a lost connection is no error but the end."""
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, http.client.HTTPException):
            if total is None:
                raise
            return
        if not chunk:
            return
        yield chunk


def _version_of(part: Path) -> list | None:
    """Return length and version of the file that a part belongs to; None if they are unknown."""
    try:
        return json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return None


def _note(part: Path) -> Path:
    """Return the file beside a part that holds length and version of the whole."""
    return part.with_name(part.name + '.json')


def _failure(url: str, reason: str) -> UserError:
    printable = ''.join(c if c.isprintable() else ' ' for c in reason)  # a server may send any text
    reason = ' '.join(printable.split())
    return UserError(
        f'checkpoint {url} cannot be downloaded: {reason}; download it yourself and '
        f'name the file, or put it at {cached_path(url)}'
    )
