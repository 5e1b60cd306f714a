"""What can be wrong with a data set in COCO format. Each fault has its own message."""

from __future__ import annotations

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from .checker import DatasetChecker
from .image_files import check_images
from .messages import files_in, first_few, folders_beside, other_files
from .notes import fingerprint, read_note, write_note
from .sources import how_to_get

if TYPE_CHECKING:
    from mmdet.datasets import CocoDataset

NUMBER, ID = (int, float), (int, str)
# The keys that MMDetection and pycocotools read of each entry, and their types.
ENTRIES = {
    'images': {'id': ID, 'file_name': str, 'width': NUMBER, 'height': NUMBER},
    'annotations': {'id': ID, 'image_id': ID, 'category_id': ID, 'bbox': list, 'area': NUMBER},
    'categories': {'id': ID, 'name': str},
}
MANY = 20  # a message does not list more classes than this


class CocoChecker(DatasetChecker):
    """Checks a ``CocoDataset``: its files, its annotations, and the images that it will use."""

    types = ('CocoDataset',)
    one_weight_per_class = False  # the loss of a detector can have a weight for the background too

    def check_files(self) -> None:
        """Check the files and what the annotations say; see :class:`DatasetChecker`."""
        dataset = self.build()
        _check_paths(dataset)
        _check_content(dataset, _loads_masks(self.config.get('pipeline') or ()))

    def class_names(self) -> tuple[str, ...]:
        """Return the names from the config, or else COCO's 80."""
        return tuple(self.build().metainfo['classes'])

    def is_remote(self) -> bool:
        """Return whether the annotations are behind a URL or in another storage backend."""
        return bool(self.config.get('backend_args')) or '://' in self.annotation_file()

    def annotation_file(self) -> str:
        """Return the path of the annotation file, joined as MMEngine joins it."""
        return os.path.join(self.config.get('data_root') or '', self.config.get('ann_file') or '')

    def build(self) -> CocoDataset:
        """Build the data set without reading its files: it knows paths, classes and filters.

        Raises:
            UserError: the config of the data set is not valid.
        """
        # mmdet takes seconds to import, and other tasks do not need it.
        from mmdet.datasets import CocoDataset

        try:
            dataset = CocoDataset(**self.arguments())
        except TypeError as error:
            raise UserError(f'the data set cannot be built: {error}') from error
        name = dataset.metainfo['classes']
        if isinstance(name, str):
            raise UserError(
                f'metainfo.classes is the text {name!r}; it must be a tuple of names '
                f'(a single one with a comma: classes=({name!r},)) or an existing file of names'
            )
        return dataset


def _loads_masks(pipeline: Sequence[Any]) -> bool:
    return any(isinstance(step, Mapping) and step.get('with_mask') for step in pipeline)


def _check_paths(dataset: CocoDataset) -> None:
    """Check that annotation file and image folder exist."""
    root, file = str(dataset.data_root or ''), dataset.ann_file
    if root and not os.path.isdir(root):
        raise UserError(f'data_root {root} does not exist; {how_to_get(root)}')
    if not os.path.isfile(file):
        fault, folder = f'annotation file {file} does not exist', os.path.dirname(file) or '.'
        if not os.path.isdir(folder):
            raise UserError(f'{fault}, nor does its folder; {how_to_get(root)}')
        others = sorted(path.name for path in Path(folder).glob('*.json'))
        raise UserError(
            f'{fault}; json files there: {first_few(others, 8) or "none"}; set ann_file'
        )
    if 'img' not in dataset.data_prefix:
        given = dict(dataset.data_prefix)
        raise UserError(
            "data_prefix needs 'img', the folder of the images: data_prefix=dict(img='train2017/')"
            f', not {given}'
        )
    folder = dataset.data_prefix['img']
    if not os.path.isdir(folder or '.'):
        raise UserError(
            f'image folder {folder} does not exist; folders beside it: '
            f'{folders_beside(folder)}; set data_prefix.img'
        )


