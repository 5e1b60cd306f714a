"""What can be wrong with a data set in COCO format, each thing with its own sentence."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from .image_files import check_images, fingerprint, note, recall
from .sources import folders_beside, how_to_get, some

if TYPE_CHECKING:
    from mmdet.datasets import CocoDataset

NUMBER, ID = (int, float), (int, str)
# What MMDetection and pycocotools read of every entry, whether they need it or not.
ENTRIES = {
    'images': {'id': ID, 'file_name': str, 'width': NUMBER, 'height': NUMBER},
    'annotations': {'id': ID, 'image_id': ID, 'category_id': ID, 'bbox': list, 'area': NUMBER},
    'categories': {'id': ID, 'name': str},
}
MANY = 20  # more classes than this are not written out


def check_coco(dataset: Mapping[str, Any], where: str) -> None:
    """Check the files of a ``CocoDataset``, what its annotations say, and the images it will use.

    What was found good and has not changed since is not read again. Data behind a URL or another
    storage backend are left alone.

    Args:
        dataset: the config of the data set.
        where: its place in the config, such as 'train_dataloader.dataset', for the message.

    Raises:
        UserError: the first thing that is wrong, in one line with the way to put it right.
    """
    if dataset.get('backend_args') or '://' in annotation_file(dataset):
        return
    try:
        source = _unloaded(dataset)
        _check_paths(source)
        _check_content(source, _wants_masks(dataset.get('pipeline') or ()))
    except UserError as error:
        line = str(error).replace('\n', ' ')  # names in the file may hold anything
        raise UserError(f'{where}: {line}') from error


def annotation_file(dataset: Mapping[str, Any]) -> str:
    """The path of a data set's annotation file, joined as ``BaseDataset`` joins it."""
    return os.path.join(dataset.get('data_root') or '', dataset.get('ann_file') or '')


