"""What is wrong with the data of a config, said before anything is built on it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ...errors import UserError
from . import coco, class_folders as folders, label_maps as semantic
from .coco import annotation_file, check_coco
from .class_folders import check_folders, check_same_classes
from .label_maps import check_semantic
from .sources import some

# By the last part of the type's name: 'mmdet.CocoDataset' is a CocoDataset.
CHECKERS: dict[str, Callable[[Mapping[str, Any], str], None]] = {
    'CocoDataset': check_coco,
    **dict.fromkeys(semantic.TYPES, check_semantic),
    **dict.fromkeys(folders.TYPES, check_folders),
}


def check_data(cfg: Config, splits: Sequence[str] = ('train', 'val')) -> None:
    """Check the data sets of a config, and that the evaluators read the same annotations.

    Data sets of other types than those in ``CHECKERS`` are left alone. In distributed runs one
    process checks for all.

    Args:
        cfg: a config with ``train_dataloader``, ``val_evaluator``, ...
        splits: some of 'train', 'val' and 'test'.

    Raises:
        UserError: the first thing that is wrong, where, and how to put it right.
    """
    found = {split: list(_datasets(cfg, split)) for split in splits}
    for split, datasets in found.items():  # these take no time, so they come first
        _check_evaluator(cfg.get(f'{split}_evaluator'), f'{split}_evaluator', datasets)
    everything = [item for datasets in found.values() for item in datasets]
    for where, dataset in everything:
        CHECKERS[_type_name(dataset)](dataset, where)
    in_folders = [item for item in everything if _type_name(item[1]) in folders.TYPES]
    for other in in_folders[1:]:
        check_same_classes(in_folders[0], other)
    for where, dataset in everything:
        classes = class_names(dataset)
        if not classes:  # neither config nor folders tell
            continue
        _check_class_count(cfg.get('model'), 'model', classes, where)
        if _type_name(dataset) != 'CocoDataset':  # detectors may weigh the background too
            _check_class_weights(cfg.get('model'), 'model', len(classes), where)


def class_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a data set's classes by its config, for the types in ``CHECKERS``.

    Raises:
        UserError: the config of the data set is not valid, or it is of another type.
    """
    kind = _type_name(dataset)
    if kind not in CHECKERS:
        raise UserError(f'the classes of a {kind} are not known; choose one of {sorted(CHECKERS)}')
    if kind in folders.TYPES:
        return folders.class_names(dataset)
    return (coco if kind == 'CocoDataset' else semantic).class_names(dataset)


def tell_other_classes(trained: Sequence[str] | None, dataset: Any, source: str) -> None:
    """Warn where a data set has classes of other names than a checkpoint was trained for."""
    found = getattr(dataset, 'metainfo', {}).get('classes')
    found = (found,) if isinstance(found, str) else tuple(found or ())
    if trained and found and tuple(trained) != found:
        print_log(
            f'{source} was trained on other classes ({some(trained)}) than the data set has '
            f'({some(found)}): what counts is their order, not their names',
            logger='current',
            level=logging.WARNING,
        )


def _datasets(cfg: Config, split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    loader = cfg.get(f'{split}_dataloader') or {}
    for where, dataset in _unwrap(loader.get('dataset'), f'{split}_dataloader.dataset'):
        if _type_name(dataset) in CHECKERS:
            yield where, dataset


def _unwrap(dataset: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A data set, or those inside RepeatDataset, ConcatDataset and the like."""
    if not isinstance(dataset, Mapping):
        return
    if 'dataset' in dataset:
        yield from _unwrap(dataset['dataset'], f'{where}.dataset')
    elif 'datasets' in dataset:
        for index, part in enumerate(dataset['datasets']):
            yield from _unwrap(part, f'{where}.datasets.{index}')
    else:
        yield where, dataset


def _type_name(dataset: Mapping[str, Any]) -> str:
    kind = dataset.get('type', '')
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def _nodes(node: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """All dicts inside a config, each with its path."""
    if isinstance(node, Mapping):
        yield node, path
        for key, value in node.items():
            yield from _nodes(value, f'{path}.{key}')
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _nodes(value, f'{path}.{index}')


def _check_class_count(model: Any, path: str, classes: tuple[str, ...], where: str) -> None:
    """Every ``num_classes`` in the model's config against the data set's classes."""
    for node, place in _nodes(model, path):
        count = node.get('num_classes')
        if isinstance(count, int) and count != len(classes):
            raise UserError(
                f'{place}.num_classes is {count}, but {where} has {len(classes)} classes; '
                f'set {place}.num_classes={len(classes)}'
            )


def _check_class_weights(model: Any, path: str, classes: int, where: str) -> None:
    """Every ``class_weight`` in the model's config has one weight for each class."""
    for node, place in _nodes(model, path):
        weights = node.get('class_weight')
        if isinstance(weights, list | tuple) and len(weights) != classes:
            raise UserError(
                f'{place}.class_weight has {len(weights)} weights, but {where} has {classes} '
                f'classes; give one for each, or set {place}.class_weight=None'
            )


def _check_evaluator(
    evaluator: Any, where: str, datasets: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    if len(datasets) != 1 or _type_name(datasets[0][1]) != 'CocoDataset':
        return
    place, dataset = datasets[0]
    expected = annotation_file(dataset)
    if not os.path.isfile(expected):
        return  # the data set's own check says so, and what to do
    several = isinstance(evaluator, Sequence)
    for index, metric in enumerate(evaluator if several else [evaluator]):
        given = metric.get('ann_file') if isinstance(metric, Mapping) else None
        if not given or '://' in given:
            continue
        name = f'{where}.{index}.ann_file' if several else f'{where}.ann_file'
        exists = os.path.isfile(given)
        if not exists or not os.path.samefile(given, expected):
            raise UserError(
                f'{name}: {given} {"is another file" if exists else "does not exist"}; {place} '
                f'reads {expected}, and the evaluator needs the same file: {name}={expected}'
            )
