"""Check values of a config that no class checks, or checks late: counts, rates, schedules.

The tables name the values by their path in the config. A missing value is not checked.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from ..errors import UserError


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        text: its description in messages.
        holds: returns whether a value is of this kind.
    """

    text: str
    holds: Callable[[Any], bool]


def _whole(least: int) -> Kind:
    return Kind(f'a whole number from {least}', lambda v: type(v) is int and v >= least)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


DICT = Kind('a dict', lambda v: isinstance(v, Mapping))
LIST = Kind('a list of dicts', lambda v: _is_list(v))
ONE_OR_MORE = Kind('a dict or a list of dicts', lambda v: DICT.holds(v) or LIST.holds(v))
SOME = Kind(
    'a dict or a list of dicts that is not empty',
    lambda v: ONE_OR_MORE.holds(v) and len(v) > 0,
)
HOOKS = Kind('a dict of dicts', lambda v: DICT.holds(v) and _is_list([x for x in v.values() if x]))
TEXT = Kind('a string', lambda v: isinstance(v, str) or hasattr(v, '__fspath__'))
TEMPLATE = Kind(
    "the name of a file with one {} in it, such as 'step_{}.pth'", lambda v: _is_template(v)
)
FLAG = Kind('True or False', lambda v: isinstance(v, bool))
POSITIVE, COUNT = _whole(1), _whole(0)
# CheckpointHook understands -1 as "never", and as "all" for the number of files.
INTERVAL = Kind('a whole number from 1, or -1', lambda v: type(v) is int and (v >= 1 or v == -1))
RATE = Kind('a finite number from 0', lambda v: _is_number(v) and v >= 0)
ABOVE_ZERO = Kind('a finite number above 0', lambda v: _is_number(v) and v > 0)
NUMBER = Kind('a finite number', _is_number)
FACTOR = Kind('a number above 0, up to 1', lambda v: _is_number(v) and 0 < v <= 1)
ASCENDING = Kind(
    'a list of ascending whole numbers',
    lambda v: (
        isinstance(v, list | tuple) and all(COUNT.holds(n) for n in v) and list(v) == sorted(v)
    ),
)
SPLITS = ('train', 'val', 'test')
# Values that may be None, which is the same as a missing value.
OPTIONAL = {
    'model': DICT,
    **{f'{split}_dataloader': DICT for split in SPLITS},
    **{f'{split}_dataloader.dataset': DICT for split in SPLITS},
    **{f'{split}_dataloader.dataset.pipeline': LIST for split in SPLITS},
    **{f'{split}_dataloader.num_workers': COUNT for split in SPLITS},
    **{f'{split}_cfg': DICT for split in SPLITS},
    **{f'{split}_evaluator': SOME for split in SPLITS},
    'train_cfg.val_begin': COUNT,
    'train_cfg.val_interval': POSITIVE,
    'optim_wrapper': DICT,
    'optim_wrapper.clip_grad': DICT,
    'optim_wrapper.clip_grad.max_norm': ABOVE_ZERO,
    'optim_wrapper.optimizer.weight_decay': RATE,
    'param_scheduler': Kind(
        'a dict or a list of dicts', lambda v: ONE_OR_MORE.holds(v) and _has_types(v)
    ),
    'default_hooks': HOOKS,
    'custom_hooks': LIST,
    'custom_imports': DICT,
    'env_cfg': DICT,
    'randomness': DICT,
    'randomness.seed': COUNT,
    'log_processor': DICT,
    'log_processor.window_size': POSITIVE,
    'visualizer': DICT,
    'auto_scale_lr': DICT,
    'auto_scale_lr.base_batch_size': POSITIVE,
    'default_hooks.logger.interval': POSITIVE,
    'default_hooks.checkpoint.interval': INTERVAL,
    'default_hooks.checkpoint.max_keep_ckpts': INTERVAL,
    'default_hooks.checkpoint.out_dir': TEXT,
    'default_hooks.checkpoint.filename_tmpl': TEMPLATE,
    'default_scope': TEXT,
    'work_dir': TEXT,
    'load_from': TEXT,
    'resume': FLAG,
}
# Values that cannot be None.
NEEDED = {
    **{f'{split}_dataloader.batch_size': POSITIVE for split in SPLITS},
    'train_cfg.max_epochs': POSITIVE,
    'train_cfg.max_iters': POSITIVE,
    'optim_wrapper.optimizer': DICT,
    'optim_wrapper.optimizer.lr': RATE,
    'optim_wrapper.accumulative_counts': POSITIVE,
    'model.backbone': DICT,
    'model.decode_head.num_classes': POSITIVE,
    'model.head.num_classes': POSITIVE,
    'model.bbox_head.num_classes': POSITIVE,
    'model.roi_head.bbox_head.num_classes': POSITIVE,
    'model.roi_head.mask_head.num_classes': POSITIVE,
}
# Arguments of schedules. MMEngine would use a wrong one without a check.
SCHEDULE = {
    'by_epoch': FLAG,
    'begin': COUNT,
    'T_max': POSITIVE,
    'step_size': POSITIVE,
    'milestones': ASCENDING,
    'power': NUMBER,
    'gamma': NUMBER,
    'eta_min': NUMBER,
    'start_factor': FACTOR,
    'end_factor': RATE,
}
MISSING = object()


