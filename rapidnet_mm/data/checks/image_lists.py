"""Check a list of images and classes, with one ``FILE CLASS`` per line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ...errors import UserError
from .image_files import check_images
from .messages import first_few


def check_image_list(
    file: str, folder: str, with_label: bool, classes: tuple[str, ...] | None
) -> int | None:
    """Check a list and its images. Return the highest class number in it.

    Args:
        file: the list.
        folder: the folder of the images; the names in the list are relative to it.
        with_label: whether each line has a class number after the name of the file.
        classes: the names of the classes, if the config gives them.

    Raises:
        UserError: a line is wrong, or images cannot be used.
    """
    if not os.path.isfile(file):
        raise UserError(
            f'ann_file {file} {"is a folder" if os.path.isdir(file) else "does not exist"}'
        )
    entries = list(_entries(file, with_label))
    if not entries:
        raise UserError(f'ann_file {file} lists no images; it needs one "FILE CLASS" a line')
    highest = max((label for _, label in entries if label is not None), default=None)
    if classes and highest is not None and highest >= len(classes):
        names = [name for name, label in entries if label >= len(classes)]
        raise UserError(
            f'ann_file {file} has class {highest} ({first_few(names)}), but there are '
            f'{len(classes)} classes, with numbers from 0 to {len(classes) - 1}'
        )
    paths = [os.path.join(folder, name) for name, _ in entries]
    check_images(paths, otherwise=f'take them out of {file}')
    return highest


def _entries(file: str, with_label: bool) -> Iterator[tuple[str, int | None]]:
    """Yield names and class numbers from a list. Like MMPretrain, split at the last space."""
    try:
        with open(file, encoding='utf-8', newline='\n') as content:
            lines = content.read().split('\n')
    except UnicodeDecodeError as error:
        raise UserError(f'ann_file {file} is not a text file in UTF-8') from error
    if not lines[-1]:
        del lines[-1]
    for number, line in enumerate(lines, 1):
        if '\r' in line.rstrip('\r'):
            raise UserError(
                f'ann_file {file}, line {number} has a carriage return inside: end lines with a '
                'line feed'
            )
        name, _, label = line.strip().rpartition(' ')
        if not line.strip():
            raise UserError(f'ann_file {file}, line {number} is empty; remove it')
        if not with_label:
            yield line.rstrip('\r'), None
        elif name and re.fullmatch(r'[0-9]{1,18}', label):
            yield name, int(label)
        else:
            raise UserError(
                f'ann_file {file}, line {number}: {line!r:.80} is not "FILE CLASS", a name and a '
                'number from 0'
            )
