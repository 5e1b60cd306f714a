"""Files behind URLs: fetched once, resumed where they broke off, there without a network."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import torch
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
ATTEMPTS = 4  # of a download that breaks off; each goes on where the last one stopped
HASH_IN_NAME = re.compile(r'-([a-f0-9]{8,64})\.\w+$')


def cached_path(url: str) -> Path:
    """Where the file behind a URL is kept, in the cache of torch.hub (``TORCH_HOME``).

    The folder is the whole URL's own, so that files of the same name do not collide.
    """
    parsed = urlparse(url)
    host = re.sub(r'[^\w.-]', '_', parsed.hostname or 'local')
    name = re.sub(r'[^\w.+-]', '_', Path(unquote(parsed.path)).name) or 'checkpoint'
    folder = f'{host}-{hashlib.sha256(url.encode()).hexdigest()[:12]}'
    return _hub_folder() / folder / name


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / 'checkpoints'


def downloaded(url: str, fault_of: Callable[[Path], str | None]) -> Path:
    """The file behind a URL, fetched if it is not there yet.

    Args:
        url: of http or https.
        fault_of: what is wrong with a file that has arrived, None if it is whole.

    Raises:
        UserError: it cannot be had, or not in whole. What has come stays, and the next call goes
            on from there.
    """
    path = cached_path(url)
    if path.is_file():
        return path
    if (known := _hub_file(url)) is not None:
        return known
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if not path.is_file():  # another process may have fetched it in the meantime
                _fetch(url, path, fault_of)
    except urllib.error.HTTPError as error:
        raise _failure(url, f'the server says {error.code} {error.reason}') from error
    except (OSError, http.client.HTTPException) as error:  # no network, disk full, broken off
        reason = str(getattr(error, 'reason', None) or error) or type(error).__name__
        raise _failure(url, reason) from error
    return path


def _failure(url: str, reason: str) -> UserError:
    reason = ' '.join(reason.split())
    return UserError(
        f'checkpoint {url} cannot be downloaded: {reason}; get it by other means and name the '
        f'file, or put it at {cached_path(url)}'
    )


def _hub_file(url: str) -> Path | None:
    """What torch.hub has fetched: it goes by the name alone, so the name's hash has to be right."""
    path = _hub_folder() / Path(urlparse(url).path).name
    hashed = HASH_IN_NAME.search(path.name)
    if hashed and path.is_file() and sha256_of(path).startswith(hashed[1]):
        return path
    return None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(2**22):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time fetches a file; the lock goes with its process, whatever happens."""
    with open(path.with_name(path.name + '.lock'), 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(url: str, path: Path, fault_of: Callable[[Path], str | None]) -> None:
    part = path.with_name(path.name + '.part')
    for _ in range(ATTEMPTS):
        total = _receive(url, part)
        size = part.stat().st_size
        if total is None or size == total:
            break
    else:
        raise UserError(
            f'checkpoint {url} broke off at {size} of {total} bytes; run again to go on from there'
        )
    if fault := fault_of(part):
        part.unlink()
        raise _failure(url, f'what came {fault}')
    os.replace(part, path)
    _note(part).unlink()


def _note(part: Path) -> Path:
    """Beside a part: length and version of the file that it is a part of."""
    return part.with_name(part.name + '.json')


def _receive(url: str, part: Path) -> int | None:
    """Append what is missing to a part; returns the length of the whole, None if nobody says."""
    have = part.stat().st_size if part.exists() else 0
    with _opened(url, have) as response:
        start, total = _extent(response)
        version = [total, response.headers.get('ETag') or response.headers.get('Last-Modified')]
        fits = not start or (start == have and _noted(part) in (None, version))
        if fits:
            _note(part).write_text(json.dumps(version))
            _store(response, part, start, total)
    if not fits:  # the server has another file by now, or has nothing after what is there
        part.unlink()
        return _receive(url, part)
    return total


def _opened(url: str, have: int) -> Any:
    headers = {'User-Agent': 'rapidnet-mm', 'Accept-Encoding': 'identity'}
    if have:
        headers['Range'] = f'bytes={have}-'
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # there is nothing so far in: begin anew
            return _opened(url, 0)
        raise


def _noted(part: Path) -> list | None:
    try:
        return json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return None


def _extent(response: Any) -> tuple[int, int | None]:
    """Where in the file the answer begins, and how long the file is."""
    if response.status == 206:
        found = re.match(r'bytes (\d+)-\d+/(\d+)', response.headers.get('Content-Range', ''))
        return (int(found[1]), int(found[2])) if found else (-1, None)
    length = response.headers.get('Content-Length')
    return 0, int(length) if length and length.isdigit() else None


def _store(response: Any, part: Path, start: int, total: int | None) -> None:
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
    """What arrives. A connection that breaks is an end like any other where the length is known."""
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
