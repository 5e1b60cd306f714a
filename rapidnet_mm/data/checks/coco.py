"""What can be wrong with a data set in COCO format. Each fault has its own message."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from .checker import DatasetChecker, subset_of
from .coco_file import read_annotations
from .coco_objects import Loading, check_objects
from .image_files import check_images
from .image_formats import Header
from .messages import files_in, first_few, folders_beside, other_files
from .notes import fingerprint, read_note, write_note
from .sources import how_to_get

if TYPE_CHECKING:
    from mmdet.datasets import CocoDataset

MANY = 20  # a message does not list more classes than this


class CocoChecker(DatasetChecker):
    """Checks a ``CocoDataset``: its files, its annotations, and the images that it will use."""

    types = ('CocoDataset',)
    one_weight_per_class = False  # the loss of a detector can have a weight for the background too
    evaluates_masks = False  # whether the evaluator of the split has a metric of masks

    def check_files(self) -> None:
        """Check the files and what the annotations say; see :class:`DatasetChecker`."""
        dataset = self.build()
        _check_paths(dataset)
        loading = _loading(self.config.get('pipeline') or (), self.evaluates_masks)
        self._check_content(dataset, loading)

    def class_names(self) -> tuple[str, ...]:
        """Return the names from the config, or else COCO's 80."""
        return tuple(self.build().metainfo['classes'])

    def is_remote(self) -> bool:
        """Return whether the annotations are behind a URL or in another storage backend."""
        return bool(self.config.get('backend_args')) or '://' in self.annotation_file()

    def annotation_file(self) -> str:
        """Return the path of the annotation file, joined as MMEngine joins it."""
        return os.path.join(self.config.get('data_root') or '', self.config.get('ann_file') or '')

    def _check_content(self, dataset: CocoDataset, loading: Loading) -> None:
        """Check annotations and the images that they name, unless a note has the result.

        Args:
            dataset: the data set, built without reading its files.
            loading: how the pipeline loads images and masks.
        """
        subject = _subject(dataset, loading)
        note = read_note(subject)
        if note and note['state'] == fingerprint(note['folders'], [dataset.ann_file]):
            for doubt in note['doubts']:
                self.doubt(doubt)
            return
        content = read_annotations(dataset.ann_file, dataset.test_mode, self.faults)
        with self.part():
            _check_categories(dataset, [category['name'] for category in content['categories']])
        images = _used_images(dataset, content, loading.masks)
        doubts = _repeated_names(dataset, content)
        with self.part():
            doubts = [*check_objects(dataset, content, loading), *doubts]
        paths = [image['img_path'] for image in images]
        folders = sorted({os.path.dirname(path) for path in paths})
        state = fingerprint(folders, [dataset.ann_file])
        _check_folder(dataset, paths)
        with self.part():
            _check_sizes(dataset, images, check_images(paths), loading)
        if state is not None and not self.faults:
            write_note(subject, {'folders': folders, 'state': state, 'doubts': doubts})
        for doubt in doubts:
            self.doubt(doubt)

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


def _loading(pipeline: Sequence[Any], evaluates_masks: bool) -> Loading:
    steps = [step for step in pipeline if isinstance(step, Mapping)]
    mask_steps = [step for step in steps if step.get('with_mask')]
    colours = [str(step['color_type']) for step in steps if 'color_type' in step]
    return Loading(
        masks=evaluates_masks or bool(mask_steps),
        polygons_only=any(not step.get('poly2mask', True) for step in mask_steps),
        turns=not any('ignore_orientation' in c or c == 'unchanged' for c in colours),
    )


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


def _subject(dataset: CocoDataset, loading: Loading) -> str:
    """Return what the note about a data set is about: all settings that change the result."""
    settings = (
        dataset.ann_file,
        dataset.data_prefix,
        dataset.metainfo['classes'],
        dataset.filter_cfg,
        dataset.test_mode,
        dataset._indices,
        dataset.metainfo.get('subset'),
        loading,
    )
    return f'coco {settings}'


def _repeated_names(dataset: CocoDataset, content: Mapping[str, list[dict]]) -> list[str]:
    counts = Counter(image['file_name'] for image in content['images'])
    repeats = [name for name, count in counts.items() if count > 1]
    if not repeats:
        return []
    return [
        f'{dataset.ann_file} lists {len(repeats)} images more than once ({first_few(repeats)}): '
        'each entry counts as another image, with its own objects only'
    ]


def _check_sizes(
    dataset: CocoDataset,
    images: Sequence[Mapping[str, Any]],
    headers: Mapping[str, Header | None],
    loading: Loading,
) -> None:
    """Check that width and height in the annotations are those of the images as they are loaded."""
    faults = []
    for image in images:
        header = headers[image['img_path']]
        if header is None:
            continue
        size = header.loaded_size if loading.turns else header[:2]
        if size == (image['width'], image['height']):
            continue
        name = os.path.relpath(image['img_path'], dataset.data_prefix['img'] or '.')
        turned = ''
        if size != header[:2]:
            turned = ' as it is loaded, turned by its EXIF orientation'
        faults.append(
            f'{name} is {size[0]}x{size[1]}{turned}, not {image["width"]:g}x{image["height"]:g}'
        )
    if faults:
        raise UserError(
            f'{len(faults)} of {len(images)} images have another width and height than '
            f'{dataset.ann_file} says: {first_few(faults)}; correct the annotations, coordinates '
            'too, or get the images again that they were made for'
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


def _used_images(
    dataset: CocoDataset, content: Mapping[str, list[dict]], masks: bool
) -> list[dict[str, Any]]:
    """Return the images that are left after the filters of the data set, with their paths.

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
        dataset.data_list = subset_of(dataset)
    if not dataset.data_list:
        raise UserError(_nothing_left(dataset, images))
    if masks and unmasked:
        raise UserError(
            f'{unmasked} of {objects} annotations in {dataset.ann_file} have no segmentation, but '
            'masks are loaded (with_mask=True) or evaluated; add them, or train a detector without '
            'masks'
        )
    if not objects and not dataset.test_mode:
        raise UserError(
            f'none of the boxes in {dataset.ann_file} can be used; a bbox is (x, y, width, height) '
            'in pixels, inside the image and at least 1 wide and high, with an area above 0'
        )
    return dataset.data_list


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