def _check_content(dataset: CocoDataset, masks: bool) -> None:
    """Check what the annotations say and the images that they name, unless a note has the result.

    Args:
        dataset: the data set, built without reading its files.
        masks: whether the pipeline loads masks.
    """
    settings = (
        dataset.ann_file,
        dataset.data_prefix,
        dataset.metainfo['classes'],
        dataset.filter_cfg,
        dataset.test_mode,
        dataset._indices,
        dataset.metainfo.get('subset'),
        masks,
    )
    subject = f'coco {settings}'
    note = read_note(subject)
    if note and note['state'] == fingerprint(note['folders'], [dataset.ann_file]):
        return
    content = _read(dataset.ann_file, dataset.test_mode)
    _check_references(content, dataset.ann_file)
    _check_categories(dataset, [category['name'] for category in content['categories']])
    images = _used_images(dataset, content, masks)
    folders = sorted({os.path.dirname(image) for image in images})
    state = fingerprint(folders, [dataset.ann_file])
    _check_folder(dataset, images)
    check_images(images)
    if state is not None:
        write_note(subject, {'folders': folders, 'state': state})


def _read(path: str, test_mode: bool) -> dict[str, list[dict]]:
    """Return the content of an annotation file whose entries have all keys that are needed."""
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
            f'{path} holds a list, like files of results; ann_file needs the annotations: '
            f'a dict of {", ".join(ENTRIES)}'
        )
    if test_mode and isinstance(content, dict):
        content.setdefault('annotations', [])  # COCO publishes none for its test images
    missing = [k for k in ENTRIES if not isinstance(content, dict) or k not in content]
    if missing == ['annotations']:
        raise UserError(
            f'{path} has no annotations, like image_info files of test images: it can be used for '
            'a test, not for training'
        )
    if missing:
        raise UserError(f'{path} is not in COCO format: it lacks {first_few(missing)}')
    for kind, keys in ENTRIES.items():
        _check_entries(kind, content[kind], keys, path)
    return content


def _check_entries(kind: str, entries: Any, keys: Mapping[str, Any], path: str) -> None:
    """Check that each entry has the keys that are needed, and an id of its own."""
    if not isinstance(entries, list):
        raise UserError(f'{kind} of {path} must be a list, not a {type(entries).__name__}')
    ids = set()
    for index, entry in enumerate(entries):
        name = f'{kind}[{index}] of {path}'
        if not isinstance(entry, dict):
            raise UserError(f'{name} must be a dict, not {entry!r:.60}')
        for key, types in keys.items():
            if not isinstance(entry.get(key), types):
                if key not in entry:
                    missing = [key for key in keys if key not in entry]
                    raise UserError(f'{name} lacks {first_few(missing)}')
                raise UserError(f'{name}: {key} is not valid: {entry[key]!r:.60}')
        if entry['id'] in ids:
            raise UserError(f'{name}: id {entry["id"]!r} was used before; ids must be unique')
        ids.add(entry['id'])


def _check_references(content: Mapping[str, list[dict]], path: str) -> None:
    """Check that each annotation has an image, a category and a box of four numbers."""
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


def _check_categories(dataset: CocoDataset, names: Sequence[str]) -> None:
    """Check that the classes of the config are the categories of the file, in the same order."""
    classes, path = list(dataset.metainfo['classes']), dataset.ann_file
    for place, given in ((f'categories of {path}', names), ('metainfo.classes', classes)):
        if repeats := [name for name, count in Counter(given).items() if count > 1]:
            raise UserError(
                f'{place} name {first_few(repeats)} more than once; names must be unique'
            )
    subset = dataset.metainfo.get('subset', False)
    ours = "COCO's 80 classes" if classes == [*dataset.METAINFO['classes']] else 'metainfo.classes'
    missing = [name for name in classes if name not in names]
    unused = [name for name in names if name not in classes and not subset]
    ordered = [name for name in names if name in classes]
    faults = []
    if missing:
        faults.append(f'in {ours} but not among the categories of {path}: {first_few(missing)}')
    if unused:
        faults.append(f'among the categories of {path} but not in {ours}: {first_few(unused)}')
    if not faults and ordered != classes:  # MMDetection numbers the classes as the file does
        faults.append(f'metainfo.classes does not have the order of the categories in {path}')
    if faults:
        advice = _classes_to_write(ordered if subset else names)
        if subset and missing:
            advice = f'the file has {first_few(names, MANY)}'
        if unused and not missing:
            advice += ', or, to leave them out on purpose, metainfo=dict(classes=..., subset=True)'
        raise UserError('; '.join([*faults, advice]))


