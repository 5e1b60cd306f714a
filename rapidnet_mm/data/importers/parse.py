"""Read json, xml, yaml and lines of text. A fault names the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

import yaml

from ...errors import UserError, one_line

AGAIN = 'correct it, or export the file again'
LARGEST = 1e15  # of the numbers that are read: sums and products of them are exact or finite


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8.

    Raises:
        UserError: the file cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is not text in UTF-8 (byte {error.start}); {AGAIN}') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text that are not empty, each with its number from 1."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line := line.strip():
            yield number, line


def read_json(path: Path) -> Any:
    """Return the content of a json file.

    Raises:
        UserError: it is not valid; the message names the line.
    """

    def refuse(name: str) -> NoReturn:
        raise UserError(f'{path} has the number {name}; only finite numbers have a meaning')

    text = read_text(path)
    try:
        return json.loads(text, parse_constant=refuse)
    except UserError:
        raise
    except json.JSONDecodeError as error:
        raise UserError(f'{path} line {error.lineno}: broken json: {error.msg}; {AGAIN}') from error
    except RecursionError as error:
        raise UserError(f'{path} is nested too deeply to be annotations; {AGAIN}') from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise UserError(f'{path} has a number with too many digits; {AGAIN}') from error


def read_yaml(path: Path, as_text: bool = False) -> Any:
    """Return the content of a yaml file. It cannot run code.

    Args:
        path: the file.
        as_text: leave ``yes``, ``null`` and ``01`` as they are written, as names need.

    Raises:
        UserError: it is not valid; the message names the line.
    """
    text = read_text(path)
    try:
        return yaml.load(text, Loader=yaml.BaseLoader if as_text else yaml.SafeLoader)
    except RecursionError as error:
        raise UserError(f'{path} is nested too deeply; {AGAIN}') from error
    except ValueError as error:  # such as 2025-02-31, which is a date
        raise UserError(f'{path}: broken yaml: {one_line(error):.80}; {AGAIN}') from error
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        line = f' line {mark.line + 1}' if mark else ''
        reason = getattr(error, 'problem', None) or one_line(error)
        raise UserError(f'{path}{line}: broken yaml: {reason}; {AGAIN}') from error


class Xml(NamedTuple):
    """An xml file.

    Attributes:
        path: the file.
        root: the outermost element.
        lines: the line of each element.
    """

    path: Path
    root: ElementTree.Element
    lines: dict[ElementTree.Element, int]

    def fault(self, element: ElementTree.Element, message: str) -> UserError:
        """Return an error with file and line."""
        return UserError(f'{self.path} line {self.lines[element]}: {message}')

    def text(self, element: ElementTree.Element, name: str) -> str:
        """Return the text of an element's child.

        Raises:
            UserError: there is no child of this name, or it is empty.
        """
        value = (element.findtext(name) or '').strip()
        if not value:
            raise self.fault(element, f'<{element.tag}> has no <{name}>; {AGAIN}')
        return value

    def number(self, element: ElementTree.Element, name: str) -> float:
        """Return the number in an element's child."""
        return self.as_number(element, name, self.text(element, name))

    def attribute(self, element: ElementTree.Element, name: str) -> str:
        """Return an attribute of an element."""
        value = element.get(name)
        if value is None:
            raise self.fault(element, f'<{element.tag}> has no {name}="..."; {AGAIN}')
        return value

    def as_number(self, element: ElementTree.Element, name: str, value: str) -> float:
        """Return a text as a number."""
        number = to_number(value)
        if number is None:
            raise self.fault(element, f'{name} is {value!r:.40}, not a number; {AGAIN}')
        return number


def read_xml(path: Path) -> Xml:
    """Return an xml file with the line of each element.

    A file with a document type is refused before any of its entities is expanded.

    Raises:
        UserError: the file is not valid; the message names the line.
    """
    builder, lines = ElementTree.TreeBuilder(), {}
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def refuse(*_: Any) -> NoReturn:
        raise UserError(
            f'{path} line {parser.CurrentLineNumber}: a document type (<!DOCTYPE>) is not read, '
            'because it can fill the memory; delete it'
        )

    parser.StartElementHandler, parser.EndElementHandler = start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
        return Xml(path, builder.close(), lines)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise UserError(f'{path} line {error.lineno}: broken xml: {reason}; {AGAIN}') from error
    except UserError:
        raise
    except (LookupError, ValueError) as error:  # the encoding that its first line names
        raise UserError(f'{path}: {one_line(error)}; save it in UTF-8') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error


def to_number(text: Any) -> float | None:
    """Return a finite number, as an integer where it is written as one; None if it is none."""
    try:
        value = int(text)
    except (TypeError, ValueError, OverflowError):
        try:
            value = float(text)
        except (TypeError, ValueError):
            return None
    return value if abs(value) < LARGEST else None
