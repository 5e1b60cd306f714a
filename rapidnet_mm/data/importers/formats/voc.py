"""Pascal VOC: an xml file for each image, with boxes only.

The VOC definition counts pixels from 1, and the last row and column belong to the box: a box of the
whole image is 1, 1, width, height. So x = xmin - 1 and width = xmax - xmin + 1. Files with a 0
count from 0 instead; then the numbers are taken as the edges of the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ....errors import UserError
from ..folders import Photos, check_missing, check_sizes, measure, split_of, split_of_path
from ..names import find_list, merge_names, plain_names
from ..parse import Xml, read_lines, read_xml, to_number
from ..samples import Annotation, Collection, Picture, check_objects, tidy
from ..source import Source
from ..target import Place, losses, target_names

FLAGS = ('difficult', 'truncated', 'occluded')
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
CROWD = 'crowd'


def read(source: Source) -> Collection:
    """Return the content of all xml files.

    Raises:
        UserError: a file is not valid, or its image is missing.
    """
    photos, notes, missing = Photos(source.all_files), [], []
    lists = image_sets(source, 'Main')
    corners: list[tuple[Annotation, list[float]]] = []
    pictures: dict[Path, Picture] = {}
    for path in source.files:
        xml = read_xml(path)
        name = (xml.root.findtext('filename') or '').strip()
        split = lists.get(path.stem) or split_of_path(path, source.roots)
        image = photos.of_file(path, name, split)
        if image is None:
            missing.append(name or path.stem)
            continue
        if image in pictures:
            raise UserError(f'{path}: {image} has another xml file too; keep one of them')
        size = [to_number(xml.root.findtext(f'size/{key}')) or 0 for key in ('width', 'height')]
        picture = pictures[image] = Picture(image, *size, split)
        for one, numbers in _objects(xml):
            picture.objects.append(one)
            corners.append((one, numbers))
    check_missing(missing, len(source.files), str(source.roots[0]))
    _set_boxes(corners, notes)
    found = list(pictures.values())
    if lists:
        found = _listed(found, lists, notes)
    sizes = [(picture.width, picture.height) for picture in found]
    measure(found)
    check_sizes(found, sizes)
    names = plain_names(find_list(source.all_files))
    classes = merge_names(names, (one.name for one, _ in corners), notes)
    collection = Collection('voc', 'boxes', classes, found, notes)
    check_objects(collection, str(source.roots[0]))
    return collection


def image_sets(source: Source, kind: str) -> dict[str, str]:
    """Return the split of each name in ``ImageSets/KIND/train.txt``, ``val.txt``, ``test.txt``."""
    splits: dict[str, str] = {}
    for path in source.all_files:
        if path.parts[-3:-1] != ('ImageSets', kind) or path.suffix != '.txt':
            continue
        split = split_of(path.stem) if '_' not in path.stem else None
        if path.stem == 'trainval':
            continue
        for number, line in read_lines(path) if split else ():
            name = line.split()[0]
            if splits.setdefault(name, split) != split:
                raise UserError(
                    f'{path} line {number}: {name} is in {splits[name]} too; take it out of one'
                )
    return splits


def _listed(pictures: list[Picture], lists: dict[str, str], notes: list[str]) -> list[Picture]:
    listed = [picture for picture in pictures if picture.path.stem in lists]
    if not listed:
        raise UserError('ImageSets/Main lists none of the images; correct the lists or delete them')
    if len(listed) < len(pictures):
        notes.append(f'{len(pictures) - len(listed)} images are in no list of ImageSets: left out')
    return listed


def _objects(xml: Xml) -> Iterator[tuple[Annotation, list[float]]]:
    """Yield the objects of a file, each with its corners as they are written."""
    for element in xml.root.iter('object'):
        box = element.find('bndbox')
        if box is None:
            raise xml.fault(element, 'an <object> has no <bndbox>; draw a box or delete the object')
        numbers = [xml.number(box, name) for name in CORNERS]
        # A box of less than a pixel has its last pixel before its first.
        if numbers[2] < numbers[0] - 1 or numbers[3] < numbers[1] - 1:
            raise xml.fault(box, f'xmax or ymax is less than xmin or ymin: {numbers}; swap them')
        one = Annotation(xml.text(element, 'name'), (0, 0, 0, 0))
        for flag in FLAGS:
            if (element.findtext(flag) or '0').strip().lower() in ('1', 'true'):
                one.extra[flag] = True
        pose = (element.findtext('pose') or '').strip()
        if pose and pose.lower() != 'unspecified':
            one.extra['pose'] = pose
        one.crowd = (element.findtext(CROWD) or '').strip() == '1'
        yield one, numbers


def _set_boxes(corners: list[tuple[Annotation, list[float]]], notes: list[str]) -> None:
    from_zero = any(0 in numbers[:2] for _, numbers in corners)
    for one, (left, top, right, bottom) in corners:
        if not from_zero:
            left, top = tidy(left - 1), tidy(top - 1)
        one.box = (left, top, tidy(right - left), tidy(bottom - top))
    if from_zero:
        notes.append(
            'xmin or ymin is 0 in some file: the corners count from 0 and are edges of boxes'
        )
    else:
        notes.append(
            'the corners count from 1 and the last pixel belongs to the box, as VOC defines: '
            'x = xmin - 1, width = xmax - xmin + 1'
        )
    difficult = sum('difficult' in one.extra for one, _ in corners)
    if difficult:
        notes.append(f'{difficult} objects are marked difficult: they count as objects')


def write(collection: Collection, folder: Path, place: Place) -> list[str]:
    """Write ``JPEGImages``, ``Annotations`` and ``ImageSets/Main``; return what is lost."""
    names = target_names(collection)
    for split, pictures in collection.parts().items():
        stems = []
        for picture in pictures:
            name = names[picture.path]
            place(picture.path, folder / 'JPEGImages' / name)
            target = (folder / 'Annotations' / name).with_suffix('.xml')
            target.parent.mkdir(parents=True, exist_ok=True)
            ElementTree.indent(root := _annotation(picture, name))
            ElementTree.ElementTree(root).write(target, encoding='utf-8')
            stems.append(target.stem)
        write_list(stems, folder / f'ImageSets/Main/{split}.txt')
    write_list(collection.classes, folder / 'labels.txt')
    notes = losses(collection, 'VOC', polygons=False, extra=(*FLAGS, 'pose'))
    crowds = sum(one.crowd for picture in collection.pictures for one in picture.objects)
    if crowds:
        notes.append(f'VOC has no crowds: {crowds} are boxes with <difficult>1 and <{CROWD}>1')
    return notes


def write_list(lines: list[str], target: Path) -> None:
    """Write a text of one item a line."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')


def _annotation(picture: Picture, name: str) -> ElementTree.Element:
    root = ElementTree.Element('annotation')
    _child(root, 'folder', 'JPEGImages')
    _child(root, 'filename', name)
    size = _child(root, 'size')
    for key, value in (('width', picture.width), ('height', picture.height), ('depth', 3)):
        _child(size, key, value)
    _child(root, 'segmented', 0)
    for one in picture.objects:
        element = _child(root, 'object')
        _child(element, 'name', one.name)
        _child(element, 'pose', one.extra.get('pose', 'Unspecified'))
        for flag in FLAGS:
            hard = flag == 'difficult' and one.crowd
            _child(element, flag, int(bool(one.extra.get(flag)) or hard))
        if one.crowd:
            _child(element, CROWD, 1)
        x, y, w, h = one.box
        box = _child(element, 'bndbox')
        values = (tidy(x + 1), tidy(y + 1), tidy(x + w), tidy(y + h))
        for key, value in zip(CORNERS, values, strict=True):
            _child(box, key, value)
    return root


def _child(parent: ElementTree.Element, tag: str, text: object = None) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag)
    if text is not None:
        element.text = str(text)
    return element
