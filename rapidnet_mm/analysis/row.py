"""A published number, and a row of a published table with the model to build.

A number has one of three kinds, which are never mixed: *printed* by the authors, with their digits;
*counted* from the code that they published; *derived* from the numbers that they print.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

UNITS = {'': 1, 'M': 10**6, 'G': 10**9, 'B': 10**9}


class Figure(NamedTuple):
    """A number: '4,091,257', '5.64 M' or '4.8M' (1e6), '0.348 G' or '0.40B' (1e9).

    Our count is compared with the counted number if there is one, else with the derived, else with
    the printed one. By default the tolerance is half a unit of the last digit, because papers round
    their numbers. A number with all digits must be equal.
    """

    printed: str = ''  # as the authors print it
    derived: str = ''  # calculated from what they print
    tolerance: str = ''  # such as '0.1 M'
    counted: str = ''  # from the code that they published

    @property
    def reference(self) -> str:
        """The number that our count is compared with, as text."""
        return self.counted or self.derived or self.printed

    @property
    def kind(self) -> str:
        """The kind of the reference: 'counted', 'derived' or 'printed'."""
        if self.counted:
            return 'counted'
        return 'derived' if self.derived else 'printed'

    @property
    def unit(self) -> str:
        """The unit of the reference: 'M', 'G', 'B' or ''."""
        return _split(self.reference)[1]

    @property
    def value(self) -> Decimal:
        """The value of the reference."""
        return _parse(self.reference)[0]

    @property
    def allowed(self) -> Decimal:
        """The largest allowed difference between our count and the reference."""
        if self.tolerance:
            return _parse(self.tolerance)[0]
        return _parse(self.reference)[1] / 2 if self.unit else Decimal(0)

    @property
    def text(self) -> str:
        """All known numbers with their kinds: '0.86B printed, 0.876 G counted'."""
        kinds = ('printed', 'counted', 'derived')
        return ', '.join(f'{getattr(self, kind)} {kind}' for kind in kinds if getattr(self, kind))


def _split(text: str) -> tuple[str, str]:
    digits, unit = re.fullmatch(r'([\d,.]+) ?([MGB]?)', text).groups()
    return digits, unit


def _parse(text: str) -> tuple[Decimal, Decimal]:
    """Return a number, and one unit of its last digit."""
    digits, unit = _split(text)
    number = Decimal(digits.replace(',', ''))
    return number * UNITS[unit], Decimal(1).scaleb(number.as_tuple().exponent) * UNITS[unit]


class Basis(NamedTuple):
    """How the authors counted their FLOPs, if they did not count the model of the row as it is."""

    shape: tuple[int, int]  # height and width of the image, in pixels
    without: tuple[str, ...] = ()  # parts that are not counted
    options: Mapping[str, Any] = {}  # other settings of the config

    def __str__(self) -> str:
        """Return the description for messages."""
        settings = [f'{key.rpartition(".")[2]}={value}' for key, value in self.options.items()]
        words = ['x'.join(map(str, self.shape)), *(f'without {p}' for p in self.without), *settings]
        return ', '.join(words)


class Row(NamedTuple):
    """One published model."""

    source: str
    model: str
    build: dict | str  # config of a backbone, or name of one of our config files
    shape: tuple[int, int]  # height and width of the image, in pixels
    params: Figure | None = None
    flops: Figure | None = None
    head: Mapping[str, Any] | None = None  # config of a class of rapidnet_mm.models.classifiers
    learnable: bool = False  # the published parameters do not include frozen ones
    basis: Basis | None = None
