"""Compare our parameters and FLOPs with the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..display.tables import text_table
from ..engine.config import build_model, config_file, load_config
from ..models import classifiers
from .complexity import Count, measure
from .row import UNITS, Basis, Figure, Row


class Classifier(nn.Module):
    """An ImageNet classifier: a backbone and a head for its last map.

    Shape: ``(N, 3, H, W) -> (N, classes)``.
    """

    def __init__(self, backbone: nn.Module, head: Mapping[str, Any]):
        super().__init__()
        self.backbone = backbone
        arguments = {key: value for key, value in head.items() if key != 'type'}
        build = getattr(classifiers, head['type'])
        self.head = build(backbone.out_channels[-1], **arguments)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x)[-1])


class Comparison(NamedTuple):
    """Our number and the published one, if there is one."""

    published: Figure | None
    ours: int

    @property
    def difference(self) -> Decimal | None:
        """Our number minus the published one."""
        return None if self.published is None else self.ours - self.published.value

    @property
    def within(self) -> bool:
        """Whether our number equals the published one, within its tolerance."""
        return self.published is None or abs(self.difference) <= self.published.allowed

    def to_dict(self) -> dict[str, object]:
        """Return plain values for json; numbers in units, not in millions."""
        if self.published is None:
            return {'ours': self.ours}
        return {
            'ours': self.ours,
            'printed': self.published.printed or None,
            'counted': self.published.counted or None,
            'derived': self.published.derived or None,
            'compared_with': float(self.published.value),
            'kind': self.published.kind,  # kind of the number that our count is compared with
            'difference': float(self.difference),
            'tolerance': float(self.published.allowed),
            'within': self.within,
        }

    def cells(self, unit: str) -> tuple[str, str, str, str]:
        """Return the cells of a table: ours, published, difference, tolerance.

        Numbers are in ``unit``, unless the paper prints them in another.
        """
        if self.published is None:
            return f'{self.ours / UNITS[unit]:.4f} {unit}', '', '', ''
        figure, unit = self.published, self.published.unit
        one = UNITS[unit]
        if not unit:
            return f'{self.ours:,}', figure.text, f'{self.difference:+,}', f'{figure.allowed:,}'
        ours, difference = f'{self.ours / one:.4f} {unit}', f'{self.difference / one:+.4f}'
        return ours, figure.text, difference, f'{figure.allowed / one:f}'


class Result(NamedTuple):
    """A published row and our counts for it."""

    row: Row
    params: Comparison
    flops: Comparison

    @property
    def within(self) -> bool:
        """Whether both of our numbers equal the published ones, within their tolerances."""
        return self.params.within and self.flops.within

    def to_dict(self) -> dict[str, object]:
        """Return plain values for json."""
        return {
            'source': self.row.source,
            'model': self.row.model,
            'shape': self.row.shape,
            'learnable_only': self.row.learnable,
            'flops_of': str(self.row.basis) if self.row.basis else None,
            'params': self.params.to_dict(),
            'flops': self.flops.to_dict(),
            'within': self.within,
        }


def to_text(results: Iterable[Result]) -> str:
    """Return a table for each source as text; rows that are out of tolerance are marked."""
    sides = ['published', 'difference', 'tolerance']
    header = ['model', 'input', 'parameters', *sides, 'FLOPs', *sides, 'note', '']
    tables = []
    for source, group in groupby(results, key=lambda result: result.row.source):
        rows = [
            (
                f'{r.row.model}{", learnable only" if r.row.learnable else ""}',
                'x'.join(map(str, r.row.shape)),
                *r.params.cells('M'),
                *r.flops.cells('G'),
                f'FLOPs of {r.row.basis}' if r.row.basis else '',
                '' if r.within else 'OFF',
            )
            for r in group
        ]
        tables.append(text_table(header, rows, source))
    return '\n\n'.join(tables)


def compare(row: Row) -> Result:
    """Build and count the model of a row, and compare it with what is published.

    Raises:
        UserError: its config file is missing.
    """
    total = count(row)
    params = total.learnable if row.learnable else total.params
    flops = flops_on(row.build, row.basis) if row.basis else total.flops
    return Result(row, Comparison(row.params, params), Comparison(row.flops, flops))


def flops_on(config: str, basis: Basis) -> int:
    """Return the FLOPs of a config, counted as the authors counted theirs."""
    cfg = load_config(config_file(config))
    cfg.merge_from_dict(dict(basis.options))
    complexity = measure(build_model(cfg), basis.shape)
    return complexity.total.flops - sum(complexity.modules[part].flops for part in basis.without)


def count(row: Row) -> Count:
    """Build the model of a row and count it.

    Raises:
        UserError: its config file is missing.
    """
    if isinstance(row.build, str):
        model = build_model(load_config(config_file(row.build)))
    else:
        model = MODELS.build(row.build)
        if row.head:
            model = Classifier(model, row.head)
        model = model.to('meta')
    return measure(model, row.shape).total
