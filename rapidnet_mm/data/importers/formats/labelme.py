"""labelme json: a file for each image, with a list of shapes.

Shapes of one label and one ``group_id`` are one object. A ring inside another ring of the object
is a hole.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ....errors import UserError
from ...checks.messages import counted
from ..folders import Photos, check_missing, check_sizes, measure, split_of_path
from ..geometry import (
    box_of_mask,
    circle,
    encode_rle,
    extent,
    mask_of,
    outer_and_holes,
    rectangle,
    rings_to_write,
)
from ..names import find_list, merge_names, plain_names
from ..parse import read_json, to_number
from ..samples import (
    Annotation,
    Collection,
    Picture,
    Ring,
    check_objects,
    task_of_objects,
)
from ..source import Source
from ..target import Place, losses, target_names
from .voc import write_list

RINGS = ('polygon', 'circle', 'rectangle')
NO_AREA = ('line', 'linestrip', 'point', 'points')
CROWD = 'iscrowd'


def read(source: Source) -> Collection:
    """Return the content of all labelme files.

    Raises:
        UserError: a file is not valid, or its image is missing.
    """
    photos, notes, missing = Photos(source.all_files), [], []
    pictures: dict[Path, Picture] = {}
    left_out: Counter[str] = Counter()
    sizes = []
    for path in source.files:
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get('shapes'), list):
            raise UserError(f'{path} is not of labelme: it has no list of shapes')
        name, split = str(content.get('imagePath') or ''), split_of_path(path, source.roots)
        image = photos.of_file(path, name, split)
        if image is None:
            missing.append(name or path.stem)
            continue
        if image in pictures:
            raise UserError(f'{path}: {image} has another json file too; keep one of them')
        picture = pictures[image] = Picture(image, 0, 0, split)
        sizes.append((content.get('imageWidth') or 0, content.get('imageHeight') or 0))
        picture.objects += _objects(content['shapes'], path, sizes[-1], left_out)
    check_missing(missing, len(source.files), str(source.roots[0]))
    found = list(pictures.values())
    measure(found)
    check_sizes(found, sizes)
    notes += [f'{counted(count, kind)} left out: no area' for kind, count in left_out.items()]
    _rectangles_with_masks(found, notes)
    names = plain_names(find_list(source.all_files))
    classes = merge_names(names, (one.name for p in found for one in p.objects), notes)
    collection = Collection('labelme', task_of_objects(found, notes), classes, found, notes)
    check_objects(collection, str(source.roots[0]))
    return collection


def _objects(
    shapes: list[Any], path: Path, size: tuple[int, int], left_out: Counter[str]
) -> Iterator[Annotation]:
    """Yield the objects of a file, with the shapes of a group in one."""
    groups: dict[Any, list[tuple[str, dict, Ring]]] = {}
    objects: dict[int, Annotation | None] = {}  # by the number of their first shape
    firsts: dict[Any, int] = {}
    for number, shape in enumerate(shapes):
        where = f'{path}: shapes[{number}]'
        if not isinstance(shape, dict) or not isinstance(shape.get('label'), str):
            raise UserError(f'{where} has no label; give it one in labelme')
        kind = shape.get('shape_type') or 'polygon'
        if kind in NO_AREA:
            left_out[kind] += 1
            continue
        if kind == 'mask':
            objects[number] = _mask(shape, where, size)
            continue
        if kind not in RINGS:
            raise UserError(f'{where}: shape_type is {kind!r}; known are {", ".join(RINGS)}, mask')
        key = (shape['label'], shape['group_id']) if shape.get('group_id') is not None else number
        groups.setdefault(key, []).append((kind, shape, _ring(kind, shape, where)))
        objects.setdefault(firsts.setdefault(key, number), None)
    for key, parts in groups.items():
        kind, shape, ring = parts[0]
        one = Annotation(shape['label'], extent([part[2] for part in parts]))
        _set_flags(one, shape)
        if len(parts) > 1:
            one.polygons, one.holes = outer_and_holes([part[2] for part in parts])
        elif kind != 'rectangle':
            one.polygons = [ring]
        objects[firsts[key]] = one
    yield from filter(None, objects.values())


def _set_flags(one: Annotation, shape: dict[str, Any]) -> None:
    flags = shape.get('flags')
    one.extra = {key: True for key, value in flags.items() if value} if flags else {}
    one.crowd = bool(one.extra.pop(CROWD, False))


def _points(shape: dict[str, Any], where: str, least: int) -> list[tuple[float, float]]:
    points = shape.get('points')
    pairs = points if isinstance(points, list) else []
    valid = all(
        isinstance(pair, list) and len(pair) == 2 and None not in map(to_number, pair)
        for pair in pairs
    )
    if not valid or len(pairs) < least:
        raise UserError(f'{where}: points must be at least {least} pairs [x, y] of numbers')
    return [(x, y) for x, y in pairs]


def _ring(kind: str, shape: dict[str, Any], where: str) -> Ring:
    points = _points(shape, where, 3 if kind == 'polygon' else 2)
    if kind == 'circle':  # its centre and a point on it
        (x, y), (u, v) = points[:2]
        return circle(x, y, math.hypot(u - x, v - y))
    if kind == 'rectangle':
        return rectangle(extent([[value for point in points for value in point]]))
    return [value for point in points for value in point]


def _mask(shape: dict[str, Any], where: str, size: tuple[int, int]) -> Annotation:
    """Return an object whose mask is a picture of the pixels inside its box."""
    (left, top), *_ = _points(shape, where, 2)
    try:
        data = base64.b64decode(shape.get('mask') or '', validate=True)
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert('L')) > 0
    except Exception as error:  # a damaged picture can raise almost anything in PIL
        raise UserError(f'{where}: mask is no picture in base64; draw it again') from error
    whole = np.zeros((int(size[1]), int(size[0])), bool)
    left, top = int(left), int(top)
    part = whole[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    if part.shape != pixels.shape or left < 0 or top < 0:
        raise UserError(f'{where}: the mask reaches beyond the image; draw it again')
    part[:] = pixels
    one = Annotation(shape['label'], box_of_mask(whole), rle=encode_rle(whole))
    _set_flags(one, shape)
    return one


def _rectangles_with_masks(pictures: list[Picture], notes: list[str]) -> None:
    """Where other objects have masks, let rectangles be masks too."""
    objects = [one for picture in pictures for one in picture.objects]
    plain = [one for one in objects if not one.has_mask]
    if plain and len(plain) < len(objects):
        for one in plain:
            one.polygons = [rectangle(one.box)]
        notes.append(
            f'{counted(len(plain), "rectangle")} count as masks, as the other objects have'
        )


def write(collection: Collection, folder: Path, place: Place) -> list[str]:
    """Write ``SPLIT/NAME.json`` beside each image; return what is lost."""
    names = target_names(collection)
    for split, pictures in collection.parts().items():
        for picture in pictures:
            name = names[picture.path]
            place(picture.path, folder / split / name)
            content = {
                'version': '5.5.0',
                'flags': {},
                'shapes': list(_shapes(picture)),
                'imagePath': name,
                'imageData': None,
                'imageHeight': picture.height,
                'imageWidth': picture.width,
            }
            target = (folder / split / name).with_suffix('.json')
            text = json.dumps(content, indent=1, ensure_ascii=False)
            target.write_text(f'{text}\n', encoding='utf-8')
    write_list(collection.classes, folder / 'labels.txt')
    objects = [one for picture in collection.pictures for one in picture.objects]
    kept = {key for one in objects for key, value in one.extra.items() if value is True}
    return losses(collection, 'labelme', extra=tuple(kept))


def _shapes(picture: Picture) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(picture.objects, 1):
        flags = {key: True for key, value in one.extra.items() if value is True}
        if one.crowd:
            flags[CROWD] = True
        shape = {'label': one.name, 'group_id': None, 'description': '', 'flags': flags}
        if one.rle is not None:
            yield _mask_shape(shape, one, picture)
            continue
        rings = rings_to_write(one)
        if not rings:
            x, y, w, h = one.box
            yield {**shape, 'points': [[x, y], [x + w, y + h]], 'shape_type': 'rectangle'}
        for ring in rings:
            points = [list(point) for point in zip(ring[::2], ring[1::2], strict=True)]
            group = number if len(rings) > 1 else None
            yield {**shape, 'group_id': group, 'points': points, 'shape_type': 'polygon'}


def _mask_shape(shape: dict[str, Any], one: Annotation, picture: Picture) -> dict[str, Any]:
    mask = mask_of(one, picture.width, picture.height)
    x, y, w, h = box_of_mask(mask)
    file = io.BytesIO()
    Image.fromarray(mask[y : y + h, x : x + w].astype(np.uint8) * 255).save(file, 'PNG')
    return {
        **shape,
        'points': [[x, y], [x + w - 1, y + h - 1]],
        'shape_type': 'mask',
        'mask': base64.b64encode(file.getvalue()).decode(),
    }
