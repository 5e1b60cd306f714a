"""Download a file: once, whole, and on from where an earlier try broke off."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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

CHUNK = 2**18  # bytes
TIMEOUT = 30.0  # seconds without an answer
HEADERS = {'User-Agent': 'rapidnet-mm', 'Accept-Encoding': 'identity'}
BUSY = (408, 425, 429, 500, 502, 503, 504)  # statuses of a server that may answer in a moment
WAITS = (1.0, 4.0, 16.0)  # seconds before another request to a busy server
ATTEMPTS = 4  # for one file; each goes on where the last one broke off


class DownloadError(Exception):
    """A file cannot be downloaded. The message is the reason, on one line.

    Whoever wants the file turns this into an error of the user with a way out.

    Args:
        reason: why.
        passes: whether the same request may succeed in a moment.
    """

    def __init__(self, reason: str, passes: bool = False):
        self.passes = passes
        # A server may send any text.
        printable = ''.join(c if c.isprintable() else ' ' for c in reason)
        super().__init__(' '.join(printable.split()))


def fetch_file(
    url: str, path: Path, fault_of: Callable[[Path], str | None], show: bool = True
) -> None:
    """Download a file to ``path``, if it is not there.

    Until it is whole, the part stands beside it, and the next call goes on from there.

    Args:
        url: of http or https.
        path: where the file goes.
        fault_of: says what is wrong with a downloaded file; None if it is whole.
        show: whether to show the progress.

    Raises:
        DownloadError: it cannot be downloaded, or not in whole.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One process at a time. The system frees the lock of a process that ends, however it ends.
        with FileLock(path.with_name(path.name + '.lock')):
            if not path.is_file():  # another process may have downloaded it in the meantime
                _fetch(url, path, fault_of, show)
    except urllib.error.HTTPError as error:
        reason = f'the server says {error.code} {error.reason}'
        raise DownloadError(reason, error.code in BUSY) from error
    except http.client.IncompleteRead as error:
        raise DownloadError('the connection broke off; run again') from error
    except UnicodeError as error:
        raise DownloadError('its host or its path has characters that no URL can have') from error
    except (OSError, http.client.HTTPException) as error:  # no network, disk full, connection lost
        inner = getattr(error, 'reason', None) or error
        late = isinstance(inner, TimeoutError | ConnectionResetError)
        raise DownloadError(str(inner) or type(error).__name__, late) from error


def fetch_patiently(
    url: str, path: Path, fault_of: Callable[[Path], str | None], show: bool = True
) -> None:
    """Do what :func:`fetch_file` does, and try again if the server is busy or does not answer.

    Raises:
        DownloadError: the file cannot be downloaded, also not after some seconds.
    """
    for seconds in WAITS:
        try:
            fetch_file(url, path, fault_of, show)
            return
        except DownloadError as error:
            if not error.passes:
                raise
            time.sleep(seconds)
    fetch_file(url, path, fault_of, show)


def length_of(url: str) -> int | None:
    """Return the length of the file behind a URL in bytes; None if the server does not say it.

    Raises:
        DownloadError: the server cannot be reached, or has no such file.
    """
    request = urllib.request.Request(url, headers=HEADERS, method='HEAD')
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return _extent(response)[1]
    except urllib.error.HTTPError as error:
        if error.code in (405, 501):  # a server without HEAD
            return None
        raise DownloadError(f'the server says {error.code} {error.reason}') from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = str(getattr(error, 'reason', None) or error) or type(error).__name__
        raise DownloadError(reason) from error


def _fetch(url: str, path: Path, fault_of: Callable[[Path], str | None], show: bool) -> None:
    """Download a file to ``path``, as a part beside it until it is whole."""
    part = path.with_name(path.name + '.part')
    for _ in range(ATTEMPTS):
        total = _receive(url, part, show)
        size = part.stat().st_size
        if total is None or size == total:
            break
    else:
        reason = f'it broke off at {size} of {total} bytes; run again to go on from there'
        raise DownloadError(reason)
    if fault := fault_of(part):
        part.unlink()
        raise DownloadError(f'the file that arrived {fault}')
    os.replace(part, path)
    _note(part).unlink()


def _receive(url: str, part: Path, show: bool) -> int | None:
    """Append what is missing to a part.

    Returns:
        The length of the whole file, None if the server does not say it.
    """
    size = part.stat().st_size if part.exists() else 0
    with _opened(url, size) as response:
        encoding = response.headers.get('Content-Encoding') or 'identity'
        if encoding != 'identity':
            raise DownloadError(f'the server sends it encoded as {encoding}')
        start, total = _extent(response)
        if start and not size:
            raise DownloadError(
                'the server sends only a part of the file, but the whole file was requested'
            )
        version = [total, response.headers.get('ETag') or response.headers.get('Last-Modified')]
        fits = not start or (start == size and _version_of(part) in (None, version))
        if fits:
            _note(part).write_text(json.dumps(version))
            _store(response, part, start, total, show)
    if not fits:  # the server has another file now, or nothing after the part
        part.unlink()
        return _receive(url, part, show)
    return total


def _opened(url: str, start: int) -> Any:
    """Request a file from a byte on; the whole file if the server has nothing from there on."""
    headers = dict(HEADERS)
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


def _store(response: Any, part: Path, start: int, total: int | None, show: bool) -> None:
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
        Progress(*columns, console=Console(stderr=True), disable=not show) as progress,
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
            chunk = response.read1(CHUNK)  # what has come; read() would lose it in a stall
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
