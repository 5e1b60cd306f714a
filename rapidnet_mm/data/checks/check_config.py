"""What is wrong with the data of a config? All is checked before a model is built."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import UserError
from .checker import DatasetChecker
from .class_folders import ClassFolderChecker
from .coco import CocoChecker
from .label_maps import LabelMapChecker
from .messages import first_few, warn

if TYPE_CHECKING:
    from mmengine.config import Config

KINDS: tuple[type[DatasetChecker], ...] = (CocoChecker, LabelMapChecker, ClassFolderChecker)
CHECKERS = {name: kind for kind in KINDS for name in kind.types}  # by the type of the data set


def check_data(cfg: Config, splits: Sequence[str] = ('train', 'val')) -> None:
    """Check the data sets of a config, and whether evaluators and model fit them.

    Data sets of other types than those in ``CHECKERS`` are not checked. With several processes,
    only one has to call this.

    Args:
        cfg: a config with ``train_dataloader``, ``val_evaluator``, ...
        splits: some of 'train', 'val' and 'test'.

    Raises:
        UserError: the first fault: what is wrong, where, and what to do.
    """
    by_split = _by_split(cfg, splits)
    for split, checkers in by_split.items():  # the quick check comes first
        _check_evaluator(cfg.get(f'{split}_evaluator'), f'{split}_evaluator', checkers)
    checkers = [checker for part in by_split.values() for checker in part]
    for checker in checkers:
        checker.check()
    for checker, first in _with_first(checkers):
        checker.check_same_classes(first)
    for checker in checkers:
        _check_model(cfg.get('model'), checker)


class Fault(NamedTuple):
    """What is wrong or odd in the data of a config, and in which part of the config."""

    where: str
    text: str
    is_doubt: bool = False


def data_faults(cfg: Config, splits: Sequence[str] = ('train', 'val')) -> list[Fault]:
    """Return all that :func:`check_data` refuses or warns of; it does not end at the first fault.

    Args:
        cfg: as for :func:`check_data`.
        splits: some of 'train', 'val' and 'test'.
    """
    faults: list[Fault] = []
    by_split = _by_split(cfg, splits)
    for split, checkers in by_split.items():
        where = f'{split}_evaluator'
        with _noted(faults, where):
            _check_evaluator(cfg.get(where), where, checkers)
    checkers = [checker for part in by_split.values() for checker in part]
    for checker in checkers:
        found, doubts = checker.findings()
        faults += [Fault(checker.where, text) for text in found]
        faults += [Fault(checker.where, text, is_doubt=True) for text in doubts]
    broken = {fault.where for fault in faults if not fault.is_doubt}
    for checker, first in _with_first(checkers):
        if not {checker.where, first.where} & broken:
            with _noted(faults, checker.where):
                checker.check_same_classes(first)
    for checker in checkers:
        with _noted(faults, 'model'):
            _check_model(cfg.get('model'), checker)
    return list(dict.fromkeys(faults))


@contextmanager
def _noted(faults: list[Fault], where: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        faults.append(Fault(where, str(error).removeprefix(f'{where}: ')))


def _by_split(cfg: Config, splits: Sequence[str]) -> dict[str, list[DatasetChecker]]:
    """Return the checkers of each split; those of masks know whether masks are evaluated."""
    by_split = {split: checkers_of(cfg, split) for split in splits}
    for split, checkers in by_split.items():
        for checker in checkers:
            if isinstance(checker, CocoChecker):
                checker.evaluates_masks = _evaluates_masks(cfg.get(f'{split}_evaluator'))
    return by_split


def _with_first(
    checkers: Sequence[DatasetChecker],
) -> Iterator[tuple[DatasetChecker, DatasetChecker]]:
    """Yield each checker but the first of its kind, together with that first one."""
    firsts: dict[type[DatasetChecker], DatasetChecker] = {}
    for checker in checkers:
        first = firsts.setdefault(type(checker), checker)
        if first is not checker:
            yield checker, first


def checker_of(dataset: Mapping[str, Any], where: str) -> DatasetChecker | None:
    """Return the checker of a data set, or None if there is none for its type.

    Args:
        dataset: the config of the data set.
        where: its place in the whole config, for messages.
    """
    kind = CHECKERS.get(_type_name(dataset))
    return kind and kind(dataset, where)


def checkers_of(cfg: Config, split: str) -> list[DatasetChecker]:
    """Return the checkers of the data sets of a split, also of those inside ConcatDataset etc."""
    loader = cfg.get(f'{split}_dataloader') or {}
    datasets = _unwrap(loader.get('dataset'), f'{split}_dataloader.dataset')
    checkers = [checker_of(dataset, where) for where, dataset in datasets]
    return [checker for checker in checkers if checker]


def class_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes of a data set, from its config or its class folders.

    Raises:
        UserError: the config of the data set is not valid, or there is no checker for its type.
    """
    checker = checker_of(dataset, 'dataset')
    if checker is None:
        raise UserError(
            f'the classes of a {_type_name(dataset)} are not known; '
            f'choose one of {sorted(CHECKERS)}'
        )
    return checker.class_names()


