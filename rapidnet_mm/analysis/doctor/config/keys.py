"""Keys of a config that nobody reads, with the nearest that somebody does."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import load
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from ....data.checks.check_config import nested_dicts
from ....engine.options import RUNNER_KEYS, argument_names
from ..finding import BREAKS, ODD, SPOILS, Finding

NEAR = 0.75  # similarity of names from which one is taken for a typing error
# What the keys of MM 2 have become. Nobody reads them.
OLD = {
    'data': 'train_dataloader, val_dataloader and test_dataloader',
    'optimizer': 'optim_wrapper.optimizer',
    'optimizer_config': 'optim_wrapper',
    'lr_config': 'param_scheduler',
    'runner': 'train_cfg',
    'total_epochs': 'train_cfg.max_epochs',
    'evaluation': 'train_cfg.val_interval and val_evaluator',
    'checkpoint_config': 'default_hooks.checkpoint',
    'log_config': 'default_hooks.logger',
    'fp16': 'optim_wrapper.type (train --amp)',
}
# Keys without a class that would refuse others. A key that is not here has no effect.
FREE = {
    'auto_scale_lr': ('enable', 'base_batch_size'),
    'optim_wrapper.paramwise_cfg': (
        *('custom_keys', 'norm_decay_mult', 'bias_lr_mult', 'bias_decay_mult', 'bypass_duplicate'),
        *('dwconv_decay_mult', 'dcn_offset_lr_mult', 'flat_decay_mult', 'layer_decay_rate'),
        *('decay_rate', 'decay_type', 'num_layers', 'depths'),
    ),
}
# The runner takes these out before it builds the class of a dict, by the beginning of the place.
TAKEN = {
    'optim_wrapper': {'constructor', 'paramwise_cfg', 'type'},
    'param_scheduler': {'convert_to_iter_based', 'epoch_length'},
    'custom_hooks': {'priority'},
    'default_hooks': {'priority'},
}
# Functions of mmcv build these, and take some keys out before.
LAYERS = ('norm_cfg', 'act_cfg', 'conv_cfg', 'upsample_cfg')
BASE = re.compile(r'_base_\.(\w+)')


def unread_keys(cfg: Config) -> Iterator[Finding]:
    """Yield the keys of a config that nobody reads."""
    yield from _unread_at_the_top(cfg)
    for key in filter(_is_read, cfg):
        for node, path in nested_dicts(cfg[key], key):
            if path == key or not path.endswith(LAYERS):
                yield from _unread_in(cfg, node, path)


def _is_read(name: str) -> bool:
    return name in RUNNER_KEYS | {*inspect.signature(Runner).parameters}


def _unread_at_the_top(cfg: Config) -> Iterator[Finding]:
    """Yield names at the top that are neither settings nor used to compute settings."""
    used = names_used(Path(cfg.filename)) if cfg.filename else set()
    if used is None:
        return
    # A base may offer more variables than a config uses.
    own = names_assigned(Path(cfg.filename)) if cfg.filename else {*cfg}
    settings = sorted(RUNNER_KEYS | {*inspect.signature(Runner).parameters})
    for name in cfg:
        if _is_read(name) or name in used or name.startswith('_') or name == 'type':
            continue
        nearest = difflib.get_close_matches(name, settings, n=1, cutoff=NEAR)
        if name in OLD:
            way_out = f'that is a key of MM 2; now it is {OLD[name]}'
        elif nearest:
            way_out = f'the nearest key that has an effect is {nearest[0]}'
        else:
            if name in own:
                yield Finding(ODD, name, 'nobody reads this variable of the config', 'remove it')
            continue
        yield Finding(SPOILS, name, 'nobody reads this key', way_out)


def names_assigned(path: Path) -> set[str]:
    """Return the names that a file itself sets, without its bases."""
    if path.suffix != '.py':
        return {*load(str(path))}
    tree = ast.parse(path.read_text(encoding='utf-8'))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return {node.id for node in nodes if isinstance(node.ctx, ast.Store)}


def names_used(path: Path) -> set[str] | None:
    """Return the names that a config file and its bases read; None if that cannot be known.

    A YAML or JSON file reads no names.
    """
    if path.suffix != '.py':
        return {name for base in _bases(path) for name in names_used(base) or ()}
    if Config._is_lazy_import(str(path)):
        return None
    text = path.read_text(encoding='utf-8')
    names = {*BASE.findall(text)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.add(node.id)
    for base in _bases(path):
        inner = names_used(base)
        if inner is None:
            return None
        names |= inner
    return names


def _bases(path: Path) -> list[Path]:
    bases = Config._get_base_files(str(path))
    return [Path(Config._get_cfg_path(base, str(path))[0]) for base in bases]


def _unread_in(cfg: Config, node: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """Yield the keys of one dict that its class does not take."""
    names = FREE.get(path) or _names_of(cfg, node, path)
    if names is None:
        return
    taken = TAKEN.get(path.partition('.')[0], set())
    for key in node:
        if key in names or key in taken or str(key).startswith('_'):
            continue
        owner = f'{node["type"]} has no argument' if 'type' in node else 'there is no setting'
        owner = getattr(node.get('type'), '__name__', None) or owner
        nearest = difflib.get_close_matches(str(key), sorted(map(str, names)), n=1, cutoff=0.6)
        advice = f'the nearest is {nearest[0]}' if nearest else f'choose from {_some(names)}'
        grade = SPOILS if path in FREE else BREAKS
        yield Finding(grade, f'{path}.{key}', f'{owner} {key}', advice)


def _names_of(cfg: Config, node: Mapping[str, Any], path: str) -> set[str] | None:
    """Return the names that a dict may have, None if any is allowed."""
    if path == 'train_cfg' and 'type' not in node:
        loops = (IterBasedTrainLoop,) if 'max_iters' in node else (EpochBasedTrainLoop,)
        names = {name for loop in loops for name in inspect.signature(loop).parameters}
        return names | {'by_epoch'}
    names = argument_names(cfg, node, path.split('.'))
    return None if names is None else names | TAKEN.get(path.partition('.')[0], set())


def _some(names: Any) -> str:
    shown = sorted(name for name in map(str, names) if name not in ('self', 'type', '_scope_'))
    return ', '.join(shown[:12])