def _classes_to_write(names: Sequence[str]) -> str:
    if 0 < len(names) <= MANY:
        return f'write metainfo=dict(classes={tuple(names)!r})'
    return 'metainfo.classes must name the categories of the file, in their order'


def _used_images(dataset: CocoDataset, content: Mapping[str, list[dict]], masks: bool) -> list[str]:
    """Return the paths of the images that are left after the filters of the data set.

    The data set's own methods parse and filter, so the result is what a training would use.
    """
    annotations = _index(dataset, content)
    objects = unmasked = 0
    for image in content['images']:
        raw = {'raw_img_info': {**image, 'img_id': image['id']}}
        info = dataset.parse_data_info({**raw, 'raw_ann_info': annotations[image['id']]})
        instances = info.pop('instances')
        objects += len(instances)
        unmasked += sum('mask' not in instance for instance in instances)
        dataset.data_list.append(info)
    images = dataset.data_list
    dataset.data_list = dataset.filter_data()
    if dataset._indices is not None:
        dataset.data_list = dataset._get_unserialized_subset(dataset._indices)
    if not dataset.data_list:
        raise UserError(_nothing_left(dataset, images))
    if masks and unmasked:
        raise UserError(
            f'{unmasked} of {objects} annotations in {dataset.ann_file} have no segmentation, but '
            'the pipeline loads masks (with_mask=True); add them, or train a detector without masks'
        )
    if not objects and not dataset.test_mode:
        raise UserError(
            f'none of the boxes in {dataset.ann_file} can be used; a bbox is (x, y, width, height) '
            'in pixels, inside the image and at least 1 wide and high, with an area above 0'
        )
    return [info['img_path'] for info in dataset.data_list]


def _index(dataset: CocoDataset, content: Mapping[str, list[dict]]) -> dict[Any, list[dict]]:
    """Return the annotations of each image, by the image's id.

    Also set the attributes that parsing and filtering read, as ``CocoDataset.load_data_list`` does.
    """
    classes = set(dataset.metainfo['classes'])
    dataset.cat_ids = [c['id'] for c in content['categories'] if c['name'] in classes]
    dataset.cat2label = {cat_id: label for label, cat_id in enumerate(dataset.cat_ids)}
    dataset.cat_img_map, annotations = defaultdict(list), defaultdict(list)
    for entry in content['annotations']:
        dataset.cat_img_map[entry['category_id']].append(entry['image_id'])
        annotations[entry['image_id']].append(entry)
    return annotations


def _nothing_left(dataset: CocoDataset, images: Sequence[Mapping[str, Any]]) -> str:
    """Say why the filters left no image."""
    if not images:
        return f'{dataset.ann_file} lists no images'
    rules = dataset.filter_cfg or {}
    min_size = rules.get('min_size', 0)
    # ids of images with an annotation of our classes, and with any annotation
    useful = {image for cat_id in dataset.cat_ids for image in dataset.cat_img_map[cat_id]}
    labelled = {image for ids in dataset.cat_img_map.values() for image in ids}
    ids = [image['img_id'] for image in images]
    small = sum(min(image['width'], image['height']) < min_size for image in images)
    return (
        f'none of the {len(images)} images in {dataset.ann_file} is left: '
        f'{sum(i not in labelled for i in ids)} have no annotations, '
        f'{sum(i in labelled and i not in useful for i in ids)} have none of metainfo.classes, '
        f'{small} are smaller than {min_size} px; see filter_cfg={dict(rules)} and '
        f'indices={dataset._indices}'
    )


def _check_folder(dataset: CocoDataset, images: Sequence[str]) -> None:
    """Check that the folder is the right one: that not all images are missing."""
    if any(map(os.path.exists, images)):
        return
    folder = dataset.data_prefix['img'] or '.'
    files = files_in(folder)
    first = os.path.relpath(images[0], folder)
    if first.lower() in map(str.lower, files):
        return  # only capital letters differ, and check_images says so
    if os.path.basename(first) in files:
        advice = f'the names in the file begin with a folder already ({first}): leave it out of'
    else:
        advice = f'it holds {other_files(files)}, but not {first}: set the right folder in'
    raise UserError(
        f'none of the {len(images)} images of {dataset.ann_file} is in {folder}; '
        f'{advice} data_prefix.img'
    )
