"""The weights that a training starts from: files, or random weights (``--from-scratch``)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, MutableMapping
from typing import Any

from mmengine.config import Config
from torch import nn

from ..data.checks.check_config import nested_dicts
from ..weights.contract import WeightsContract
from ..weights.locate import locate, locate_start
from .options import argument_names, find_class

LAYER_SCALE = 0.5  # as in the configs for the built-in data
# A training from random weights is twice as long, as in the ReXNet paper (Table A4).
STRETCH = 2
WARM_UP = 1000  # iterations, if the schedule has no warm-up that can be stretched
STEPS = ('begin', 'end', 'T_max', 'step_size', 'milestones', 'total_steps', 'warm_up')
LENGTHS = ('max_epochs', 'max_iters')


def fetch_start(cfg: Config) -> None:
    """Find or fetch the weights that a new training starts from, before anything is built.

    Raises:
        UserError: they are not found; the message says where they were searched.
    """
    for node, path in nested_dicts(cfg.model, 'model'):
        if cfg.get('load_from') and path.startswith('model.backbone'):
            continue  # that file fills the backbone
        for entry in pretrained_entries(node.get('init_cfg')):
            locate_start(str(entry.get('checkpoint')), str(node.get('type')))
    if cfg.get('load_from'):
        locate(cfg.load_from)


def forget_start(cfg: Config, model: nn.Module) -> None:
    """Remove the pretrained files of the parts of a model that a checkpoint fills afterwards.

    A checkpoint to resume from fills the whole model. ``load_from`` fills the backbone.
    """
    if not cfg.get('load_from'):
        return
    for name, module in model.named_modules():
        if not cfg.get('resume') and not f'{name}.'.startswith('backbone.'):
            continue
        if isinstance(module, WeightsContract) and hasattr(module, 'pretrained'):
            module.pretrained = []
        elif pretrained_entries(getattr(module, 'init_cfg', None)):
            module.init_cfg = None


def start_from_scratch(cfg: Config) -> list[str]:
    """Change a config that starts from files so that it starts from random weights.

    The names of the files are removed. Layer scales become large enough for the blocks to work from
    the beginning, nothing is frozen, and the schedule and its warm-up become longer. A config that
    starts from random weights already stays as it is.

    Returns:
        The changes, as ``key=value``.
    """
    changes: dict[str, Any] = {}
    for node, path in list(nested_dicts(cfg.model, 'model')):
        if pretrained_entries(node.get('init_cfg')):
            _start_part(cfg, node, path, changes)
    if cfg.get('load_from'):
        _set(cfg, 'load_from', None, '', changes)
    if changes:
        _stretch(cfg, changes)
    return [f'{key}={value}' for key, value in changes.items()]


def pretrained_entries(init_cfg: Any) -> list[Mapping]:
    """Return the entries of an ``init_cfg`` that name a file."""
    entries = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]
    return [
        entry
        for entry in entries
        if isinstance(entry, Mapping) and str(entry.get('type')).endswith('Pretrained')
    ]


def _start_part(cfg: Config, node: MutableMapping, path: str, changes: dict[str, Any]) -> None:
    """Change a part of the model that starts from a file."""
    files = pretrained_entries(node['init_cfg'])
    others = [entry for entry in node['init_cfg'] if entry not in files]
    is_list = isinstance(node['init_cfg'], list | tuple)
    _set(node, 'init_cfg', others if is_list and others else None, path, changes)
    names = argument_names(cfg, node, path.split('.')) or set()
    if 'layer_scale_init' in names and node.get('layer_scale_init', 0) < LAYER_SCALE:
        _set(node, 'layer_scale_init', LAYER_SCALE, path, changes)
    if node.get('frozen_stages', -1) >= 0:  # frozen random layers would never learn
        _set(node, 'frozen_stages', -1, path, changes)
    if 'norm_eval' in names and node.get('norm_eval', _default(cfg, node, 'norm_eval')):
        _set(node, 'norm_eval', False, path, changes)
    norm_cfg = node.get('norm_cfg')
    if isinstance(norm_cfg, MutableMapping) and norm_cfg.get('requires_grad') is False:
        _set(norm_cfg, 'requires_grad', True, f'{path}.norm_cfg', changes)


def _default(cfg: Config, node: Mapping, name: str) -> Any:
    """Return the default of an argument; None if the class only passes it to its parent."""
    parameters = inspect.signature(find_class(cfg, node.get('type'))).parameters
    return parameters[name].default if name in parameters else None


def _stretch(cfg: Config, changes: dict[str, Any]) -> None:
    """Make the training and its schedule longer."""
    for key in LENGTHS:
        if isinstance((cfg.get('train_cfg') or {}).get(key), int):
            _set(cfg.train_cfg, key, STRETCH * cfg.train_cfg[key], 'train_cfg', changes)
    schedulers = cfg.get('param_scheduler')
    if isinstance(schedulers, Mapping):
        schedulers = [schedulers]
    if not isinstance(schedulers, list | tuple):
        return
    for index, scheduler in enumerate(schedulers):
        for key in STEPS:
            if (value := _stretched(scheduler.get(key))) != scheduler.get(key):
                _set(scheduler, key, value, f'param_scheduler.{index}', changes)
    if not any(_is_warm_up(scheduler) for scheduler in schedulers):
        warm_up = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=WARM_UP)
        for index, scheduler in enumerate(schedulers):
            if not scheduler.get('by_epoch', True) and not scheduler.get('begin'):
                _set(scheduler, 'begin', WARM_UP, f'param_scheduler.{index}', changes)
        _set(cfg, 'param_scheduler', [*schedulers, warm_up], '', {})
        changes[f'param_scheduler.{len(schedulers)}'] = warm_up


def _is_warm_up(scheduler: Mapping) -> bool:
    begins = str(scheduler.get('type')).endswith('LinearLR') and not scheduler.get('begin')
    return begins or bool(scheduler.get('warm_up'))


def _stretched(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_stretched(step) for step in value]
    return STRETCH * value if type(value) is int else value


def _set(node: Any, key: str, value: Any, path: str, changes: dict[str, Any]) -> None:
    """Set a value and note it."""
    node[key] = value
    changes[f'{path}.{key}'.lstrip('.')] = value
