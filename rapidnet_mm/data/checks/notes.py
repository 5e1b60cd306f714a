"""Notes about files that were good, so that the next run does not read them again.

A note is a small json file in the user's cache folder. It has a subject (what was checked, and
how) and a content, such as the fingerprint of the folders at that time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...files import cache_folder, write_atomically

VERSION = 2  # raise it when the checks become stricter: fingerprints of older notes then differ


def fingerprint(folders: Iterable[str], files: Iterable[str] = ()) -> str | None:
    """Return a digest of the names, sizes and times of all files in folders, and of single files.

    Returns None if one of them does not exist.
    """
    digest = hashlib.sha256(str(VERSION).encode())
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
    except FileNotFoundError:  # a broken link, which need not be one of the images
        text = f'{name} -\n'
    return text.encode(errors='surrogateescape')


def read_note(subject: str) -> Any:
    """Return the content of the note about a subject; None if there is no readable note."""
    try:
        content = json.loads(_note_file(subject).read_bytes())
    except (OSError, RecursionError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_note(subject: str, content: Any) -> None:
    """Write a note about a subject. If the cache folder cannot be written, do nothing."""
    with suppress(OSError):
        write_atomically(json.dumps(content).encode(), _note_file(subject))


def _note_file(subject: str) -> Path:
    # A subject can hold relative paths, and these mean other files in another folder.
    text = f'{os.getcwd()}\n{subject}'
    name = hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:32]
    return cache_folder() / f'{name}.json'
