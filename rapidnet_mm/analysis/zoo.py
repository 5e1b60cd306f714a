"""The model zoo: one page with accuracies and configs from metafiles, and counts of our models.

``model-index.yml`` lists the metafiles, one a family, in the format of the OpenMMLab packages.
Authors write the published or measured results into them; :func:`recount` writes our counts. Our
metafiles add three keys to the format: ``Tables``, the tables of the page;
``Published``, models of a paper that have no config here; and the ``Table`` of every model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..engine.config import PACKAGE, build_model, load_config
from ..errors import UserError
from . import zoo_picture
from .compare import count
from .complexity import Count, default_shape, measure
from .papers import ROWS, Figure, Row
from .zoo_picture import Point

ROOT = PACKAGE.parent  # of the checkout: an installed package has no pages to write
INDEX = 'model-index.yml'
PAGE = 'docs/model_zoo.md'
PICTURE = 'docs/images/model_zoo.png'
KINDS = ('published', 'measured')  # what a result's Source may be
INTRODUCTION = """# Model zoo

`rapidnet zoo` writes this page from the metafiles in `configs/`; do not edit it. *Published* is
what the papers print, *ours* is what we count: parameters, and FLOPs of one image without
normalisation and activations. FLOPs here are multiply-adds, as in the papers. Accuracies are
published, not measured with these configs, unless a column says *measured*.
"""


class Entry(NamedTuple):
    """A model of a metafile."""

    data: dict[str, Any]  # as in the metafile; recount() changes it
    where: str  # path of the metafile in the repository

    @property
    def name(self) -> str:
        """Its name in papers.py: ``Row``, else ``Name``."""
        return self.data.get('Row', self.data['Name'])

    @property
    def label(self) -> str:
        """Its name on the page: a detector has that of its config, a classifier the paper's."""
        named = self.row is None or isinstance(self.row.build, str)
        return self.data['Name'] if named else self.name

    @property
    def config(self) -> str:
        """Path of its config in the repository, or ''."""
        return self.data.get('Config', '')

    @property
    def counted(self) -> bool:
        """Whether we can build this model; if not, the page has only its accuracy."""
        return self.data.get('Counted', True)

    @property
    def counts(self) -> dict[str, Any]:
        """What recount() writes: ``Input`` (height x width), ``Parameters``, ``FLOPs``."""
        return self.data.get('Metadata', {})

    @property
    def row(self) -> Row | None:
        """The published counts, or None."""
        shape = self.counts.get('Input')
        rows = [r for r in ROWS if r.model == self.name and shape in (None, _by(r.shape))]
        if len(rows) > 1:
            raise UserError(f'{self}: papers.py has it at several sizes; say which as Input')
        return rows[0] if rows else None

    def metrics(self, kind: str) -> dict[str, float]:
        """Return the results that are 'published' or those that are 'measured'."""
        results = (r for r in self.data.get('Results', []) if r['Source'] == kind)
        return {name: value for r in results for name, value in r['Metrics'].items()}

    def __str__(self) -> str:
        return f'{self.where}: {self.data["Name"]}'


class Zoo(NamedTuple):
    """All metafiles: their contents by path."""

    files: dict[Path, dict[str, Any]]

    @property
    def entries(self) -> list[Entry]:
        """All models, with a config of ours and without."""
        return [
            Entry(model, path.relative_to(ROOT).as_posix())
            for path, content in self.files.items()
            for key in ('Models', 'Published')
            for model in content.get(key, [])
        ]

    @property
    def tables(self) -> list[dict[str, Any]]:
        """The tables of the page, in order."""
        return [table for content in self.files.values() for table in content.get('Tables', [])]


def load() -> Zoo:
    """Read the index and all metafiles.

    Raises:
        UserError: one is missing, or something in it is wrong.
    """
    try:
        index = yaml.safe_load((ROOT / INDEX).read_text())
        zoo = Zoo({ROOT / p: yaml.safe_load((ROOT / p).read_text()) for p in index['Import']})
    except OSError as error:
        raise UserError(f'{error.filename} cannot be read: {error.strerror}') from error
    for entry in zoo.entries:
        _check(entry, {table['Id'] for table in zoo.tables})
    return zoo


def _check(entry: Entry, tables: set[str]) -> None:
    if entry.data.get('Table') not in tables:
        raise UserError(f'{entry}: Table has to be one of {sorted(tables)}')
    if entry.config and not (ROOT / entry.config).is_file():
        raise UserError(f'{entry}: {entry.config} does not exist')
    if entry.row is None and ('Row' in entry.data or (entry.counted and not entry.config)):
        raise UserError(f'{entry}: no row of papers.py is {entry.name!r} (Counted: false?)')
    for result in entry.data.get('Results', []):
        if result.get('Source') not in KINDS:
            raise UserError(f'{entry}: Source of a result has to be one of {KINDS}')


def recount(zoo: Zoo, only: Callable[[Entry], bool] = lambda _: True) -> list[str]:
    """Count the models again, change ``zoo``, and return the names of those that have changed."""
    changed = []
    for entry in filter(only, zoo.entries):
        if not entry.counted:
            continue
        shape, total = _count(entry)
        counts = {'Input': _by(shape), 'Parameters': total.params}
        if total.learnable != total.params:
            counts['Learnable Parameters'] = total.learnable
        counts['FLOPs'] = total.flops
        if entry.counts != counts:
            changed.append(str(entry))
            entry.data['Metadata'] = counts
    return changed


def _count(entry: Entry) -> tuple[tuple[int, int], Count]:
    row = entry.row
    if not entry.config:
        return row.shape, count(row)
    cfg = load_config(ROOT / entry.config)
    shape = row.shape if row else default_shape(cfg)[0]
    return shape, measure(build_model(cfg), shape).total


