"""What was found in the files that a person gave."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """Files of one format.

    Attributes:
        format: one of ``FORMATS`` in ``detect.py``.
        roots: the folders that the person gave.
        files: the annotation files of the format; for class folders, the images.
        all_files: all files in the folders, images too.
        given: what the person gave, folders or files.
    """

    format: str
    roots: tuple[Path, ...]
    files: tuple[Path, ...]
    all_files: tuple[Path, ...]
    given: tuple[Path, ...]
