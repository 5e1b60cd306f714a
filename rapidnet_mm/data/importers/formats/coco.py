"""COCO json: boxes, polygons, crowds as run lengths. Nothing of an object is lost.

One file a split, such as ``instances_train2017.json``, or ``_annotations.coco.json`` in ``train/``,
``valid/`` and ``test/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....errors import UserError
from ...checks.coco_file import is_number
from ...checks.masks import mask_fault
from ...checks.messages import first_few
from ..folders import Photos, check_missing, check_sizes, measure, split_of, split_of_path
from ..geometry import box_of_mask, decode_rle, encode_rle, extent, mask_of, rectangle
from ..parse import read_json
from ..samples import (
    Annotation,
    Collection,
    Picture,
    check_class_names,
    check_objects,
    task_of_objects,
)
from ..source import Source
from ..target import Place, target_names

NO_BOX = (0, 0, 0, 0)  # of an object that has run lengths but no bbox
KEYS = ('images', 'categories')


def read(source: Source) -> Collection:
    """Return the content of all COCO files of a source.

    Raises:
        UserError: a file is not valid, an image is missing, or classes differ between the files.
    """
    photos, notes = Photos(source.all_files), []
    contents = {path: _content(path) for path in source.files}
    if bare := [path for path, content in contents.items() if 'annotations' not in content]:
        notes.append(f'{first_few([p.name for p in bare])}: left out, it has no annotations')
        contents = {path: content for path, content in contents.items() if path not in bare}
    splits = {path: split_of_file(path, source.roots) for path in contents}
    classes = _classes(contents, splits)
    pictures: dict[Path, Picture] = {}
    for path, content in contents.items():
        read_file(path, content, splits[path], photos, pictures, notes)
    found = list(pictures.values())
    sizes = [(picture.width, picture.height) for picture in found]
    measure(found)
    check_sizes(found, sizes)
    check_rles(found)
    collection = Collection('coco', task_of_objects(found, notes), classes, found, notes)
    check_objects(collection, str(source.roots[0]))
    return collection


def split_of_file(path: Path, roots: Sequence[Path]) -> str | None:
    """Return the split that the name of a file says, or else its folders."""
    return split_of(path.stem) or split_of_path(path, roots)


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if isinstance(content, list):
        raise UserError(
            f'{path} holds a list, like files of results; the annotations are needed: a dict of '
            'images, annotations, categories'
        )
    for key in KEYS:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f'{path} is not in COCO format: it has no list {key!r}')
    if not isinstance(content.get('annotations', []), list):
        raise UserError(f'{path} is not in COCO format: annotations is no list')
    return content


def _classes(contents: Mapping[Path, dict], splits: Mapping[Path, str | None]) -> list[str]:
    """Return the names of the classes, from the file for training if there is one."""
    names = {}
    for path, content in contents.items():
        categories = content['categories']
        for place_in_list, category in enumerate(categories):
            valid = isinstance(category, dict) and isinstance(category.get('name'), str)
            if not valid or type(category.get('id')) is not int:
                raise UserError(
                    f'{path}: categories[{place_in_list}] needs an id, which is an integer, and '
                    'a name, which is a text'
                )
        # Roboflow begins with a category for the whole project, which no object has.
        used = {_key(one, 'category_id') for one in content['annotations']}
        parents = {_key(category, 'supercategory') for category in categories}
        names[path] = [
            category['name']
            for category in categories
            if category['id'] in used or category['id'] or category['name'] not in parents
        ]
        check_class_names(names[path], f'{path} (categories)')
    if not names:
        raise UserError('no COCO file has annotations; give instances_*.json, not image_info_*')
    first = next((path for path in names if splits[path] == 'train'), next(iter(names)))
    for path, other in names.items():
        if unknown := [name for name in other if name not in names[first]]:
            raise UserError(
                f'classes differ: {path} has {first_few(unknown)}, which {first} lacks; give both '
                'files the same categories'
            )
    return names[first]


def read_file(
    path: Path,
    content: Mapping[str, Any],
    split: str | None,
    photos: Photos,
    pictures: dict[Path, Picture],
    notes: list[str],
) -> None:
    """Add the pictures of one file."""
    by_id, missing = {}, []
    for number, image in enumerate(content['images']):
        where = f'{path}: images[{number}]'
        name = image.get('file_name') if isinstance(image, dict) else None
        if _key(image, 'id') is None or not isinstance(name, str) or not name:
            raise UserError(f'{where} needs an id, an integer or a text, and a file_name, a text')
        if image['id'] in by_id:
            raise UserError(f'{where} has the id {image["id"]} of another image; ids must differ')
        file = photos.find(name, path.parent, where, split)
        if file is None:
            missing.append(name)
            continue
        if file in pictures:
            other = 'another file' if pictures[file].split != split else 'an earlier entry'
            raise UserError(
                f'{where}: {file} is in {other} too; leave one of them out, so that no image is '
                'counted twice'
            )
        size = image.get('width') or 0, image.get('height') or 0
        if not all(map(is_number, size)):
            raise UserError(f'{where}: width and height must be numbers, not {size!r:.60}')
        by_id[image['id']] = pictures[file] = Picture(file, *size, split)
    check_missing(missing, len(content['images']), str(path))
    _read_objects(path, content, by_id, notes)


def _read_objects(
    path: Path, content: Mapping[str, Any], by_id: Mapping[Any, Picture], notes: list[str]
) -> None:
    """Add the objects of one file to its pictures."""
    names = {category['id']: category['name'] for category in content['categories']}
    dropped: set[str] = set()
    for number, entry in enumerate(content['annotations']):
        where = f'{path}: annotations[{number}]'
        if _key(entry, 'image_id') not in by_id:
            raise UserError(f'{where} has no image: its image_id is none of the ids in images')
        if _key(entry, 'category_id') not in names:
            raise UserError(f'{where} has no class: its category_id is none of the categories')
        dropped |= entry.keys() & {'keypoints', 'caption', 'segments_info'}
        picture = by_id[entry['image_id']]
        picture.objects.append(_annotation(entry, names[entry['category_id']], where))
    if dropped:
        notes.append(f'{path.name}: {", ".join(sorted(dropped))} of the objects are not used')


def _key(entry: Any, name: str) -> int | str | None:
    """Return an id, None if there is none: texts and integers are ids, lists are not."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, int | str) else None


