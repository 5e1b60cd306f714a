"""A published number, and a row of a table with the model to build.

A number is of one of three kinds, which are never mixed: *printed* by the authors, with their
digits; *counted*, of the code that they published; *derived*, worked out from what they print.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

UNITS = {'': 1, 'M': 10**6, 'G': 10**9, 'B': 10**9}


class Figure(NamedTuple):
    """A number: '4,091,257', '5.64 M' or '4.8M' (1e6), '0.348 G' or '0.40B' (1e9).

    Ours is compared with the counted number, if there is one; else with the derived one; else with
    the printed one. By default the tolerance is half a unit of its last digit, because papers
    round. A count that is given in full has to be exact.
    """

    printed: str = ''  # as the authors print it
    derived: str = ''  # worked out from what they print
    tolerance: str = ''  # such as '0.1 M'
    counted: str = ''  # of the code that they published

    @property
    def reference(self) -> str:
        """The number that ours is compared with, as a text."""
        return self.counted or self.derived or self.printed

    @property
    def kind(self) -> str:
        """'counted', 'derived' or 'printed': the kind of the number that ours is compared with."""
        if self.counted:
            return 'counted'
        return 'derived' if self.derived else 'printed'

    @property
    def unit(self) -> str:
        """'M', 'G', 'B' or '': of the number that ours is compared with."""
        return _split(self.reference)[1]

    @property
    def value(self) -> Decimal:
        """The number that ours is compared with."""
        return _parse(self.reference)[0]

    @property
    def allowed(self) -> Decimal:
        """The largest allowed difference between ours and the published number."""
        if self.tolerance:
            return _parse(self.tolerance)[0]
        return _parse(self.reference)[1] / 2 if self.unit else Decimal(0)

    @property
    def text(self) -> str:
        """All that is known, with its kind: '0.86B printed, 0.876 G counted'."""
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
    """What the printed FLOPs are of, where that is not the model of the row as it is."""

    shape: tuple[int, int]  # height and width of the image, in pixels
    without: tuple[str, ...] = ()  # parts that are not counted
    options: Mapping[str, Any] = {}  # other settings of the config

    def __str__(self) -> str:
        """Return it in words."""
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
