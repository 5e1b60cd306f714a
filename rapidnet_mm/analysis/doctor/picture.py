"""A picture of a data set: classes, sizes, positions, and examples of each class."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ...display.drawing import paint, palette_of
from ...display.images import read_image
from ...errors import UserError
from .data.classes import counts_of
from .data.examine import Examined
from .data.samples import Object, Sample, Split

MOST_CLASSES = 20  # bars and examples; with more classes, the most frequent ones
EXAMPLES = 4  # of a class
SIDE = 96  # pixels of an example
GRID = 48  # cells of the map of positions
DPI = 80
COLUMN, ROW = 4.6, 3.4  # inches
EXAMPLE_ROW = 1.05  # inches
SHADES = ('tab:blue', 'tab:orange', 'tab:green')


def draw_data(parts: Sequence[Examined]) -> bytes:
    """Return a PNG of the data sets: charts above, examples of the first one below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first = parts[0]
    shown = _frequent(first)
    rows = -(-len(shown) // 3)
    charts = {'objects': _object_charts, 'maps': _map_charts}.get(first.split.kind)
    heights = (ROW if charts is None else 2 * ROW, EXAMPLE_ROW * rows + 0.3)
    figure = Figure(figsize=(3 * COLUMN, sum(heights)), layout='constrained', dpi=DPI)
    FigureCanvasAgg(figure)
    top, bottom = figure.subfigures(2, 1, height_ratios=heights, squeeze=True)
    axes = top.subplots(1 if charts is None else 2, 3).flatten()
    names = ', '.join(f'{part.split.name} {len(part.split.samples)}' for part in parts)
    top.suptitle(f'images: {names}')
    _classes(axes[0], parts, shown)
    _image_sizes(axes[1], parts)
    _brightness(axes[2], parts)
    if charts is not None:
        charts(axes[3:], parts, shown)
    _examples(bottom, first, shown, rows)
    picture = io.BytesIO()
    figure.savefig(picture, format='png', pil_kwargs={'optimize': True})
    return picture.getvalue()


def _frequent(part: Examined) -> list[int]:
    """Return the classes to draw: all, or the most frequent, in their order."""
    counts = counts_of(part.split, part.pixels)
    labels = range(len(part.split.classes))
    return sorted(sorted(labels, key=lambda label: -counts[label])[:MOST_CLASSES])


def _classes(axes: Any, parts: Sequence[Examined], shown: list[int]) -> None:
    """Draw how many objects, images or label maps each class has in each split."""
    width = 0.8 / len(parts)
    for index, part in enumerate(parts):
        counts = counts_of(part.split, part.pixels)
        places = np.arange(len(shown)) + index * width
        numbers = [counts[label] for label in shown]
        axes.barh(places, numbers, width, label=part.split.name, color=SHADES[index % 3])
    classes = parts[0].split.classes
    names = [_short(classes[label]) for label in shown]
    axes.set_yticks(np.arange(len(shown)) + 0.4 - width / 2, names, fontsize='small')
    axes.invert_yaxis()
    noun = {'objects': 'objects', 'maps': 'label maps', 'classes': 'images'}[parts[0].split.kind]
    more = len(classes) - len(shown)
    note = f', {more} rarer classes are not shown' if more else ''
    axes.set(title=f'{noun} of each class{note}', xlabel=noun)
    axes.legend(fontsize='small')


def _image_sizes(axes: Any, parts: Sequence[Examined]) -> None:
    for index, part in enumerate(parts):
        sizes = Counter(look.size for look in part.looks if look)
        if sizes:
            width, height = zip(*sizes, strict=True)
            area = [15 + 300 * count / sum(sizes.values()) for count in sizes.values()]
            color = SHADES[index % 3]
            axes.scatter(width, height, area, alpha=0.4, label=part.split.name, color=color)
    axes.set(title='sizes of the images', xlabel='width (px)', ylabel='height (px)')
    axes.grid(alpha=0.3)
    axes.margins(0.2)


def _brightness(axes: Any, parts: Sequence[Examined]) -> None:
    for index, part in enumerate(parts):
        means = [look.mean for look in part.looks if look]
        axes.hist(means, 32, (0, 255), alpha=0.6, label=part.split.name, color=SHADES[index % 3])
    axes.set(title='mean brightness of the images', xlabel='0 is black, 255 is white')
    axes.set(ylabel='images')


def _object_charts(axes: Any, parts: Sequence[Examined], _: list[int]) -> None:
    """Draw sizes and positions of boxes."""
    objects = [entry for part in parts for _, entry in _objects(part.split)]
    largest = max((max(entry.box[2:]) for entry in objects), default=128)
    bins = np.geomspace(1, max(largest, 128), 37)
    for index, part in enumerate(parts):
        sides = [np.sqrt(max(o.box[2] * o.box[3], 1e-3)) for _, o in _objects(part.split)]
        axes[0].hist(sides, bins, alpha=0.6, label=part.split.name, color=SHADES[index % 3])
    axes[0].set_xscale('log', base=2)
    axes[0].xaxis.set_major_formatter('{x:g}')
    for side, name in ((32, 'small '), (96, ' large')):  # of COCO's metrics
        axes[0].axvline(side, color='gray', linestyle=':')
        where = dict(transform=axes[0].get_xaxis_transform(), fontsize='small', color='gray')
        axes[0].text(side, 0.97, name, va='top', ha='right' if side == 32 else 'left', **where)
    axes[0].set(title='sizes of the objects', xlabel='side of a square of that area (px)')
    axes[0].set(ylabel='objects')
    heat = positions(parts[0].split)
    axes[1].imshow(heat, cmap='magma', vmin=0, extent=(0, 1, 1, 0), aspect='auto')
    axes[1].set(title=f'where objects are ({parts[0].split.name})')
    axes[1].set(xlabel='share of the width', ylabel='share of the height')
    numbers = [len(sample.objects) for sample in parts[0].split.samples]
    axes[2].hist(numbers, np.arange(-0.5, max(numbers, default=0) + 1.5), color=SHADES[0])
    axes[2].set(title=f'objects in an image ({parts[0].split.name})', xlabel='objects')
    axes[2].set(ylabel='images')


def positions(split: Split) -> np.ndarray:
    """Return how many boxes cover each cell of an image, relative to its size."""
    heat = np.zeros((GRID, GRID))
    for sample, entry in _objects(split):
        (x, y, wide, high), (width, height) = entry.box, sample.size
        left, right = (int(np.clip(GRID * v / width, 0, GRID)) for v in (x, x + wide))
        low, top = (int(np.clip(GRID * v / height, 0, GRID)) for v in (y, y + high))
        heat[low : max(top, low + 1), left : max(right, left + 1)] += 1
    return heat


def _map_charts(axes: Any, parts: Sequence[Examined], shown: list[int]) -> None:
    """Draw the share of the pixels of each class, and how many classes a map has."""
    classes = parts[0].split.classes
    names = [_short(classes[label]) for label in shown] + ['not labelled']
    width = 0.8 / len(parts)
    for index, part in enumerate(parts):
        total: Counter = sum(part.pixels, Counter())
        pixels = sum(total.values()) or 1
        shares = [100 * total[label] / pixels for label in [*shown, -1]]
        places = np.arange(len(names)) + index * width
        axes[0].barh(places, shares, width, label=part.split.name, color=SHADES[index % 3])
        numbers = [sum(label >= 0 for label in own) for own in part.pixels]
        axes[1].hist(
            numbers, np.arange(-0.5, max(numbers, default=0) + 1.5), alpha=0.6, color=SHADES[index]
        )
    axes[0].set_yticks(np.arange(len(names)) + 0.4 - width / 2, names, fontsize='small')
    axes[0].invert_yaxis()
    axes[0].set(title='pixels of each class', xlabel='share (%)')
    axes[1].set(title='classes in a label map', xlabel='classes', ylabel='label maps')
    axes[2].set_axis_off()


def _examples(figure: Any, part: Examined, shown: list[int], rows: int) -> None:
    """Draw some examples of each class, three classes in a row."""
    grid = figure.subplots(rows, 3, squeeze=False)
    counts = counts_of(part.split, part.pixels)
    for axes in grid.flatten():
        axes.set_axis_off()
    for axes, label in zip(grid.flatten(), shown, strict=False):
        strip = np.full((SIDE, EXAMPLES * (SIDE + 4), 3), 255, np.uint8)
        for index, picture in enumerate(examples_of(part, label)):
            left = index * (SIDE + 4)
            strip[:, left : left + SIDE] = picture
        axes.imshow(strip)
        name = f'{_short(part.split.classes[label])} ({counts[label]})'
        axes.set_title(name, fontsize='small', loc='left', pad=2)


def examples_of(part: Examined, label: int) -> list[np.ndarray]:
    """Return a few examples of a class, RGB pictures of ``SIDE`` pixels; from all over the data."""
    split = part.split
    if split.kind == 'objects':
        places = [(s, o) for s, o in _objects(split) if o.label == label and min(o.box[2:]) >= 1]
        places.sort(key=lambda place: -place[1].box[2] * place[1].box[3])
        places = _spread(places[: max(EXAMPLES, len(places) // 2)])  # the larger half shows more
        return [p for p in (_object_picture(*place) for place in places) if p is not None]
    if split.kind == 'maps':
        ranked = sorted(range(len(part.samples)), key=lambda i: -part.pixels[i][label])
        best = [part.samples[i] for i in ranked[:EXAMPLES] if part.pixels[i][label]]
        return [p for p in (_map_picture(split, s, label) for s in best) if p is not None]
    chosen = _spread([sample for sample in split.samples if sample.label == label])
    return [_fitted(p) for p in map(_pixels, chosen) if p is not None]


def _spread(items: list[Any]) -> list[Any]:
    """Return a few items, evenly from the first to the last."""
    if len(items) <= EXAMPLES:
        return items
    return [items[round(i * (len(items) - 1) / (EXAMPLES - 1))] for i in range(EXAMPLES)]


def _object_picture(sample: Sample, entry: Object) -> np.ndarray | None:
    """Return the surroundings of an object, with its box."""
    pixels = _pixels(sample)
    if pixels is None:
        return None
    x, y, wide, high = entry.box
    side = max(1.3 * max(wide, high), 16)
    left, top = x + wide / 2 - side / 2, y + high / 2 - side / 2
    factor = SIDE / side
    move = np.array([[factor, 0, -factor * left], [0, factor, -factor * top]])
    crop = cv2.warpAffine(pixels, move, (SIDE, SIDE), borderValue=(230, 230, 230))
    corners = [round(factor * value) for value in (x - left, y - top)]
    ends = [round(factor * value) for value in (x - left + wide, y - top + high)]
    return cv2.rectangle(crop, corners, ends, (255, 40, 40), 1)


def _map_picture(split: Split, sample: Sample, label: int) -> np.ndarray | None:
    """Return an image with the pixels of one class coloured."""
    pixels = _pixels(sample)
    labels = cv2.imread(sample.label_map, cv2.IMREAD_UNCHANGED)
    if pixels is None or labels is None or labels.shape != pixels.shape[:2]:
        return None
    colour = palette_of({'classes': split.classes, 'palette': split.palette})[label]
    inside = labels == label + split.zero_is_ignored
    mixed = np.where(inside[..., None], paint(pixels, np.zeros_like(labels), [colour]), pixels)
    return _fitted(mixed)


def _pixels(sample: Sample) -> np.ndarray | None:
    try:
        return np.ascontiguousarray(read_image(sample.path)[..., ::-1])
    except UserError:
        return None  # a finding says so


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """Return an image in a square, with a grey border."""
    height, width = pixels.shape[:2]
    factor = SIDE / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    canvas = np.full((SIDE, SIDE, 3), 230, np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def _objects(split: Split) -> list[tuple[Sample, Object]]:
    return [(s, o) for s in split.samples for o in s.objects if not o.is_crowd]


def _short(name: str) -> str:
    return name if len(name) <= 18 else f'{name[:17]}…'
