"""Read the names of classes, with their values or colours, from the lists that formats bring.

``classes.txt``, ``labels.txt`` (a name a line, or a number and a name), ``labelmap.txt`` of CVAT
and VOC (``road:128,64,128::``), ``label_colors.txt`` of CamVid (``128 64 128  Road``), tables with
a header such as ADE20K's ``objectInfo150.txt``, ``class_dict.csv`` and Roboflow's ``_classes.csv``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError
from .dataset import Colour
from .parse import read_lines, to_number
from .samples import UNLABELLED

LISTS = (
    *('classes.txt', 'labels.txt', 'labelmap.txt', 'label_colors.txt', 'class_dict.csv'),
    *('_classes.csv', 'classes.csv', 'objectInfo150.txt', 'class_names.txt', 'names.txt'),
    *('obj.names', 'label_names.txt'),
)
_VOID = re.compile(r'_*(void|unlabell?ed|unlabel|ignored?)\b', re.IGNORECASE)
_NUMBERS = re.compile(r'(\d+)\s+(\d+)\s+(\d+)\s+(.+)')  # a colour and a name
_NUMBER = re.compile(r'(\d+)(?:\s*:\s*|\s+)(.+)')
_COLUMNS = {
    'name': ('name', 'class', 'label', 'class_name', 'classes'),
    'value': ('idx', 'index', 'id', 'value', 'pixel value', 'pixel'),
    **{colour[0]: (colour[0], colour) for colour in ('red', 'green', 'blue')},
}


class Entry(NamedTuple):
    """One class of a list.

    Attributes:
        name: its name.
        value: its number, if the list has numbers.
        colour: its colour, if the list has colours.
    """

    name: str
    value: int | None = None
    colour: Colour | None = None

    @property
    def is_void(self) -> bool:
        """Whether pixels of it are not labelled."""
        return self.value == UNLABELLED or bool(_VOID.match(self.name))


def find_list(files: Iterable[Path]) -> Path | None:
    """Return the file with the names of the classes, None if there is none.

    Raises:
        UserError: several files have names, and they differ.
    """
    lists = [path for path in files if path.name in LISTS]
    contents = {path: read_list(path) for path in lists}
    if any(contents[path] != contents[lists[0]] for path in lists):
        raise UserError(
            f'names of classes are in {lists[0]} and in {lists[-1]}, and they differ; keep one'
        )
    return lists[0] if lists else None


def read_list(path: Path) -> list[Entry]:
    """Return the classes that a file lists.

    Raises:
        UserError: a line is not valid.
    """
    rows, columns = [], None
    for number, line in read_lines(path):
        if line.startswith('#'):
            continue
        fields = _fields(line, path.suffix == '.csv')
        if columns is None and not rows and (columns := _header(fields)):
            continue
        entry = _by_header(fields, columns) if columns else _entry(fields)
        if entry is None or not entry.name:
            raise UserError(
                f'{path} line {number}: {line!r:.60} is no class; write a name, or a number and a '
                'name, in each line'
            )
        rows.append(entry)
    return rows


def _fields(line: str, is_csv: bool) -> list[str]:
    if '\t' in line:
        parts = re.split(r'\t+', line)
    elif match := re.fullmatch(r'(.+?):(\d+),(\d+),(\d+):.*', line):
        parts = [*match.groups()[1:], match[1]]
    elif is_csv or re.match(r'\d+\s*,', line):
        parts = line.split(',')
    elif match := _NUMBERS.fullmatch(line) or _NUMBER.fullmatch(line):
        parts = list(match.groups())
    else:
        parts = [line]
    parts = [part.strip() for part in parts]
    if len(parts) == 2 and re.fullmatch(r'\d+\s+\d+\s+\d+', parts[0]):  # CamVid: a tab in between
        return [*parts[0].split(), parts[1]]
    return parts


def _header(fields: list[str]) -> dict[str, int] | None:
    lower = [field.lower() for field in fields]
    places = {
        key: lower.index(name) for key, names in _COLUMNS.items() for name in names if name in lower
    }
    return places if len(fields) > 1 and 'name' in places else None


def _by_header(fields: list[str], columns: dict[str, int]) -> Entry | None:
    if len(fields) <= max(columns.values()):
        return None
    numbers = {key: to_number(fields[place]) for key, place in columns.items() if key != 'name'}
    if not all(type(value) is int for value in numbers.values()):
        return None
    colour = tuple(numbers[letter] for letter in 'rgb') if {*'rgb'} <= numbers.keys() else None
    return Entry(fields[columns['name']], numbers.get('value'), colour)


def _entry(fields: list[str]) -> Entry | None:
    numbers = [to_number(field) for field in fields]
    if len(fields) == 4 and all(type(value) is int for value in numbers[:3]):
        return Entry(fields[3], None, tuple(numbers[:3]))
    if len(fields) > 1:
        return Entry(fields[1], numbers[0]) if type(numbers[0]) is int else None
    return Entry(fields[0])


def plain_names(path: Path | None) -> list[str]:
    """Return the names of a list for formats that have no unlabelled pixels."""
    if path is None:
        return []
    return [entry.name for entry in read_list(path) if entry.name not in ('__ignore__',)]


def merge_names(listed: list[str], used: Iterable[str], notes: list[str]) -> list[str]:
    """Return the classes of a list, then those that only objects have, in alphabetical order."""
    more = sorted({*used} - {*listed})
    if listed and more:
        notes.append(f'classes that the list of names lacks: {", ".join(more)}')
    return [*listed, *more]
