"""Download checkpoints: each once, into the cache."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

import torch

from ..errors import UserError
from ..files import hash_of
from ..transfer.download import DownloadError, fetch_file

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
        fetch_file(url, path, fault_of)
    except DownloadError as error:
        raise UserError(
            f'checkpoint {url} cannot be downloaded: {error}; download it yourself and '
            f'name the file, or put it at {path}'
        ) from error
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
    return hash_of(path, 'sha256')


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