def _by(shape: tuple[int, int]) -> str:
    return 'x'.join(map(str, shape))


def texts(zoo: Zoo) -> dict[Path, str]:
    """Return the texts that the metafiles and the page should have, by path."""
    files = {path: _metafile(path, content) for path, content in zoo.files.items()}
    return {**files, ROOT / PAGE: page(zoo)}


def stale(zoo: Zoo) -> dict[Path, bytes]:
    """Return the files that are out of date, with the content that they should have."""
    contents = {path: text.encode() for path, text in texts(zoo).items()}
    old = {p: data for p, data in contents.items() if not p.is_file() or p.read_bytes() != data}
    picture, drawn = ROOT / PICTURE, points(zoo)
    mark = zoo_picture.fingerprint(drawn).encode()
    if drawn and not (picture.is_file() and mark in picture.read_bytes()):
        old[picture] = zoo_picture.draw(drawn)
    return old


def _metafile(path: Path, content: Mapping[str, Any]) -> str:
    """Return the text of a metafile in its one form, with the comment at its top."""
    comment = [line for line in path.read_text().splitlines(True) if line.startswith('#')]
    order = ('Name', 'Row', 'In Collection', 'Config', 'Table', 'Counted', 'Metadata')
    content = dict(content)
    for key in ('Models', 'Published'):
        if key in content:
            content[key] = [
                {**{k: model[k] for k in order if k in model}, **model} for model in content[key]
            ]
    body = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return ''.join([*comment, body])


def page(zoo: Zoo) -> str:
    """Return the page as Markdown."""
    blocks = [INTRODUCTION]
    if points(zoo):
        name = Path(PICTURE).relative_to(Path(PAGE).parent).as_posix()
        blocks.append(
            f'![Published ImageNet accuracy against our FLOPs]({name})\n\n'
            'Published top-1 accuracy against the FLOPs that we count.\n'
        )
    for content in zoo.files.values():
        family = content['Collections'][0]
        if 'Tables' in content:
            paper = f'[{family["Paper"]["Title"]}]({family["Paper"]["URL"]})'
            blocks.append(f'## {family["Name"]}\n\n{paper}\n')
        for table in content.get('Tables', []):
            entries = [e for e in zoo.entries if e.data['Table'] == table['Id']]
            # Models that we do not have come last.
            blocks.append(_section(table, sorted(entries, key=lambda e: not e.counted)))
    return '\n'.join(blocks)


def _section(table: Mapping[str, str], entries: list[Entry]) -> str:
    shapes = {e.counts['Input'] for e in entries if 'Input' in e.counts}
    note = f'{table["Note"]}\n\n' if 'Note' in table else ''
    columns = {'model': [_linked(e) for e in entries]}
    if len(shapes) > 1:
        columns['input'] = [e.counts.get('Input', '') for e in entries]
    elif shapes:
        note = f'Input {shapes.pop()}. {note}' if note else f'Input {shapes.pop()}.\n\n'
    columns |= _counts(entries) | _accuracies(entries)
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    lines = [columns, ['---'] * len(columns), *zip(*columns.values(), strict=True)]
    body = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return f'### {table["Title"]}\n\n{note}{body}\n'


def _linked(entry: Entry) -> str:
    folders = '../' * (len(Path(PAGE).parts) - 1)
    return f'[{entry.label}]({folders}{entry.config})' if entry.config else entry.label


def _counts(entries: Iterable[Entry]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {
        f'{what}, {side}': [] for what in ('parameters', 'FLOPs') for side in ('published', 'ours')
    }
    for entry in entries:
        row = entry.row
        key = 'Learnable Parameters' if row and row.learnable else 'Parameters'
        params, flops = entry.counts.get(key), entry.counts.get('FLOPs')
        cells = (
            row.params.printed if row and row.params else '',
            _number(params, row.params if row else None, 'M')
            + (' learnable' if row and row.learnable else ''),
            row.flops.printed if row and row.flops else '',
            _number(flops, row.flops if row else None, 'G'),
        )
        for column, cell in zip(columns.values(), cells, strict=True):
            column.append(cell)
    return columns


def _number(value: int | None, published: Figure | None, unit: str) -> str:
    if value is None:
        return ''
    if published is not None and not published.unit:
        return f'{value:,}'
    return f'{value / {"M": 1e6, "G": 1e9}[unit]:.3f} {unit}'


def _accuracies(entries: list[Entry]) -> dict[str, list[str]]:
    columns = {}
    for kind in KINDS:
        names = dict.fromkeys(name for e in entries for name in e.metrics(kind))
        for _, group in groupby(names, key=lambda name: name.split()[0]):  # box, mask, Top
            group = list(group)
            columns[f'{" / ".join(group)}, {kind}'] = [
                ' / '.join(str(e.metrics(kind)[n]) for n in group if n in e.metrics(kind))
                for e in entries
            ]
    return columns


def points(zoo: Zoo) -> list[Point]:
    """Return the models for the picture: with a published accuracy, in a table that is drawn."""
    return list(_points(zoo))


def _points(zoo: Zoo) -> Iterator[Point]:
    drawn = {table['Id'] for table in zoo.tables if table.get('Picture')}
    for entry in zoo.entries:
        accuracy = entry.metrics('published').get('Top 1 Accuracy')
        if entry.data['Table'] in drawn and accuracy is not None and 'FLOPs' in entry.counts:
            curve = entry.data['In Collection']
            label = entry.label.removeprefix(curve).strip(' -')
            yield Point(curve, label, entry.counts['FLOPs'] / 1e9, accuracy)
