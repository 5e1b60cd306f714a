"""The page as data, and as HTML. Every text is escaped by the template."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

NAMED = 8  # so many names are in a sentence
NOTHING = '–'  # where there is no number
# Control characters, which HTML does not allow, and halves of characters of broken file names.
FORBIDDEN = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')


@dataclass
class Cell:
    """A cell of a table: its text, and how strongly it is coloured, from 0 to 1."""

    text: str
    shade: float = 0.0


@dataclass
class Text:
    """A paragraph; a warning has a frame."""

    text: str
    warning: bool = False
    kind: str = 'text'


@dataclass
class Table:
    """A table; columns of texts stand on the left, columns of numbers on the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    title: str = ''
    note: str = ''
    facts: bool = False  # two columns of text
    kind: str = 'table'

    @property
    def sides(self) -> list[str]:
        """Where each column stands: 'text' (left) or 'number' (right)."""
        columns = zip(*self.rows, strict=True) if self.rows else [() for _ in self.header]
        return ['text' if any(map(_is_text, cells)) else 'number' for cells in columns]


@dataclass
class Chart:
    """A drawing as SVG, and what it shows."""

    svg: str
    title: str
    kind: str = 'chart'

    @property
    def markup(self) -> Markup:
        """The drawing, for the template: our own chart, whose texts are escaped already."""
        return Markup(self.svg)


@dataclass
class Charts:
    """Charts side by side, if the window is wide enough."""

    charts: Sequence[Chart]
    kind: str = 'charts'


@dataclass
class Pictures:
    """Pictures of images: (file beside the page, caption)."""

    pictures: Sequence[tuple[str, str]]
    title: str = ''
    small: bool = False
    kind: str = 'pictures'


@dataclass
class Code:
    """A text in a font of fixed width; folded away if it is long."""

    text: str
    title: str
    kind: str = 'code'


@dataclass
class Section:
    """A heading and what is under it. ``anchor`` is the name for links."""

    title: str
    anchor: str
    blocks: list[Any] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)


def _is_text(cell: str | Cell) -> bool:
    return isinstance(cell, str) and any(sign.isalpha() for sign in cell)


def render(title: str, summary: Sequence[str], sections: Sequence[Section]) -> bytes:
    """Return the page as HTML in UTF-8, complete in itself but for the pictures beside it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if isinstance(value, str) else value,
    )
    template = environment.get_template('page.html')
    html = template.render(title=title, summary=summary, sections=sections)
    return html.encode('utf-8')


def clean(text: str) -> str:
    """Return a text without characters that a page must not have; Markup stays Markup."""
    if isinstance(text, Markup):
        return text
    return FORBIDDEN.sub('\ufffd', text)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for the page; a dash if there is none.

    Example:
        >>> number(0.5), number(None), number(12345.6)
        ('0.500', '–', '12346')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.{digits}f}'


def measured(value: float | None, digits: int = 3) -> str:
    """Return a metric. COCO writes -1 where there is nothing to measure; that becomes a dash."""
    return NOTHING if value is None or value < 0 else number(value, digits)


def difference(value: float | None, digits: int = 3) -> str:
    """Return a difference with its sign.

    Example:
        >>> difference(0.25), difference(-0.25), difference(None)
        ('+0.250', '−0.250', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f'{abs(value):.{digits}f}'
    if not float(text):
        return text
    return f'+{text}' if value > 0 else f'−{text}'


def interval(bounds: tuple[float, float] | None, digits: int = 3) -> str:
    """Return an interval for the page."""
    if bounds is None:
        return NOTHING
    return f'{bounds[0]:.{digits}f} – {bounds[1]:.{digits}f}'
