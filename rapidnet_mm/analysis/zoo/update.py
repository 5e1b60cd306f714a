"""Count the models of the zoo again, and find the files that are out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mmengine.registry import MODELS

from ...engine.config import build_model, load_config
from ..compare import count, flops_on
from ..complexity import default_shape, measure
from . import metafiles, pictures
from .metafiles import Entry, Zoo, by
from .page import PAGE, page
from .pictures import Picture, Point

HOLLOW_AT = (224, 512)  # image side of the FLOPs that others print, and image side in the picture
ATTENTION = 'with SE'  # squeeze-and-excitation: a curve of its own


class Plot(NamedTuple):
    """The settings of a picture on the page."""

    path: str
    metric: str
    xlabel: str
    ylabel: str
    caption: str


PLOTS = {
    'imagenet': Plot(
        'docs/images/model_zoo.png',
        'Top 1 Accuracy',
        'FLOPs of an image of 224x224 (G), ours',
        'ImageNet top-1 (%), printed',
        'ImageNet accuracy as the authors print it, against the FLOPs that we count.',
    ),
    'coco': Plot(
        'docs/images/model_zoo_coco.png',
        'box AP',
        'FLOPs of the backbone at 512x512 (G), ours',
        'COCO box AP of Mask R-CNN, printed',
        'COCO box AP as the authors print it, against the FLOPs of the backbone that we count.',
    ),
    'ade20k': Plot(
        'docs/images/model_zoo_ade20k.png',
        'mIoU',
        'FLOPs of the backbone at 512x512 (G), ours',
        'ADE20K mIoU of Semantic FPN (%), printed',
        'ADE20K mIoU as the authors print it, against the FLOPs of the backbone that we count.',
    ),
}


def recount(zoo: Zoo, only: Callable[[Entry], bool] = lambda _: True) -> list[str]:
    """Count the models again, change ``zoo``, and return the names of those that have changed."""
    changed = []
    tables = zoo.tables
    for entry in filter(only, zoo.entries):
        if not entry.counted:
            continue
        counts = _counts(entry, tables[entry.data['Table']].get('Backbone'))
        if entry.counts != counts:
            changed.append(str(entry))
            entry.data['Metadata'] = counts
    return changed


def _counts(entry: Entry, backbone: str | None) -> dict[str, Any]:
    """Return the correct ``Metadata`` of a model."""
    if 'Build' in entry.data:
        model = MODELS.build(dict(entry.data['Build'])).to('meta')
        return {'Backbone FLOPs': measure(model, _shape(backbone)).total.flops}
    row = entry.row
    cfg = load_config(metafiles.ROOT / entry.config) if entry.config else None
    if cfg:
        shape = row.shape if row else default_shape(cfg)[0]
        total = measure(build_model(cfg), shape).total
    else:
        shape, total = row.shape, count(row)
    counts = {'Input': by(shape), 'Parameters': total.params}
    if total.learnable != total.params:
        counts['Learnable Parameters'] = total.learnable
    counts['FLOPs'] = total.flops
    if row and row.basis:
        counts['Comparable FLOPs'] = flops_on(row.build, row.basis)
    if backbone:
        model = build_model(cfg, backbone_only=True)
        counts['Backbone FLOPs'] = measure(model, _shape(backbone)).total.flops
    return counts


def _shape(text: str) -> tuple[int, int]:
    height, width = text.split('x')
    return int(height), int(width)


def texts(zoo: Zoo) -> dict[Path, str]:
    """Return the correct texts of the metafiles and the page, by path."""
    files = {path: _metafile(path, content) for path, content in zoo.files.items()}
    captions = {plot.path: plot.caption for name, plot in PLOTS.items() if picture(zoo, name)}
    return {**files, metafiles.ROOT / PAGE: page(zoo, captions)}


def stale(zoo: Zoo) -> dict[Path, bytes]:
    """Return the files that are out of date, with their correct content."""
    contents = {path: text.encode() for path, text in texts(zoo).items()}
    old = {p: data for p, data in contents.items() if not p.is_file() or p.read_bytes() != data}
    for name, plot in PLOTS.items():
        path, drawn = metafiles.ROOT / plot.path, picture(zoo, name)
        mark = drawn.fingerprint().encode() if drawn else b''
        if drawn and not (path.is_file() and mark in path.read_bytes()):
            old[path] = pictures.draw(drawn)
    return old


def _metafile(path: Path, content: Mapping[str, Any]) -> str:
    """Return the text of a metafile in our format, with the comment at its top."""
    comment = [line for line in path.read_text().splitlines(True) if line.startswith('#')]
    order = ('Name', 'Row', 'In Collection', 'Config', 'Table', 'Counted', 'Build', 'Metadata')
    content = dict(content)
    for key in ('Models', 'Published'):
        if key in content:
            content[key] = [
                {**{k: model[k] for k in order if k in model}, **model} for model in content[key]
            ]
    body = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return ''.join([*comment, body])


def picture(zoo: Zoo, name: str) -> Picture | None:
    """Return the content of a picture: the models of its tables; None if there are none."""
    plot = PLOTS[name]
    points = list(_points(zoo, name, plot.metric))
    notes = []
    if any(point.hollow for point in points):
        notes.append('hollow: FLOPs as printed at 224x224, times the area')
    if any(point.y is None for point in points):
        notes.append('vertical lines: FLOPs ours, no printed result is recorded here')
    return Picture(plot.xlabel, plot.ylabel, tuple(points), tuple(notes)) if points else None


def _points(zoo: Zoo, name: str, metric: str) -> Iterator[Point]:
    tables = {key: table for key, table in zoo.tables.items() if table.get('Picture') == name}
    for entry in zoo.entries:
        table = tables.get(entry.data['Table'])
        if table is None:
            continue
        flops, hollow = _flops(entry, table)
        result = entry.metrics('published').get(metric)
        if flops and (result is not None or entry.data.get('In Picture')):
            curve, label = curve_and_label(entry, table)
            yield Point(curve, label, flops / 1e9, result, hollow)


def _flops(entry: Entry, table: Mapping[str, Any]) -> tuple[float | None, bool]:
    """Return FLOPs, and whether they are calculated from printed FLOPs."""
    if 'Backbone' not in table:
        return entry.counts.get('FLOPs'), False
    printed = entry.printed.get('backbone FLOPs at 224x224')
    if printed:
        side, target = HOLLOW_AT
        return float(printed.removesuffix('G')) * 1e9 * (target / side) ** 2, True
    return entry.counts.get('Backbone FLOPs'), False


def curve_and_label(entry: Entry, table: Mapping[str, Any]) -> tuple[str, str]:
    """Return the family of a model and its name within the family, for a picture."""
    curve = entry.data['In Collection']
    if curve == 'Comparators':
        curve, _, label = entry.label.partition('-')
        return curve, label
    label = entry.label
    if entry.config and 'Backbone' in table:  # TASK_BACKBONE_DATASET
        label = label.partition('_')[2].rpartition('_')[0]
        label = label.removeprefix(f'{curve.lower()}_')
    words = curve.removesuffix(f' {ATTENTION}').split(', ')
    if ATTENTION in label and ATTENTION not in curve:
        curve += f' {ATTENTION}'
    for word in (*words, ATTENTION):
        label = label.replace(word, '')
    legend = f' ({table["Legend"]})' if 'Legend' in table else ''
    return curve + legend, label.strip(' -,')
