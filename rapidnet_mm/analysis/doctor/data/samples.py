"""One form for all kinds of data sets: images with their objects, label maps or classes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ....data.checks.check_config import checkers_of
from ....data.checks.checker import DatasetChecker
from ....data.checks.class_folders import ClassFolderChecker, list_classes
from ....data.checks.coco import CocoChecker
from ....data.checks.coco_file import read_annotations
from ....data.checks.label_maps import LabelMapChecker
from ....errors import UserError

Box = tuple[float, float, float, float]  # x, y, width, height in pixels


class Object(NamedTuple):
    """An object of an image.

    Attributes:
        index: its place in the annotation file.
        label: the number of its class.
        box: its box.
        area: its area as the file says.
        segmentation: its mask in COCO format, if it has one.
        is_crowd: whether it is a group that trainings leave out.
    """

    index: int
    label: int
    box: Box
    area: float
    segmentation: Any
    is_crowd: bool


class Sample(NamedTuple):
    """An image and what is annotated.

    Attributes:
        path: the image file.
        size: width and height as the annotations say, None if they do not.
        objects: boxes and masks; () in other data sets.
        label_map: the file of its label map, '' in other data sets.
        label: the number of its class, None in other data sets.
    """

    path: str
    size: tuple[int, int] | None = None
    objects: tuple[Object, ...] = ()
    label_map: str = ''
    label: int | None = None


class Split(NamedTuple):
    """A data set of a config.

    Attributes:
        name: 'train', 'val' or 'test'.
        where: its place in the config.
        kind: 'objects', 'maps' or 'classes'.
        classes: the names of the classes.
        samples: its images.
        masks: whether a model learns masks from it.
        zero_is_ignored: label maps: whether 0 is no class, and 1 the first.
        ignored: label maps: the value that is no class.
        palette: a colour for each class, or None.
        resize: (width, height) that the pipeline makes of an image, and whether it keeps the
            aspect ratio; None if it does not say.
        leaves_out_empty: whether images without objects are left out.
    """

    name: str
    where: str
    kind: str
    classes: tuple[str, ...]
    samples: list[Sample]
    masks: bool = False
    zero_is_ignored: bool = False
    ignored: int = 255
    palette: Any = None
    resize: tuple[tuple[int, int], bool] | None = None
    leaves_out_empty: bool = False


def split_names(cfg: Config) -> list[str]:
    """Return the splits of a config that have data, without the test split if it is that of val."""
    datasets = {
        s: (cfg.get(f'{s}_dataloader') or {}).get('dataset') for s in ('train', 'val', 'test')
    }
    names = [name for name, dataset in datasets.items() if dataset]
    if 'test' in names and datasets['val'] and _same(datasets['test'], datasets['val']):
        names.remove('test')
    return names


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return {**one, 'pipeline': None} == {**other, 'pipeline': None}


def read_splits(cfg: Config, names: Sequence[str]) -> list[Split]:
    """Return those data sets of a config whose annotations can be read."""
    splits = []
    for name in names:
        for checker in checkers_of(cfg, name):
            if checker.is_remote():
                continue
            try:
                splits.append(_read(checker, name))
            except (UserError, OSError):
                continue  # the check of the data says why
    return splits


def _read(checker: DatasetChecker, name: str) -> Split:
    if isinstance(checker, CocoChecker):
        return _read_coco(checker, name)
    if isinstance(checker, LabelMapChecker):
        return _read_maps(checker, name)
    assert isinstance(checker, ClassFolderChecker)
    return _read_classes(checker, name)


def _read_coco(checker: CocoChecker, name: str) -> Split:
    dataset = checker.build()
    content = read_annotations(dataset.ann_file, True, [])
    names = tuple(dataset.metainfo['classes'])
    labels = {c['id']: names.index(c['name']) for c in content['categories'] if c['name'] in names}
    objects: dict[int, list[Object]] = defaultdict(list)
    for index, entry in enumerate(content['annotations']):
        if entry['category_id'] in labels:
            objects[entry['image_id']].append(
                Object(
                    index,
                    labels[entry['category_id']],
                    tuple(entry['bbox']),
                    entry['area'],
                    entry.get('segmentation'),
                    bool(entry.get('iscrowd')),
                )
            )
    folder = dataset.data_prefix.get('img') or ''
    samples = [
        Sample(
            os.path.join(folder, image['file_name']),
            (int(image['width']), int(image['height'])),
            tuple(objects[image['id']]),
        )
        for image in content['images']
    ]
    pipeline = [step for step in checker.config.get('pipeline') or () if isinstance(step, Mapping)]
    return Split(
        name,
        checker.where,
        'objects',
        names,
        samples,
        masks=any(step.get('with_mask') for step in pipeline),
        palette=dataset.metainfo.get('palette'),
        resize=_resize(pipeline),
        leaves_out_empty=bool((dataset.filter_cfg or {}).get('filter_empty_gt')),
    )


def _resize(pipeline: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, int], bool] | None:
    for step in pipeline:
        scale = step.get('scale')
        is_pair = isinstance(scale, list | tuple) and [*map(type, scale)] == [int, int]
        if str(step.get('type')).endswith('Resize') and is_pair:
            return tuple(scale), bool(step.get('keep_ratio'))
    return None


def _read_maps(checker: LabelMapChecker, name: str) -> Split:
    dataset = checker.build()
    items = dataset.load_data_list()
    samples = [
        Sample(item['img_path'], label_map=item.get('seg_map_path') or '')
        for item in sorted(items, key=lambda item: item['img_path'])
    ]
    return Split(
        name,
        checker.where,
        'maps',
        tuple(dataset.metainfo['classes']),
        samples,
        zero_is_ignored=bool(dataset.reduce_zero_label),
        ignored=dataset.ignore_index,
        palette=dataset.metainfo.get('palette'),
    )


def _read_classes(checker: ClassFolderChecker, name: str) -> Split:
    dataset = checker.build()
    folder = dataset.img_prefix or ''
    if dataset.ann_file:
        lines = Path(dataset.ann_file).read_text(encoding='utf-8').split('\n')
        parts = [line.strip().rpartition(' ') for line in lines]
        samples = [
            Sample(os.path.join(folder, file), label=int(label))
            for file, _, label in parts
            if file and label.isdigit()
        ]
    else:
        listing = list_classes(folder or '.', dataset.extensions)
        samples = [
            Sample(path, label=number)
            for number, paths in enumerate(listing.images.values())
            for path in paths
        ]
    names = tuple(checker.class_names())
    highest = max((sample.label for sample in samples), default=-1)
    names += tuple(f'class {number}' for number in range(len(names), highest + 1))
    return Split(name, checker.where, 'classes', names, samples)
