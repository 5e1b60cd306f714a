"""The page of the model zoo, as Markdown.

The columns say where a number comes from: *printed* by the authors, *counted* from the code that
they published, *derived* from what they print, *ours*, *measured* with a config of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from ..row import Figure
from .metafiles import Entry, Zoo

PAGE = 'docs/model_zoo.md'
INTRODUCTION = """# Model zoo

`rapidnet zoo` writes this page from the metafiles in `configs/`; do not edit it. The columns say
where a number comes from:

| column | what it is |
| --- | --- |
| printed | what the authors print in a paper or a README, with their digits |
| counted | counted from the code that the authors published |
| derived | calculated from what the authors print, because there is no published code |
| ours | our count of the model in this package |
| measured | the result of a training with our config |

FLOPs here are multiply-adds for one image, as in the papers. Ours do not include normalisation and
activations. An empty cell means that this package has no such number.
"""
UNITS = {'parameters': (1e6, 'M'), 'FLOPs': (1e9, 'G')}
NUMBERS = {'published': 'printed', 'measured': 'measured'}  # Source of a result: column


def page(zoo: Zoo, pictures: Mapping[str, str]) -> str:
    """Return the page; ``pictures`` has the caption of each picture by its path."""
    blocks = [INTRODUCTION]
    for path, caption in pictures.items():
        name = Path(path).relative_to(Path(PAGE).parent).as_posix()
        blocks.append(f'![{caption}]({name})\n\n{caption}\n')
    for content in zoo.files.values():
        family = content['Collections'][0]
        if 'Tables' in content:
            paper = f'[{family["Paper"]["Title"]}]({family["Paper"]["URL"]})'
            blocks.append(f'## {family["Name"]}\n\n{paper}\n')
        for table in content.get('Tables', []):
            entries = [e for e in zoo.entries if e.data['Table'] == table['Id']]
            # Models without a count of ours come last.
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
    for what in UNITS:
        columns |= _counts(what, entries)
    columns['comparable FLOPs, ours'] = [
        _number('FLOPs', e.counts.get('Comparable FLOPs')) for e in entries
    ]
    if 'Backbone' in table:
        head = f'FLOPs of the backbone at {table["Backbone"]}, ours'
        columns[head] = [_number('FLOPs', e.counts.get('Backbone FLOPs')) for e in entries]
    columns |= _accuracies(entries) | _printed(entries)
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    lines = [columns, ['---'] * len(columns), *zip(*columns.values(), strict=True)]
    body = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return f'### {table["Title"]}\n\n{note}{body}\n'


def _linked(entry: Entry) -> str:
    folders = '../' * (len(Path(PAGE).parts) - 1)
    return f'[{entry.label}]({folders}{entry.config})' if entry.config else entry.label


def _counts(what: str, entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Return the columns of 'parameters' or 'FLOPs': one per source."""
    columns: dict[str, list[str]] = {}
    figures = [_figure(what, entry) for entry in entries]
    for kind in ('printed', 'counted', 'derived'):
        columns[f'{what}, {kind}'] = [getattr(f, kind) for f in figures]
    cells = zip(entries, figures, strict=True)
    columns[f'{what}, ours'] = [_ours(what, entry, figure) for entry, figure in cells]
    return columns


def _figure(what: str, entry: Entry) -> Figure:
    row = entry.row
    figure = (row.params if what == 'parameters' else row.flops) if row else None
    figure = figure or Figure()
    return figure._replace(printed=figure.printed or entry.printed.get(what, ''))


def _ours(what: str, entry: Entry, figure: Figure) -> str:
    learnable = what == 'parameters' and entry.row is not None and entry.row.learnable
    key = {'parameters': 'Parameters', 'FLOPs': 'FLOPs'}[what]
    value = entry.counts.get('Learnable Parameters' if learnable else key)
    if value is not None and figure.reference and not figure.unit:
        return f'{value:,}'
    return _number(what, value) + (' learnable' if learnable else '')


def _number(what: str, value: int | None) -> str:
    one, unit = UNITS[what]
    return '' if value is None else f'{value / one:.3f} {unit}'


def _accuracies(entries: Sequence[Entry]) -> dict[str, list[str]]:
    columns = {}
    for kind, title in NUMBERS.items():
        names = dict.fromkeys(name for e in entries for name in e.metrics(kind))
        for _, group in groupby(names, key=lambda name: name.split()[0]):  # box, mask, Top
            group = list(group)
            rows = [[e.metrics(kind)[n] for n in group if n in e.metrics(kind)] for e in entries]
            digits = max(len(str(value).partition('.')[2]) for row in rows for value in row)
            columns[f'{" / ".join(group)}, {title}'] = [
                ' / '.join(f'{value:.{digits}f}' for value in row) for row in rows
            ]
    return columns


def _printed(entries: Sequence[Entry]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for e in entries for name in e.printed if name not in UNITS)
    return {f'{name}, printed': [e.printed.get(name, '') for e in entries] for name in names}