def class_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a ``CocoDataset``'s classes by its config: COCO's 80 if it gives none.

    Raises:
        UserError: the config of the data set is not valid.
    """
    return tuple(_unloaded(dataset).metainfo['classes'])


def _unloaded(dataset: Mapping[str, Any]) -> CocoDataset:
    """The data set itself, before it reads anything: paths, classes and filters as it has them."""
    from mmdet.datasets import CocoDataset  # takes seconds, and other tasks go without it

    arguments = {k: v for k, v in dataset.items() if k not in ('type', 'pipeline', 'lazy_init')}
    try:
        source = CocoDataset(**arguments, pipeline=[], lazy_init=True)
    except TypeError as error:
        raise UserError(f'the data set cannot be built: {error}') from error
    if isinstance(source.metainfo['classes'], str):
        name = source.metainfo['classes']
        raise UserError(
            f'metainfo.classes is the text {name!r}; it must be a tuple of names '
            f'(a single one with a comma: classes=({name!r},)) or an existing file of names'
        )
    return source


def _wants_masks(pipeline: Sequence[Any]) -> bool:
    return any(isinstance(step, Mapping) and step.get('with_mask') for step in pipeline)


def _check_paths(source: CocoDataset) -> None:
    root, file = str(source.data_root or ''), source.ann_file
    if root and not os.path.isdir(root):
        raise UserError(f'data_root {root} does not exist; {how_to_get(root)}')
    if not os.path.isfile(file):
        fault, folder = f'annotation file {file} does not exist', os.path.dirname(file) or '.'
        if not os.path.isdir(folder):
            raise UserError(f'{fault}, nor does its folder; {how_to_get(root)}')
        others = sorted(path.name for path in Path(folder).glob('*.json'))
        raise UserError(f'{fault}; json files there: {some(others, 8) or "none"}; set ann_file')
    if 'img' not in source.data_prefix:
        given = dict(source.data_prefix)
        raise UserError(
            "data_prefix needs 'img', the folder of the images: data_prefix=dict(img='train2017/')"
            f', not {given}'
        )
    folder = source.data_prefix['img']
    if not os.path.isdir(folder or '.'):
        raise UserError(
            f'image folder {folder} does not exist; folders beside it: '
            f'{folders_beside(folder)}; set data_prefix.img'
        )


def _check_content(source: CocoDataset, masks: bool) -> None:
    asked = (source.ann_file, source.data_prefix, source.metainfo['classes'], source.filter_cfg)
    asked += (source.test_mode, source._indices, source.metainfo.get('subset'), masks)
    subject = f'coco {asked}'
    known = recall(subject)
    if known and known['state'] == fingerprint(known['folders'], [source.ann_file]):
        return
    content = _read(source.ann_file, source.test_mode)
    _check_references(content, source.ann_file)
    _check_categories(source, [category['name'] for category in content['categories']])
    images = _used_images(source, content, masks)
    folders = sorted({os.path.dirname(image) for image in images})
    state = fingerprint(folders, [source.ann_file])
    _check_folder(source, images)
    check_images(images)
    if state is not None:
        note(subject, {'folders': folders, 'state': state})


def _read(path: str, test_mode: bool) -> dict[str, list[dict]]:
    """Parse an annotation file and make sure that every entry has what is read of it."""
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except json.JSONDecodeError as error:
        place = f'line {error.lineno}, column {error.colno}'
        raise UserError(
            f'{path} is not valid JSON ({place}: {error.msg}); was it downloaded in full?'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path} cannot be read: {error}') from error
    if isinstance(content, list):
        raise UserError(
            f'{path} holds a list, as files of results do; ann_file needs the annotations: '
            f'a dict of {", ".join(ENTRIES)}'
        )
    if test_mode and isinstance(content, dict):
        content.setdefault('annotations', [])  # COCO publishes none for its test images
    lacks = [k for k in ENTRIES if not isinstance(content, dict) or k not in content]
    if lacks == ['annotations']:
        raise UserError(
            f'{path} has no annotations, as image_info files of test images: it can be tested '
            'with, not trained on'
        )
    if lacks:
        raise UserError(f'{path} is not in COCO format: it lacks {some(lacks)}')
    for kind, keys in ENTRIES.items():
        _check_entries(kind, content[kind], keys, path)
    return content


def _check_entries(kind: str, entries: Any, keys: Mapping[str, Any], path: str) -> None:
    if not isinstance(entries, list):
        raise UserError(f'{kind} of {path} must be a list, not a {type(entries).__name__}')
    seen = set()
    for index, entry in enumerate(entries):
        name = f'{kind}[{index}] of {path}'
        if not isinstance(entry, dict):
            raise UserError(f'{name} must be a dict, not {entry!r:.60}')
        for key, types in keys.items():
            if not isinstance(entry.get(key), types):
                if key not in entry:
                    raise UserError(f'{name} lacks {some([k for k in keys if k not in entry])}')
                raise UserError(f'{name}: {key} is not valid: {entry[key]!r:.60}')
        if entry['id'] in seen:
            raise UserError(f'{name}: id {entry["id"]!r} was used before; ids must be unique')
        seen.add(entry['id'])


def _check_references(content: Mapping[str, list[dict]], path: str) -> None:
    images = {image['id'] for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    for index, entry in enumerate(content['annotations']):
        for key, ids in (('image_id', images), ('category_id', categories)):
            if entry[key] not in ids:
                raise UserError(
                    f'annotations[{index}] of {path}: {key} {entry[key]!r} is not the id of any of '
                    f'its {len(ids)} {"images" if key == "image_id" else "categories"}'
                )
        box = entry['bbox']
        if len(box) != 4 or not all(isinstance(v, NUMBER) and math.isfinite(v) for v in box):
            raise UserError(
                f'annotations[{index}] of {path}: bbox must be four numbers '
                f'(x, y, width, height), not {box!r:.60}'
            )


def _check_categories(source: CocoDataset, names: Sequence[str]) -> None:
    classes, path = list(source.metainfo['classes']), source.ann_file
    for place, listed in ((f'categories of {path}', names), ('metainfo.classes', classes)):
        if twice := [name for name, count in Counter(listed).items() if count > 1]:
            raise UserError(f'{place} name {some(twice)} more than once; names must be unique')
    subset = source.metainfo.get('subset', False)
    ours = "COCO's 80 classes" if classes == [*source.METAINFO['classes']] else 'metainfo.classes'
    lacking = [name for name in classes if name not in names]
    unused = [name for name in names if name not in classes and not subset]
    ordered = [name for name in names if name in classes]
    faults = []
    if lacking:
        faults.append(f'in {ours} but not among the categories of {path}: {some(lacking)}')
    if unused:
        faults.append(f'among the categories of {path} but not in {ours}: {some(unused)}')
    if not faults and ordered != classes:  # MMDetection numbers labels by the file
        faults.append(f'metainfo.classes has not the order of the categories in {path}')
    if faults:
        advice = _classes_to_write(ordered if subset else names)
        if subset and lacking:
            advice = f'the file has {some(names, MANY)}'
        if unused and not lacking:
            advice += ', or, to leave them out on purpose, metainfo=dict(classes=..., subset=True)'
        raise UserError('; '.join([*faults, advice]))


def _classes_to_write(names: Sequence[str]) -> str:
    if 0 < len(names) <= MANY:
        return f'write metainfo=dict(classes={tuple(names)!r})'
    return 'metainfo.classes must name the categories of the file, in their order'


def _used_images(source: CocoDataset, content: Mapping[str, list[dict]], masks: bool) -> list[str]:
    """Paths of the images that are left when the data set has parsed and filtered its entries.

    Its own methods do that; what they need is set as ``CocoDataset.load_data_list`` sets it.
    """
    annotations = _index(source, content)
    objects = unmasked = 0
    for image in content['images']:
        raw = {'raw_img_info': {**image, 'img_id': image['id']}}
        info = source.parse_data_info({**raw, 'raw_ann_info': annotations[image['id']]})
        instances = info.pop('instances')
        objects += len(instances)
        unmasked += sum('mask' not in instance for instance in instances)
        source.data_list.append(info)
    images = source.data_list
    source.data_list = source.filter_data()
    if source._indices is not None:
        source.data_list = source._get_unserialized_subset(source._indices)
    if not source.data_list:
        raise UserError(_nothing_left(source, images))
    if masks and unmasked:
        raise UserError(
            f'{unmasked} of {objects} annotations in {source.ann_file} have no segmentation, but '
            'the pipeline loads masks (with_mask=True); add them, or train a detector without masks'
        )
    if not objects and not source.test_mode:
        raise UserError(
            f'none of the boxes in {source.ann_file} can be used; a bbox is (x, y, width, height) '
            'in pixels, inside the image and at least 1 wide and high, with an area above 0'
        )
    return [info['img_path'] for info in source.data_list]


def _index(source: CocoDataset, content: Mapping[str, list[dict]]) -> dict[Any, list[dict]]:
    """Set what parsing and filtering need; returns the annotations of every image."""
    classes = set(source.metainfo['classes'])
    source.cat_ids = [c['id'] for c in content['categories'] if c['name'] in classes]
    source.cat2label = {cat_id: label for label, cat_id in enumerate(source.cat_ids)}
    source.cat_img_map, annotations = defaultdict(list), defaultdict(list)
    for entry in content['annotations']:
        source.cat_img_map[entry['category_id']].append(entry['image_id'])
        annotations[entry['image_id']].append(entry)
    return annotations


def _nothing_left(source: CocoDataset, images: Sequence[Mapping[str, Any]]) -> str:
    if not images:
        return f'{source.ann_file} lists no images'
    rules = source.filter_cfg or {}
    least = rules.get('min_size', 0)
    wanted = {image for cat_id in source.cat_ids for image in source.cat_img_map[cat_id]}
    labelled = {image for ids in source.cat_img_map.values() for image in ids}
    ids = [image['img_id'] for image in images]
    small = sum(min(image['width'], image['height']) < least for image in images)
    return (
        f'none of the {len(images)} images in {source.ann_file} is left: '
        f'{sum(i not in labelled for i in ids)} have no annotations, '
        f'{sum(i in labelled and i not in wanted for i in ids)} none of metainfo.classes, '
        f'{small} are smaller than {least} px; see filter_cfg={dict(rules)} and '
        f'indices={source._indices}'
    )


def _check_folder(source: CocoDataset, images: Sequence[str]) -> None:
    """Tell a wrong folder, where nothing fits, from single images that are missing."""
    if any(map(os.path.exists, images)):
        return
    folder = source.data_prefix['img'] or '.'
    there = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    first = os.path.relpath(images[0], folder)
    if first.lower() in map(str.lower, there):
        return  # only the case differs, which check_images says
    if os.path.basename(first) in there:
        advice = f'the names there begin with a folder already ({first}): leave it out of'
    else:
        held = f'{len(there)} other files such as {there[0]}' if there else 'no files'
        advice = f'it holds {held}, but not {first}: set the right folder in'
    raise UserError(
        f'none of the {len(images)} images of {source.ann_file} is in {folder}; '
        f'{advice} data_prefix.img'
    )
