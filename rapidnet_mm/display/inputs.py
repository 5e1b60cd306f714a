"""Find what a command is to look at: images, folders, patterns, videos and cameras."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from .images import READ_SUFFIXES

VIDEO_SUFFIXES = (
    *('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm'),
    *('.mpg', '.mpeg', '.wmv', '.flv', '.ts', '.3gp', '.ogv'),
)
CAMERA = 'camera:'


class Input(NamedTuple):
    """One image, video or camera.

    Attributes:
        path: the file; of a camera, what the user wrote.
        name: the path inside the folder or the pattern that the user gave.
        camera: number of the camera; None for files.
    """

    path: Path
    name: Path
    camera: int | None = None

    @property
    def moves(self) -> bool:
        """Whether it is a video or a camera."""
        return self.camera is not None or self.path.suffix.lower() in VIDEO_SUFFIXES


class Inputs(NamedTuple):
    """What was found.

    Attributes:
        items: images, videos and cameras, in the order of the arguments, sorted in each folder.
        faults: a line for each folder or pattern in which there is nothing.
    """

    items: list[Input]
    faults: list[str]


def find_inputs(
    texts: Sequence[str],
    suffixes: Sequence[str] = (*READ_SUFFIXES, *VIDEO_SUFFIXES),
    leave_out: Path | None = None,
) -> Inputs:
    """Return the files of some arguments, each with its name inside the argument.

    Args:
        texts: files, folders whose subfolders are searched too, patterns such as ``shots/**/*.jpg``
            and ``camera:0``.
        suffixes: endings of the files that folders and patterns give.
        leave_out: a folder that is not searched, because earlier results are in it.

    Raises:
        UserError: a file does not exist, or there is nothing in all folders and patterns.
    """
    inputs: dict[Path, Input] = {}
    faults = []
    for text in texts:
        path = Path(text)
        if text.startswith(CAMERA) and not path.exists():
            inputs[path] = Input(path, Path(text.replace(':', '')), _camera_number(text))
        elif path.is_dir():
            files = list(_chosen(path.rglob('*'), suffixes, leave_out, path))
            inputs |= {file: Input(file, file.relative_to(path)) for file in files}
            if not files:
                faults.append(f'folder {path} holds no images{_kinds(suffixes)}')
        elif path.exists():
            inputs[path] = Input(path, Path(path.name))
        elif glob.has_magic(text):
            root = _fixed_part(text)
            matches = map(Path, glob.iglob(text, recursive=True))
            files = list(_chosen(matches, suffixes, leave_out, root))
            inputs |= {file: Input(file, file.relative_to(root)) for file in files}
            if not files:
                faults.append(f'pattern {text} matches no images{_kinds(suffixes)}')
        else:
            raise UserError(f'{path} does not exist')
    if not inputs:
        raise UserError('; '.join(faults))
    return Inputs(list(inputs.values()), faults)


def _camera_number(text: str) -> int:
    number = text.removeprefix(CAMERA)
    if not number.isdecimal() or len(number) > 4:
        raise UserError(f'{text} names no camera; write {CAMERA}0 for the first one')
    return int(number)


def _chosen(
    paths: Iterable[Path], suffixes: Sequence[str], leave_out: Path | None, root: Path
) -> Iterator[Path]:
    """Yield the sorted files with the right endings, but none in ``leave_out``."""
    hidden = leave_out.resolve() if leave_out is not None else None
    inside = hidden is not None and root.resolve() in hidden.parents
    for path in sorted(paths):
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if not (inside and hidden in path.resolve().parents):
            yield path


def _fixed_part(pattern: str) -> Path:
    """Return the folder of a pattern, up to its first part with a wildcard.

    Example:
        >>> _fixed_part('shots/**/*.jpg').as_posix()
        'shots'
    """
    fixed = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _kinds(suffixes: Sequence[str]) -> str:
    videos = ' and no videos' if VIDEO_SUFFIXES[0] in suffixes else ''
    return f'{videos} ({", ".join(suffixes)})'
