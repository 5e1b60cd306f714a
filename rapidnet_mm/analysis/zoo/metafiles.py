"""The metafiles of the model zoo: one per family, in the format of the OpenMMLab packages.

``model-index.yml`` lists them. People write published or measured results into them. Ours have keys
that the format does not have:

- ``Tables``, the tables of the page. A table may name the ``Picture`` that shows its models, a
  ``Legend`` for its curves, and the image size (``Backbone: 512x512``) for the FLOPs of the
  backbone alone;
- ``Published``, models of a paper that have no config here; ``Build`` is the config of a backbone
  to count; ``Counted: false`` means that nothing is counted;
- for a model: its ``Table``; ``Printed``, the other numbers that the authors print;
  ``In Picture``, to show its FLOPs although no accuracy is recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ...engine.config import PACKAGE
from ...errors import UserError, one_line
from ..latencies import LATENCIES
from ..papers import ROWS
from ..row import Row

ROOT = PACKAGE.parent  # the checkout; an installed package has no pages to write
INDEX = 'model-index.yml'
KINDS = ('published', 'measured')  # what a result's Source may be
DEVICES = {'cpu': 'CPU ms', 'gpu': 'GPU ms', 'npu': 'NPU ms'}


class Entry(NamedTuple):
    """A model of a metafile."""

    data: dict[str, Any]  # as in the metafile; counting changes it
    where: str  # path of the metafile in the repository

    @property
    def name(self) -> str:
        """Its name in papers.py: ``Row``, else ``Name``."""
        return self.data.get('Row', self.data['Name'])

    @property
    def label(self) -> str:
        """Its name on the page: the config's name for a detector, the paper's for a classifier."""
        named = self.row is None or isinstance(self.row.build, str)
        return self.data['Name'] if named else self.name

    @property
    def config(self) -> str:
        """Path of its config in the repository, or ''."""
        return self.data.get('Config', '')

    @property
    def counted(self) -> bool:
        """Whether we can build this model; if not, the page has only its printed numbers."""
        return self.data.get('Counted', True)

    @property
    def counts(self) -> dict[str, Any]:
        """What ``rapidnet zoo`` writes: ``Input`` (height x width), ``Parameters``, ``FLOPs``.

        ``Comparable FLOPs`` are counted as the authors counted theirs, see ``Row.basis``.
        """
        return self.data.get('Metadata', {})

    @property
    def row(self) -> Row | None:
        """The published counts, or None."""
        shape = self.counts.get('Input')
        rows = [r for r in ROWS if r.model == self.name and shape in (None, by(r.shape))]
        if len(rows) > 1:
            raise UserError(f'{self}: papers.py has it at several sizes; say which as Input')
        return rows[0] if rows else None

    @property
    def printed(self) -> dict[str, str]:
        """The other numbers that the authors print, by name: latencies and ``Printed``."""
        latency = LATENCIES.get(self.data['Name'])
        times = {name: getattr(latency, key, '') for key, name in DEVICES.items()}
        return {name: ms for name, ms in times.items() if ms} | self.data.get('Printed', {})

    def metrics(self, kind: str) -> dict[str, float]:
        """Return the results of one kind: 'published' or 'measured'."""
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
    def tables(self) -> dict[str, dict[str, Any]]:
        """The tables of the page, in order, by their ``Id``."""
        tables = (t for content in self.files.values() for t in content.get('Tables', []))
        return {table['Id']: table for table in tables}


def load() -> Zoo:
    """Read the index and all metafiles.

    Raises:
        UserError: a file is missing or has an error, or a config is in none of the files.
    """
    try:
        zoo = Zoo({path: _read(path) for path in map(_inside, _read(ROOT / INDEX)['Import'])})
    except (KeyError, TypeError) as error:
        raise UserError(f'{INDEX} needs Import, a list of metafiles') from error
    except OSError as error:
        raise UserError(f'{error.filename} cannot be read: {error.strerror}') from error
    for entry in zoo.entries:
        _check(entry, set(zoo.tables))
    missing = configs() - {entry.config for entry in zoo.entries}
    if missing:
        raise UserError(
            f'no metafile in configs/ has {", ".join(sorted(missing))}: add each to Models of '
            'configs/FAMILY/metafile.yml, with Name, In Collection, Config and Table'
        )
    return zoo


def _inside(name: str) -> Path:
    """Return the path of a metafile: others are not written over."""
    path = ROOT / name
    if (ROOT / 'configs').resolve() not in path.resolve().parents:
        raise UserError(f'{INDEX}: Import has {name}, which is not in configs/')
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (RecursionError, ValueError, yaml.YAMLError) as error:
        raise UserError(f'{path} cannot be read: {one_line(error)}') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} holds a {type(content).__name__}, not values by name')
    return content


def configs() -> set[str]:
    """Return the paths of all configs in the repository, without those in ``_base_``."""
    paths = (p.relative_to(ROOT) for p in (ROOT / 'configs').rglob('*.py'))
    return {path.as_posix() for path in paths if '_base_' not in path.parts}


def _check(entry: Entry, tables: set[str]) -> None:
    if entry.data.get('Table') not in tables:
        raise UserError(f'{entry}: Table has to be one of {sorted(tables)}')
    if entry.config and not (ROOT / entry.config).is_file():
        raise UserError(f'{entry}: {entry.config} does not exist')
    buildable = entry.row or ('Row' not in entry.data and (entry.config or 'Build' in entry.data))
    if not buildable and ('Row' in entry.data or entry.counted):
        raise UserError(f'{entry}: no row of papers.py is {entry.name!r} (Counted: false?)')
    for result in entry.data.get('Results', []):
        if result.get('Source') not in KINDS:
            raise UserError(f'{entry}: Source of a result has to be one of {KINDS}')


def by(shape: tuple[int, int]) -> str:
    """Return a shape as the metafiles write it: ``(224, 320)`` is '224x320'."""
    return 'x'.join(map(str, shape))
