"""CVAT for images 1.1: one xml file with all images, boxes, polygons and masks.

Polygons of one label and one ``group_id`` are one object. Objects are ordered by ``z_order``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ....errors import UserError
from ...checks.messages import counted
from ..folders import Photos, check_missing, check_sizes, measure, split_of, split_of_path
from ..geometry import box_of_mask, encode_rle, extent, mask_of, outer_and_holes, rings_to_write
from ..parse import Xml, read_xml
from ..samples import (
    Annotation,
    Collection,
    Picture,
    Ring,
    check_objects,
    task_of_objects,
    tidy,
)
from ..source import Source
from ..target import Place, losses, target_names

SHAPES = ('box', 'polygon', 'mask', 'ellipse')
CROWD = 'iscrowd'
TRUE, FALSE = 'true', 'false'


def read(source: Source) -> Collection:
    """Return the content of all CVAT files.

    Raises:
        UserError: a file is not valid, or an image is missing.
    """
    photos, notes = Photos(source.all_files), []
    pictures: dict[Path, Picture] = {}
    sizes: dict[Path, tuple[float, float]] = {}
    classes: list[str] = []
    left_out: Counter[str] = Counter()
    for path in source.files:
        xml = read_xml(path)
        if xml.root.find('track') is not None:
            raise UserError(f'{path} is "CVAT for video"; export the task as "CVAT for images 1.1"')
        names = [(name.text or '').strip() for name in xml.root.iterfind('.//labels/label/name')]
        classes += [name for name in names if name not in classes]
        _read_images(xml, source, photos, pictures, sizes, left_out)
    found = list(pictures.values())
    measure(found)
    check_sizes(found, list(sizes.values()))
    used = {one.name for picture in found for one in picture.objects}
    classes += sorted(used - {*classes})
    notes += [f'{counted(count, kind)} left out: no area' for kind, count in left_out.items()]
    collection = Collection('cvat', task_of_objects(found, notes), classes, found, notes)
    check_objects(collection, str(source.roots[0]))
    return collection


def _read_images(
    xml: Xml,
    source: Source,
    photos: Photos,
    pictures: dict[Path, Picture],
    sizes: dict[Path, tuple[float, float]],
    left_out: Counter[str],
) -> None:
    """Add the pictures of one file."""
    elements, missing = xml.root.findall('image'), []
    for element in elements:
        name = xml.attribute(element, 'name')
        where = f'{xml.path} line {xml.lines[element]}'
        split = split_of(element.get('subset') or '') or split_of_path(
            xml.path.parent / name, source.roots
        )
        image = photos.find(name, xml.path.parent, where, split)
        if image is None:
            missing.append(name)
            continue
        if image in pictures:
            raise UserError(f'{where}: {image} comes twice; keep one of both')
        split = split or split_of_path(image, source.roots)
        picture = pictures[image] = Picture(image, 0, 0, split)
        width, height = (
            xml.as_number(element, key, xml.attribute(element, key)) for key in ('width', 'height')
        )
        sizes[image] = width, height
        picture.objects += _objects(xml, element, (int(width), int(height)), left_out)
    check_missing(missing, len(elements), str(xml.path))


def _objects(
    xml: Xml, image: ElementTree.Element, size: tuple[int, int], left_out: Counter[str]
) -> Iterator[Annotation]:
    """Yield the objects of an image, from the back to the front."""
    groups: dict[object, list[tuple[float, Annotation]]] = {}
    for number, element in enumerate(image):
        if element.tag not in SHAPES:
            left_out[element.tag] += 1
            continue
        one = _object(xml, element, size)
        depth = float(xml.as_number(element, 'z_order', element.get('z_order') or '0'))
        group = element.get('group_id') or '0'
        # Only polygons: CVAT also groups whole objects, such as a rider and a bicycle.
        key = (one.name, group) if one.polygons and group != '0' else number
        groups.setdefault(key, []).append((depth, one))
    objects = []
    for parts in groups.values():
        depth, one = parts[0]
        if len(parts) > 1:
            rings = [ring for _, part in parts for ring in part.polygons]
            one.polygons, one.holes = outer_and_holes(rings)
            one.box = extent(rings)
        objects.append((depth, one))
    yield from (one for _, one in sorted(objects, key=lambda pair: pair[0]))


def _object(xml: Xml, element: ElementTree.Element, size: tuple[int, int]) -> Annotation:
    name = xml.attribute(element, 'label')
    read_shape = {'box': _box, 'polygon': _polygon, 'mask': _mask, 'ellipse': _ellipse}
    one = read_shape[element.tag](xml, element, size)
    one.name = name
    if element.get('occluded') == '1':
        one.extra['occluded'] = True
    if element.get('z_order') not in (None, '0'):
        one.extra['z_order'] = int(float(element.get('z_order', '0')))
    for attribute in element.iterfind('attribute'):
        text = (attribute.text or '').strip()
        value = {TRUE: True, FALSE: False}.get(text, text)
        one.extra[xml.attribute(attribute, 'name')] = value
    one.crowd = bool(one.extra.pop(CROWD, False))
    return one


def _numbers(xml: Xml, element: ElementTree.Element, *names: str) -> list[float]:
    return [xml.as_number(element, name, xml.attribute(element, name)) for name in names]


def _box(xml: Xml, element: ElementTree.Element, _: tuple[int, int]) -> Annotation:
    left, top, right, bottom = _numbers(xml, element, 'xtl', 'ytl', 'xbr', 'ybr')
    if right < left or bottom < top:
        raise xml.fault(element, 'xbr or ybr is less than xtl or ytl; swap them')
    box = (left, top, tidy(right - left), tidy(bottom - top))
    turn = float(xml.as_number(element, 'rotation', element.get('rotation') or '0'))
    if not turn:
        return Annotation('', box)
    ring = _turned([left, top, right, top, right, bottom, left, bottom], turn)
    return Annotation('', extent([ring]), [ring])


def _turned(ring: Ring, degrees: float) -> Ring:
    """Return a ring turned clockwise around the middle of its box."""
    points = np.reshape(ring, (-1, 2))
    middle = (points.min(0) + points.max(0)) / 2
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    turned = (points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle
    return [tidy(value) for value in turned.ravel().tolist()]


def _polygon(xml: Xml, element: ElementTree.Element, _: tuple[int, int]) -> Annotation:
    text = xml.attribute(element, 'points')
    pairs = [pair.split(',') for pair in text.split(';') if pair.strip()]
    if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
        raise xml.fault(element, f'points {text!r:.40} are no polygon; write x,y;x,y;x,y')
    ring = [xml.as_number(element, 'points', value) for pair in pairs for value in pair]
    return Annotation('', extent([ring]), [ring])


def _ellipse(xml: Xml, element: ElementTree.Element, _: tuple[int, int]) -> Annotation:
    x, y, rx, ry = _numbers(xml, element, 'cx', 'cy', 'rx', 'ry')
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    points = np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1).ravel().tolist()
    turn = float(xml.as_number(element, 'rotation', element.get('rotation') or '0'))
    ring = _turned([tidy(value) for value in points], turn)
    return Annotation('', extent([ring]), [ring])


def _mask(xml: Xml, element: ElementTree.Element, size: tuple[int, int]) -> Annotation:
    """Return an object whose mask is run lengths inside its box, row by row."""
    left, top, width, height = map(int, _numbers(xml, element, 'left', 'top', 'width', 'height'))
    text = xml.attribute(element, 'rle')
    counts = [int(xml.as_number(element, 'rle', value)) for value in text.split(',')]
    values = np.arange(len(counts)) % 2 == 1
    if min(counts) < 0 or sum(counts) != width * height:
        raise xml.fault(element, f'rle does not fill its {width} x {height} pixels; export again')
    whole = np.zeros((size[1], size[0]), bool)
    part = whole[max(top, 0) : top + height, max(left, 0) : left + width]
    if part.shape != (height, width):
        raise xml.fault(element, 'the mask reaches beyond the image; export again')
    part[:] = np.repeat(values, counts).reshape(height, width)
    return Annotation('', box_of_mask(whole), rle=encode_rle(whole))


def write(collection: Collection, folder: Path, place: Place) -> list[str]:
    """Write ``annotations.xml`` and ``images/SPLIT``; return what is lost."""
    names = target_names(collection)
    root = ElementTree.Element('annotations')
    ElementTree.SubElement(root, 'version').text = '1.1'
    labels = ElementTree.SubElement(ElementTree.SubElement(root, 'meta'), 'task')
    labels = ElementTree.SubElement(labels, 'labels')
    for name in collection.classes:
        ElementTree.SubElement(ElementTree.SubElement(labels, 'label'), 'name').text = name
    number = 0
    for split, pictures in collection.parts().items():
        for picture in pictures:
            name = f'{split}/{names[picture.path]}'
            place(picture.path, folder / 'images' / name)
            size = {'width': str(picture.width), 'height': str(picture.height)}
            image = ElementTree.SubElement(
                root, 'image', {'id': str(number), 'name': name, 'subset': split, **size}
            )
            number += 1
            for group, one in enumerate(picture.objects, 1):
                _write_object(image, one, picture, group)
    ElementTree.indent(root)
    folder.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(
        folder / 'annotations.xml', encoding='utf-8', xml_declaration=True
    )
    extra = {key for picture in collection.pictures for one in picture.objects for key in one.extra}
    return losses(collection, 'CVAT', extra=tuple(extra))


def _write_object(
    image: ElementTree.Element, one: Annotation, picture: Picture, group: int
) -> None:
    common = {'label': one.name, 'occluded': str(int(one.extra.get('occluded') is True))}
    common['z_order'] = str(one.extra.get('z_order', 0))
    rings = rings_to_write(one)
    if one.rle is not None:
        elements = [('mask', _mask_attributes(mask_of(one, picture.width, picture.height)))]
    elif rings:
        elements = [('polygon', {'points': _points(ring)}) for ring in rings]
    else:
        x, y, w, h = one.box
        corners = {'xtl': x, 'ytl': y, 'xbr': tidy(x + w), 'ybr': tidy(y + h)}
        elements = [('box', {key: str(value) for key, value in corners.items()})]
    if len(rings) > 1:
        common['group_id'] = str(group)
    for tag, attributes in elements:
        element = ElementTree.SubElement(image, tag, {**common, **attributes})
        facts = {key: v for key, v in one.extra.items() if key not in ('occluded', 'z_order')}
        for key, value in {**facts, **({CROWD: True} if one.crowd else {})}.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            ElementTree.SubElement(element, 'attribute', name=key).text = text


def _points(ring: Ring) -> str:
    return ';'.join(f'{x},{y}' for x, y in zip(ring[::2], ring[1::2], strict=True))


def _mask_attributes(mask: np.ndarray) -> dict[str, str]:
    x, y, w, h = box_of_mask(mask)
    # CVAT goes through the rows, COCO through the columns.
    counts = encode_rle(mask[y : y + h, x : x + w].T)['counts'] if w else [0]
    box = {'left': str(x), 'top': str(y), 'width': str(w), 'height': str(h)}
    return {'rle': ', '.join(map(str, counts)), **box}