def _is_template(value: Any) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r'[^/{}]*\{(:0?\d?d?)?\}[^/{}]*', value):
        return False
    return value.format(1) != value.format(12)


def check_values(cfg: Config, name: str) -> None:
    """Check the values in the tables, and the ranges of schedules.

    Args:
        cfg: the config, with all changes of the command line.
        name: the name of the config in messages.

    Raises:
        UserError: a value has the wrong kind.
    """
    for path, fault in value_faults(cfg):
        raise UserError(f'config {name}: {path}{fault}')


def value_faults(cfg: Config) -> Iterator[tuple[str, str]]:
    """Yield the place of each wrong value, and what is wrong: a text to write behind the place."""
    for path, kind in {**OPTIONAL, **NEEDED}.items():
        value = _at(cfg, path)
        if value is MISSING or (value is None and path in OPTIONAL):
            continue
        if not kind.holds(value):
            yield path, f' should be {kind.text}, not {_short(value)}'
    schedulers = cfg.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, Mapping) else schedulers
    for index, scheduler in enumerate(schedulers if isinstance(schedulers, list | tuple) else ()):
        if isinstance(scheduler, Mapping):
            yield from _schedule_faults(scheduler, f'param_scheduler.{index}')


def _schedule_faults(scheduler: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Yield the wrong arguments of a schedule, and whether it ends before it begins."""
    for key, kind in SCHEDULE.items():
        value = scheduler.get(key)
        if value is not None and not kind.holds(value):
            yield f'{where}.{key}', f' should be {kind.text}, not {_short(value)}'
    begin, end = scheduler.get('begin', 0), scheduler.get('end', math.inf)
    odd = [
        (key, value)
        for key, value in (('begin', begin), ('end', end))
        if type(value) is not int and value != math.inf
    ]
    for key, value in odd:
        yield f'{where}.{key}', f' should be a whole number, not {_short(value)}'
    if not odd and not 0 <= begin < end:
        yield where, f' is from begin={begin} to end={end}; it must end later'


def check_parts(cfg: Config, mode: str) -> None:
    """Check that a config has all parts that a training or a test needs.

    Args:
        cfg: the config.
        mode: 'train' or 'test'.

    Raises:
        UserError: something is missing.
    """
    needed = ['model', f'{mode}_dataloader', f'{mode}_cfg']
    needed += ['optim_wrapper'] if mode == 'train' else ['test_evaluator']
    missing = [key for key in needed if not cfg.get(key)]
    if missing:
        raise UserError(f'the config has no {" and no ".join(missing)}, which {mode}ing needs')
    parts = [f'val_{part}' for part in ('dataloader', 'cfg', 'evaluator')]
    given = [part for part in parts if cfg.get(part) is not None]
    if mode == 'train' and given and len(given) < len(parts):
        absent = ' and no '.join(part for part in parts if part not in given)
        raise UserError(
            f'the config has no {absent}, which its {" and ".join(given)} needs; give all of '
            f'them, or set all to None to train without validation'
        )


def check_optimizer(settings: Any) -> None:
    """Check that the optimizer exists. MMEngine would fail with an error about None.

    Raises:
        UserError: it does not exist; the message gives the most similar name.
    """
    kind = (settings.get('optimizer') or {}).get('type') if isinstance(settings, Mapping) else None
    if not isinstance(kind, str) or OPTIMIZERS.get(kind) is not None:
        return
    near = difflib.get_close_matches(kind, OPTIMIZERS.module_dict, n=1, cutoff=0)
    raise UserError(
        f'optim_wrapper.optimizer: there is no optimizer {kind}; the nearest is {near[0]}'
    )


def _at(cfg: Config, path: str) -> Any:
    node: Any = cfg
    for part in path.split('.'):
        if not isinstance(node, Mapping | Config):
            return MISSING
        node = node.get(part, MISSING)
    return node


def _is_list(value: Any) -> bool:
    # A config in Python may hold built objects.
    plain = (str, bytes, int, float, list, tuple, type(None))
    return isinstance(value, list | tuple) and not any(isinstance(v, plain) for v in value)


def _has_types(value: Any) -> bool:
    parts = [value] if isinstance(value, Mapping) else value
    return all('type' in part for part in parts if isinstance(part, Mapping))


def _short(value: Any) -> str:
    text = ' '.join(repr(value).split())
    return text if len(text) <= 80 else f'{text[:80]}...'
