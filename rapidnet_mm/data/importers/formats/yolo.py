"""YOLO: a text file beside each image, with fractions of its width and height; ``data.yaml``.

A line is a class and a box (centre, width, height), or a class and a polygon. Crowds, holes and
parts have no place in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ....errors import UserError
from ...checks.messages import counted, first_few
from ..dataset import SPLITS
from ..folders import files_under, is_image, measure, split_of_path
from ..geometry import extent, joined, mask_of, outer_and_holes, rings_of_mask
from ..names import find_list, plain_names
from ..parse import read_lines, read_yaml, to_number
from ..samples import (
    Annotation,
    Box,
    Collection,
    Picture,
    check_class_names,
    check_objects,
    task_of_objects,
    tidy,
)
from ..source import Source
from ..target import Place, losses, target_names

MOST_UNNAMED = 9999  # classes without a list of names; a higher number is a fault
SLACK = 0.01  # of a side: annotation tools write corners that are a little outside
KEYS = {'train': ('train',), 'val': ('val', 'valid', 'validation'), 'test': ('test',)}


def read(source: Source) -> Collection:
    """Return the content of a data set in YOLO format.

    Raises:
        UserError: a line is not valid, or labels have no image.
    """
    notes: list[str] = []
    settings = _data_yaml(source)
    path, content = settings or (None, {})
    names = _names(content, path, source)
    splits = _splits_of_yaml(content, path) if path else {}
    splits = splits or {
        image: split_of_path(image, source.roots) for image in source.all_files if is_image(image)
    }
    pictures = [Picture(image, 0, 0, split) for image, split in splits.items()]
    labels = _labels_of(pictures, source)
    measure(pictures)
    by_class: dict[int, str] = dict(enumerate(names))
    for picture in pictures:
        if picture.path in labels:
            lines = _objects(labels[picture.path], picture, by_class, bool(names), content)
            picture.objects += lines
    if not names:
        count = max(by_class, default=-1) + 1
        names = [f'class_{number}' for number in range(count)]
        notes.append('there is no data.yaml or classes.txt: the classes are named class_0, ...')
    if 'kpt_shape' in content:
        notes.append('the keypoints of the objects are not used')
    empty = sum(picture.path not in labels for picture in pictures)
    if empty:
        notes.append(f'{counted(empty, "image")} without a label file: images without objects')
    collection = Collection('yolo', task_of_objects(pictures, notes), names, pictures, notes)
    check_objects(collection, str(source.roots[0]))
    return collection


def _data_yaml(source: Source) -> tuple[Path, Mapping[str, Any]] | None:
    found = []
    given = [path for path in source.given if path.is_file()]
    for path in [path for path in source.all_files if path in given] or source.all_files:
        if path.suffix.lower() in ('.yaml', '.yml'):
            content = read_yaml(path)
            if isinstance(content, dict) and 'names' in content:
                content['names'] = read_yaml(path, as_text=True)['names']
                found.append((path, content))
    if len(found) > 1:
        names = first_few([str(path) for path, _ in found])
        raise UserError(f'{len(found)} files describe the data: {names}; give one of them')
    return found[0] if found else None


def _names(content: Mapping[str, Any], path: Path | None, source: Source) -> list[str]:
    names = content.get('names')
    if path is None:
        listed = plain_names(find_list(source.all_files))
        return listed
    if isinstance(names, dict):
        keys = [to_number(key) for key in names]
        if sorted(keys, key=str) != sorted(range(len(keys)), key=str):
            raise UserError(f'{path}: names must be numbered 0 to {len(names) - 1} without gaps')
        names = [names[key] for _, key in sorted(zip(keys, names, strict=True))]
    if not isinstance(names, list) or not names:
        raise UserError(f'{path}: names must be a list of class names, not {names!r:.60}')
    if not all(isinstance(name, str) for name in names):
        raise UserError(f'{path}: names must be a list of texts, without lists in it')
    count = to_number(content.get('nc', len(names)))
    if count != len(names):
        raise UserError(
            f'{path}: nc is {content["nc"]!s:.20}, but names has {len(names)}; correct one of them'
        )
    check_class_names(names, f'{path} (names)')
    return names


def _splits_of_yaml(content: Mapping[str, Any], path: Path) -> dict[Path, str]:
    """Return the split of each image that data.yaml names by folders or lists."""
    splits: dict[Path, str] = {}
    for split in SPLITS:
        value = next((content[key] for key in KEYS[split] if content.get(key)), None)
        for part in value if isinstance(value, list) else [value] if value else []:
            if not isinstance(part, str):
                raise UserError(f'{path}: {split} must name a folder or a list of images')
            for image in _images_of(_resolve(part, content, path), path):
                if splits.setdefault(image, split) != split:
                    raise UserError(
                        f'{path}: {image} is in {splits[image]} and in {split}; an image of both '
                        'makes the results look better than they are'
                    )
    return splits


def _resolve(value: str, content: Mapping[str, Any], path: Path) -> Path:
    base = Path(content['path'] if isinstance(content.get('path'), str) else '')
    # Roboflow writes ../train/images where train/images is meant.
    shorter = re.sub(r'^(\.\./)+', '', value)
    choices = [path.parent / base / value, base / value, path.parent / value]
    choices += [path.parent / shorter]
    for choice in choices:
        if os.path.exists(choice):
            return Path(choice)
    places = ' nor '.join(dict.fromkeys(f'{choice!s:.150}' for choice in choices[::3]))
    raise UserError(
        f'{path} names {value!r:.80}, but there is no {places}; correct path, train and val'
    )


def _images_of(place: Path, path: Path) -> Iterator[Path]:
    """Yield the images in a folder, or those that a list names."""
    if place.is_dir():
        yield from filter(is_image, files_under([place]))
        return
    for number, line in read_lines(place):
        choices = [place.parent / line, path.parent / line, Path(line)]
        image = next((choice for choice in choices if choice.is_file()), None)
        if image is None:
            raise UserError(f'{place} line {number}: image {line} does not exist; correct the list')
        yield Path(*image.parts)


def _labels_of(pictures: list[Picture], source: Source) -> dict[Path, Path]:
    """Return the label file of each image: in ``labels/`` for ``images/``, or beside it."""
    labels, unused = {}, {*source.files}
    by_stem: dict[str, list[Path]] = {}
    for file in source.files:
        by_stem.setdefault(file.stem, []).append(file)
    for picture in pictures:
        path = picture.path
        beside = path.with_suffix('.txt')
        parts = list(path.parts)
        if 'images' in parts[:-1]:
            last = len(parts) - 2 - parts[:-1][::-1].index('images')
            parts[last] = 'labels'
        choices = [Path(*parts).with_suffix('.txt'), beside]
        label = next((choice for choice in choices if choice.is_file()), None)
        if label is None:
            same = [file for file in by_stem.get(path.stem, ()) if _fits(file, picture, source)]
            label = same[0] if len(same) == 1 else None
        if label is not None:
            labels[path] = label
            unused.discard(label)
    stems = {path.stem for path in source.all_files if is_image(path)}
    if unused := {file for file in unused if file.stem not in stems}:
        names = first_few(sorted(str(path) for path in unused))
        raise UserError(
            f'{len(unused)} label files have no image: {names}; copy the images there, name their '
            'folder in data.yaml, or delete the label files'
        )
    return labels


def _fits(label: Path, picture: Picture, source: Source) -> bool:
    return split_of_path(label, source.roots) in (None, picture.split)


def _objects(
    path: Path,
    picture: Picture,
    names: dict[int, str],
    complete: bool,
    content: Mapping[str, Any],
) -> Iterator[Annotation]:
    """Yield the objects of one label file. Without a list of names, classes are added to it."""
    for number, line in read_lines(path):
        where = f'{path} line {number}'
        index, fractions = _numbers(line, where)
        if content.get('kpt_shape'):
            fractions = fractions[:4]
        if complete and index not in names:
            raise UserError(
                f'{where}: class {index} is beyond the names: there are {len(names)}, 0 to '
                f'{len(names) - 1}; correct the file or add the name'
            )
        if index > MOST_UNNAMED and not complete:
            raise UserError(
                f'{where}: class {index} is too high for classes without names; correct the file, '
                'or write data.yaml with the names'
            )
        names.setdefault(index, f'class_{index}')
        if not all(-SLACK <= value <= 1 + SLACK for value in fractions):
            raise UserError(
                f'{where}: {line!r:.60} has coordinates outside 0..1; they must be fractions of '
                'width and height, not pixels'
            )
        if len(fractions) == 4:
            yield Annotation(names[index], _box(fractions, picture))
            continue
        if len(fractions) % 2:
            raise UserError(f'{where}: a polygon needs x and y of each corner; one number is left')
        sides = (picture.width, picture.height)
        ring = [tidy(value * sides[i % 2]) for i, value in enumerate(fractions)]
        yield Annotation(names[index], extent([ring]), [ring])


def _numbers(line: str, where: str) -> tuple[int, list[float]]:
    """Return the class and the coordinates of a line."""
    values = [number for field in line.split() if (number := to_number(field)) is not None]
    count = len(line.split())
    if len(values) < count or count < 5 or values[0] != int(values[0]) or values[0] < 0:
        raise UserError(
            f'{where}: {line!r:.60} is not valid; write the class as a number, then x, y, '
            'width and height of a box, or x and y of each corner of a polygon'
        )
    if count == 6:
        raise UserError(
            f'{where} has 6 numbers, as predictions with a score have; 5 are needed for a box'
        )
    return int(values[0]), values[1:]


def _box(fractions: list[float], picture: Picture) -> Box:
    x, y, w, h = fractions
    left, width = _side(x, w, picture.width)
    top, height = _side(y, h, picture.height)
    return left, top, width, height


def _side(centre: float, length: float, pixels: int) -> tuple[float, float]:
    return tidy(centre * pixels - length * pixels / 2), tidy(length * pixels)


def write(collection: Collection, folder: Path, place: Place) -> list[str]:
    """Write ``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml``; return what is lost."""
    names, numbers = target_names(collection), {n: i for i, n in enumerate(collection.classes)}
    counts = {'crowds': 0, 'joined': 0, 'outside': 0, 'masks': 0}
    parts = collection.parts()
    polygons = collection.task == 'instance'
    for split, pictures in parts.items():
        for picture in pictures:
            name = names[picture.path]
            place(picture.path, folder / 'images' / split / name)
            lines = []
            for one in picture.objects:
                if one.crowd:
                    counts['crowds'] += 1
                    continue
                values = _polygon_line(one, picture, counts) if polygons else None
                values = values or _box_line(one.box, picture)
                lines.append(' '.join([str(numbers[one.name]), *map(_text, values)]))
            target = (folder / 'labels' / split / name).with_suffix('.txt')
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(''.join(f'{line}\n' for line in lines))
    content = {split: f'images/{split}' for split in parts}
    content['names'] = dict(enumerate(collection.classes))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / 'data.yaml').write_text(text, encoding='utf-8')
    return [*_lost(counts), *losses(collection, 'YOLO', polygons)]


def _lost(counts: Mapping[str, int]) -> Iterator[str]:
    if counts['crowds']:
        yield f'YOLO has no crowds: {counted(counts["crowds"], "crowd")} left out'
    if counts['joined']:
        yield (
            'YOLO has one ring an object: parts and holes are joined by lines '
            f'({counted(counts["joined"], "object")})'
        )
    if counts['masks']:
        yield f'{counts["masks"]} masks of pixels became polygons along their edges'
    if counts['outside']:
        yield f'{counts["outside"]} polygons were cut off at the edge of the image'


def _polygon_line(one: Annotation, picture: Picture, counts: dict[str, int]) -> list[float] | None:
    if one.rle is not None:
        counts['masks'] += 1
        rings = rings_of_mask(mask_of(one, picture.width, picture.height))
        if not rings:
            return None
        outer, holes = outer_and_holes(rings)
        one = Annotation(one.name, one.box, outer, holes)
    if len(one.polygons) + len(one.holes) > 1:
        counts['joined'] += 1
    ring = joined(one) if len(one.polygons) + len(one.holes) > 1 else one.polygons[0]
    sides = (picture.width, picture.height)
    inside = [min(max(value, 0), sides[i % 2]) for i, value in enumerate(ring)]
    counts['outside'] += inside != ring
    return [
        _fraction(value / sides[i % 2], lambda f, v=value, s=sides[i % 2]: tidy(f * s) == v)
        for i, value in enumerate(inside)
    ]


def _box_line(box: Box, picture: Picture) -> list[float]:
    x, w = _centre(box[0], box[2], picture.width)
    y, h = _centre(box[1], box[3], picture.height)
    return [x, y, w, h]


def _centre(start: float, length: float, pixels: int) -> tuple[float, float]:
    width = _fraction(length / pixels, lambda f: tidy(f * pixels) == tidy(length))
    back = tidy(start), tidy(length)
    centre = (start + length / 2) / pixels
    return _fraction(centre, lambda f: _side(f, width, pixels) == back), width


def _fraction(value: float, comes_back: Callable[[float], bool]) -> float:
    """Return a number of 6 decimals if it is read as the same pixels, otherwise all digits."""
    return round(value, 6) if comes_back(round(value, 6)) else value


def _text(value: float) -> str:
    return repr(float(value))