def warn_of_other_classes(trained: Sequence[str] | None, dataset: Any, source: str) -> None:
    """Warn if the classes of a data set have other names than those that a model was trained on.

    Args:
        trained: the names in the checkpoint, None if it has none.
        dataset: the data set itself, not its config.
        source: the name of the checkpoint, for the message.
    """
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    classes = (classes,) if isinstance(classes, str) else tuple(classes or ())
    if trained and classes and tuple(trained) != classes:
        warn(
            f'{source} was trained on other classes ({first_few(trained)}) than the data set has '
            f'({first_few(classes)}): the order of the classes counts, not their names'
        )


def _unwrap(dataset: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a data set, or those inside RepeatDataset, ConcatDataset etc., each with its place."""
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
    """Return the name of a data set's class: 'mmdet.CocoDataset' is a CocoDataset."""
    kind = dataset.get('type', '')
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def _check_evaluator(evaluator: Any, where: str, checkers: Sequence[DatasetChecker]) -> None:
    """Check that each metric with an annotation file reads the file of the data set."""
    if len(checkers) != 1:
        return
    expected = checkers[0].annotation_file()
    if expected is None or not os.path.isfile(expected):
        return  # the checker of the data set says that a file is missing, and what to do
    several = isinstance(evaluator, Sequence)
    for index, metric in enumerate(evaluator if several else [evaluator]):
        file = metric.get('ann_file') if isinstance(metric, Mapping) else None
        if not isinstance(file, str) or not file or '://' in file:
            continue
        name = f'{where}.{index}.ann_file' if several else f'{where}.ann_file'
        exists = os.path.isfile(file)
        if exists and os.path.samefile(file, expected):
            continue
        fault = 'is another file' if exists else 'does not exist'
        raise UserError(
            f'{name}: {file} {fault}; {checkers[0].where} reads {expected}, and the evaluator '
            f'needs the same file: {name}={expected}'
        )


def _evaluates_masks(evaluator: Any) -> bool:
    metrics = evaluator if isinstance(evaluator, Sequence) else [evaluator]
    names = [metric.get('metric') for metric in metrics if isinstance(metric, Mapping)]
    return any('segm' in n for n in names if isinstance(n, str | list | tuple))


def _check_model(model: Any, checker: DatasetChecker) -> None:
    """Check that heads and losses of a model's config have the classes of a data set."""
    classes = checker.class_names()
    highest = checker.highest_class()
    if not classes:
        for node, place in nested_dicts(model, 'model') if highest is not None else ():
            _check_highest_class(node, place, highest, checker.where)
        return
    for node, place in nested_dicts(model, 'model'):
        _check_class_count(node, place, len(classes), checker.where)
    if checker.one_weight_per_class:
        for node, place in nested_dicts(model, 'model'):
            _check_class_weights(node, place, len(classes), checker.where)


def nested_dicts(node: Any, place: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield every dict in a config, with its place."""
    if isinstance(node, Mapping):
        yield node, place
        for key, value in node.items():
            yield from nested_dicts(value, f'{place}.{key}')
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from nested_dicts(value, f'{place}.{index}')


def _check_class_count(node: Mapping[str, Any], place: str, classes: int, where: str) -> None:
    count = node.get('num_classes')
    if isinstance(count, int) and count != classes:
        raise UserError(
            f'{place}.num_classes is {count}, but {where} has {classes} classes; '
            f'set {place}.num_classes={classes}'
        )


def _check_highest_class(node: Mapping[str, Any], place: str, highest: int, where: str) -> None:
    count = node.get('num_classes')
    if isinstance(count, int) and count <= highest:
        raise UserError(
            f'{place}.num_classes is {count}, but {where} has class {highest}, and the first is 0; '
            f'set {place}.num_classes={highest + 1} or more'
        )


def _check_class_weights(node: Mapping[str, Any], place: str, classes: int, where: str) -> None:
    weights = node.get('class_weight')
    if isinstance(weights, list | tuple) and len(weights) != classes:
        raise UserError(
            f'{place}.class_weight has {len(weights)} weights, but {where} has {classes} '
            f'classes; give one for each, or set {place}.class_weight=None'
        )
