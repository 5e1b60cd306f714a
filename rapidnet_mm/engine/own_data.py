"""``dataset = 'dataset.json'`` in a config: all that depends on the data is filled in from there.

A config with this line names neither files nor classes, and it never says ``num_classes``::

    _base_ = 'rapidnet_mm::configs/maskrcnn_rapidnet_ti_coco.py'
    dataset = 'fruit/dataset.json'  # beside this config; `rapidnet new` writes such files

The data sets of all loaders get files, classes and colours, the evaluators get the same files, and
every head and loss gets the number of classes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..data.checks.check_config import nested_dicts
from ..data.importers.dataset import Dataset, read_dataset
from ..errors import UserError

KEY = 'dataset'
SCOPES = {'instance': 'mmdet', 'boxes': 'mmdet', 'semantic': 'mmseg', 'classes': 'mmpretrain'}
KINDS = {'mmdet': 'a detector', 'mmseg': 'a segmenter', 'mmpretrain': 'a classifier'}
CONTENTS = {
    'instance': 'boxes with masks',
    'boxes': 'boxes',
    'semantic': 'label maps',
    'classes': 'classes of whole images',
}
TYPES = {'mmdet': 'CocoDataset', 'mmseg': 'BaseSegDataset', 'mmpretrain': 'CustomDataset'}
EVALUATORS = {'mmdet': 'CocoAP', 'mmseg': 'SemanticIoU', 'mmpretrain': 'TopAccuracy'}
# What stays of a data set in the config; the rest is about the files of other data.
KEPT = {'pipeline', 'filter_cfg', 'indices', 'test_mode', 'lazy_init', 'max_refetch', '_scope_'}


def use_dataset(cfg: Config, name: str, dataset: str | Path | None = None) -> None:
    """Fill a config from its ``dataset.json``. A config without the key stays as it is.

    Args:
        cfg: the config. Its key ``dataset`` is removed, so that a copy of the filled config can be
            stored anywhere.
        name: the name of the config in messages.
        dataset: a file or folder to take instead of the one in the config.

    Raises:
        UserError: the file cannot be read, or its data are not for such a model.
    """
    if KEY not in cfg and dataset is None:
        return
    if dataset is None:
        dataset = _path_of(cfg[KEY], name)
    cfg._cfg_dict.pop(KEY, None)
    data = read_dataset(dataset)
    _check_task(cfg, data, name)
    for split in ('train', 'val', 'test'):
        _fill_split(cfg, split, data)
    _fill_model(cfg.get('model'), data)


def _path_of(value: Any, name: str) -> Path:
    """Return the path in a config. A relative one begins at the folder of the config."""
    if not isinstance(value, str) or not value:
        raise UserError(
            f'config {name}: dataset must be the path of a dataset.json, which '
            f'`rapidnet new FOLDER` writes, not {value!r:.80}'
        )
    return Path(name).parent / value


def _check_task(cfg: Config, data: Dataset, name: str) -> None:
    """Check that the model of a config can learn from the data."""
    scope = cfg.get('default_scope')
    wanted = SCOPES[data.task]
    if scope != wanted:
        kind = KINDS.get(scope, f'of default_scope {scope!r}')
        raise UserError(
            f'config {name}: its model is {kind}, but {data.folder} has {CONTENTS[data.task]}; '
            f'they need {KINDS[wanted]}'
        )
    if data.task == 'boxes' and _has_masks(cfg):
        raise UserError(
            f'config {name}: its model learns masks, but {data.folder} has only boxes; take '
            'Faster R-CNN or SSDLite'
        )
    check_classes(data, str(data.folder))


def check_classes(data: Dataset, place: str) -> None:
    """Check that there is something to tell apart.

    Args:
        data: the data set.
        place: what the message calls it.

    Raises:
        UserError: label maps or images of a single class.
    """
    if data.task in ('semantic', 'classes') and len(data.classes) < 2:
        raise UserError(
            f'{place} has a single class, {data.classes[0]}; a model learns to tell classes '
            'apart, so add a second one (such as "background")'
        )


def _has_masks(cfg: Config) -> bool:
    nodes = nested_dicts(cfg.get('model') or {}, 'model')
    return any(node.get('mask_head') is not None for node, _ in nodes)


def _fill_split(cfg: Config, split: str, data: Dataset) -> None:
    """Fill the loader and the evaluator of a split; without a test split, val is tested on."""
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        return
    if not isinstance(loader.get('dataset'), Mapping):
        loader.dataset = {}
    innermost = loader.dataset
    while isinstance(innermost.get('dataset'), Mapping):  # such as RepeatDataset
        innermost = innermost.dataset
    part = split if split in data.splits else 'val'
    fields = dataset_fields(data, part, innermost)
    if split != 'train':
        fields['test_mode'] = True
    innermost.clear()
    innermost.update(fields)
    if split == 'train' or cfg.get(f'{split}_cfg') is None:
        return
    scope = SCOPES[data.task]
    evaluators = cfg.get(f'{split}_evaluator') or dict(type=EVALUATORS[scope])
    cfg[f'{split}_evaluator'] = copy.deepcopy(evaluators)  # a test's own, not the validation's
    for metric in _metrics(cfg[f'{split}_evaluator']):
        if scope == 'mmdet' and metric.get('type') in ('CocoAP', 'CocoMetric'):
            metric.ann_file = str(data.splits[part].annotations)
            masks = data.task == 'instance' and _has_masks(cfg)
            metric.metric = ['bbox', 'segm'] if masks else 'bbox'


def _metrics(evaluators: Any) -> Iterator[ConfigDict]:
    for metric in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
        if isinstance(metric, Mapping):
            yield metric


def dataset_fields(data: Dataset, split: str, old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a split: what the old one says of loading, and the new files."""
    annotations = data.splits[split].annotations
    metainfo: dict[str, Any] = dict(classes=data.classes)
    if data.palette is not None:
        metainfo['palette'] = list(data.palette)
    scope = SCOPES[data.task]
    fields = {key: value for key, value in old.items() if key in KEPT}
    fields |= dict(type=TYPES[scope], data_root='', ann_file=str(annotations), metainfo=metainfo)
    if scope == 'mmdet':
        fields['data_prefix'] = dict(img=str(data.images))
    elif scope == 'mmseg':
        fields['data_prefix'] = dict(img_path=str(data.images), seg_map_path=str(data.labels))
        fields |= dict(img_suffix=data.img_suffix, seg_map_suffix=data.seg_map_suffix)
        fields['reduce_zero_label'] = False  # labels are indexes of classes, from 0
    else:
        fields['data_prefix'] = dict(img_path=str(data.images))
    return fields


def _fill_model(model: Any, data: Dataset) -> None:
    """Give every part of the model the number of classes."""
    count = len(data.classes)
    for node, _ in list(nested_dicts(model, 'model')):
        if isinstance(node.get('num_classes'), int):
            node['num_classes'] = count
        weights = node.get('class_weight')
        misfit = isinstance(weights, list | tuple) and len(weights) != count
        if misfit and data.task in ('semantic', 'classes'):
            node['class_weight'] = None  # the weights are of other classes