def _annotation(entry: Mapping[str, Any], name: str, where: str) -> Annotation:
    shape, box = entry.get('segmentation') or [], entry.get('bbox')
    rle = shape if isinstance(shape, dict) else None
    polygons = [] if rle or shape == [[]] else shape  # some tools write [[]] for no polygon
    for ring in polygons if isinstance(polygons, list) else [None]:
        valid = isinstance(ring, list) and len(ring) >= 6 and not len(ring) % 2
        if not valid or not all(map(is_number, ring)):
            raise UserError(
                f'{where}: a polygon of segmentation must be [x1, y1, x2, y2, x3, y3, ...]'
            )
    if not box and polygons:
        box = extent(polygons)
    if not box and rle:
        box = NO_BOX
    if not isinstance(box, (list, tuple)) or len(box) != 4 or not all(map(is_number, box)):
        raise UserError(f'{where}: bbox must be [x, y, width, height], not {box!r:.60}')
    extra = entry.get('attributes')
    return Annotation(
        name,
        (box[0], box[1], box[2], box[3]),
        polygons,
        rle=rle,
        crowd=bool(entry.get('iscrowd')),
        area=entry.get('area') if is_number(entry.get('area')) else None,
        extra=dict(extra) if isinstance(extra, dict) else {},
    )


def check_rles(pictures: Sequence[Picture]) -> None:
    """Check the run lengths, which can end the process if they are wrong, and set missing boxes."""
    for picture in pictures:
        for one in picture.objects:
            if one.rle is None:
                continue
            fault = mask_fault(one.rle, picture.width, picture.height)
            if fault and 'covers no pixel' not in fault:
                raise UserError(f'an object of {picture.path}: segmentation {fault}')
            if one.box == NO_BOX:
                one.box = box_of_mask(decode_rle(one.rle))


def write(collection: Collection, folder: Path, place: Place) -> list[str]:
    """Write ``annotations/SPLIT.json`` and the images in ``SPLIT/``; return what is lost."""
    names = target_names(collection)
    for split, pictures in collection.parts().items():
        for picture in pictures:
            place(picture.path, folder / split / names[picture.path])
        stored = {picture.path: names[picture.path] for picture in pictures}
        write_json(collection, pictures, stored, folder / f'annotations/{split}.json')
    return []


def write_json(
    collection: Collection,
    pictures: Sequence[Picture],
    names: Mapping[Path, str],
    target: Path,
) -> None:
    """Write one COCO file.

    Args:
        collection: gives the classes; their ids are 1, 2, ...
        pictures: the images of the file.
        names: the ``file_name`` of each image.
        target: the file.
    """
    ids = {name: number for number, name in enumerate(collection.classes, 1)}
    images, annotations = [], []
    for number, picture in enumerate(pictures, 1):
        size = {'width': picture.width, 'height': picture.height}
        images.append({'id': number, 'file_name': names[picture.path], **size})
        for one in picture.objects:
            entry = {'id': len(annotations) + 1, 'image_id': number, 'category_id': ids[one.name]}
            annotations.append({**entry, **_entry(one, picture)})
    content = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': number, 'name': name} for name, number in ids.items()],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False)
    target.write_text(f'{text}\n', encoding='utf-8', errors='surrogateescape')


def _entry(one: Annotation, picture: Picture) -> dict[str, Any]:
    """Return box and mask as COCO has them."""
    area, shape = one.area, one.rle or one.polygons
    if one.holes or (one.crowd and not one.rle):  # polygons in COCO have no holes
        whole = one if one.has_mask else Annotation(one.name, one.box, [rectangle(one.box)])
        shape = encode_rle(mask_of(whole, picture.width, picture.height))
    if area is None and one.has_mask:
        area = int(mask_of(one, picture.width, picture.height).sum())
    if area is None:
        area = one.box[2] * one.box[3]
    entry = {'bbox': list(one.box), 'area': area, 'iscrowd': int(one.crowd)}
    if shape:
        entry['segmentation'] = shape
    return {**entry, 'attributes': one.extra} if one.extra else entry
