"""Draw accuracy against latency: printed accuracies, latencies measured on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...engine.config import load_config
from ...errors import UserError
from ..complexity import default_shape
from ..speed.several import Model, Timed
from . import metafiles
from .metafiles import Entry, Zoo
from .pictures import PRINTED, Picture, Point
from .update import PLOTS, curve_and_label

PLOT = 'imagenet'
MACHINES = {'CPU ms': 'Xeon E5-2630 v4', 'NPU ms': 'iPhone 13 mini'}  # of the printed latencies


def models(zoo: Zoo, names: Sequence[str] = ()) -> list[Model]:
    """Return the classifiers in the picture that have a config; with ``names``, only these.

    Raises:
        UserError: a name is not one of them.
    """
    entries = {entry.data['Name']: entry for entry in _entries(zoo) if entry.config}
    unknown = set(names) - set(entries)
    if unknown:
        names = ' '.join(sorted(unknown))
        raise UserError(f'--models {names}: choose from {", ".join(entries)}')
    return [_model(entries[name]) for name in names or entries]


def _entries(zoo: Zoo) -> Iterator[Entry]:
    """Yield the models to draw: those with a printed accuracy, or with ``In Picture``."""
    for entry in zoo.entries:
        table = zoo.tables[entry.data['Table']]
        shown = entry.data.get('In Picture') or _accuracy(entry) is not None
        if table.get('Picture') == PLOT and shown:
            yield entry


def _accuracy(entry: Entry) -> float | None:
    return entry.metrics('published').get(PLOTS[PLOT].metric)


def _model(entry: Entry) -> Model:
    cfg = load_config(metafiles.ROOT / entry.config)
    return Model(entry.data['Name'], cfg, default_shape(cfg)[0])


def picture(zoo: Zoo, timed: Sequence[Timed], environment: str) -> Picture:
    """Return the picture: accuracies against measured and printed (hollow) latencies."""
    times = {one.model.name: one.speed.median * 1000 for one in timed}
    points = tuple(_points(zoo, times))
    notes = [f'filled: measured here on {environment}; as built, one image']
    if any(point.hollow for point in points):
        machines = ', '.join(f'{key.split()[0]}: {name}' for key, name in MACHINES.items())
        notes.append(f"hollow: latency as printed, on the authors' machine ({machines})")
    if any(point.y is None for point in points):
        notes.append('vertical lines: measured here, no printed accuracy is recorded')
    return Picture(
        'latency (ms), measured; hollow: printed', PLOTS[PLOT].ylabel, points, tuple(notes)
    )


def _points(zoo: Zoo, times: Mapping[str, float]) -> Iterator[Point]:
    tables = {entry.data['Table'] for entry in _entries(zoo) if entry.data['Name'] in times}
    for entry in _entries(zoo):
        if entry.data['Table'] not in tables:
            continue
        curve, label = curve_and_label(entry, zoo.tables[entry.data['Table']])
        accuracy = _accuracy(entry)
        if entry.data['Name'] in times:
            yield Point(curve, label, times[entry.data['Name']], accuracy)
        for device in MACHINES:
            if device in entry.printed and accuracy is not None:
                kind = f'{curve}{PRINTED} ({device.split()[0]})'
                # The measured point at the same height has the label already.
                name = '' if entry.data['Name'] in times and device == 'CPU ms' else label
                yield Point(kind, name, float(entry.printed[device]), accuracy, hollow=True)
