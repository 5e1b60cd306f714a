"""Check that the state in a checkpoint is that of this training, before it goes on.

PyTorch and MMEngine take much without a word: moments of another shape, schedulers that are
missing, numbers that are infinite. The training then fails later, or learns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from ..errors import UserError
from ..weights.load import check_finite
from ..weights.meta import plain_history

# What optimizers keep for each number of a parameter.
MOMENTS = (
    *('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', 'exp_inf', 'momentum_buffer', 'square_avg'),
    *('grad_avg', 'acc_delta', 'sum', 'prev'),
)
# An optimizer with this setting needs these moments.
NEEDED = {'amsgrad': ('exp_avg', 'exp_avg_sq'), 'nesterov': ('momentum_buffer',)}
PARTS = ('optimizer', 'meta', 'message_hub')


def checked_state(content: Mapping[str, Any], runner: Runner, source: str) -> dict[str, Any]:
    """Return a content to resume from, with a history that has been made anew.

    Raises:
        UserError: a part of the state is missing or is not what trainings write.
    """
    if not set(PARTS) <= set(content):
        raise UserError(
            f'--resume: {source} holds weights but no state of a training; '
            'to start from its weights use --cfg-options load_from=FILE'
        )
    missing = [key for key in ('epoch', 'iter') if key not in content['meta']]
    if missing:
        raise UserError(f'--resume: {source} does not say its {" and ".join(missing)}')
    if not isinstance(content['optimizer'], dict):
        raise _other(source, 'it has no state of an optimizer')
    for part in ('optimizer', 'ema_state_dict'):
        check_finite(dict(_tensors(content.get(part), part)), source)
    _check_schedulers(content.get('param_schedulers'), runner.param_schedulers, source)
    folders = [runner.work_dir]
    folders += [hook.out_dir for hook in runner.hooks if isinstance(_out_dir(hook), str)]
    return {**content, 'message_hub': plain_history(content['message_hub'], folders, source)}


def check_resumed(runner: Runner, source: str) -> None:
    """Check what optimizers and schedulers have taken from a checkpoint.

    Raises:
        UserError: it does not fit the model or the config.
    """
    wrappers = runner.optim_wrapper
    if isinstance(wrappers, OptimWrapperDict):
        optimizers = [wrapper.optimizer for wrapper in wrappers.values()]
    else:
        optimizers = [wrappers.optimizer]
    for optimizer in optimizers:
        _check_settings(optimizer, source)
        _check_moments(optimizer, source, started=runner.iter > 0)
    for scheduler in _flat(runner.param_schedulers):
        methods = [key for key in vars(scheduler) if callable(getattr(type(scheduler), key, None))]
        inner = getattr(scheduler.optimizer, 'optimizer', scheduler.optimizer)
        if methods or inner not in optimizers:
            raise _other(source, f'the state of its {type(scheduler).__name__} is not a state')
        values = scheduler.base_values
        if len(values) != len(inner.param_groups) or not all(map(_is_finite, values)):
            raise _other(source, f'its {type(scheduler).__name__} is of other parameter groups')


def _check_schedulers(saved: Any, own: Any, source: str) -> None:
    if not own:
        return
    if isinstance(own, dict):
        if not isinstance(saved, dict) or saved.keys() != own.keys():
            raise _other(source, 'it has no schedulers, or others than the config')
        for name in own:
            _check_schedulers(saved[name], own[name], source)
        return
    count = len(saved) if isinstance(saved, list) else 0
    if count != len(own):
        raise _other(source, f'it has {count} schedulers, the config has {len(own)}')
    for state in saved:
        if not isinstance(state, dict) or type(state.get('last_step')) is not int:
            raise _other(source, 'a scheduler does not say its step')
        if 'optimizer' in state:
            raise _other(source, 'a scheduler has an optimizer')


def _check_settings(optimizer: torch.optim.Optimizer, source: str) -> None:
    """Refuse settings (learning rate, betas, ...) that are missing or no finite numbers."""
    name = type(optimizer).__name__
    for group in optimizer.param_groups:
        for key, default in optimizer.defaults.items():
            value = group.get(key)
            if isinstance(default, tuple):
                pairs = isinstance(value, list | tuple) and len(value) == len(default)
                fits = pairs and all(map(_is_finite, value))
            elif isinstance(default, Real) and not isinstance(default, bool):
                fits = _is_finite(value)
            else:
                fits = value is None or isinstance(value, bool | Real | str)
            if not fits:
                raise _other(source, f'{name} needs {key}={default!r}, and it has {value!r:.40}')


def _check_moments(optimizer: torch.optim.Optimizer, source: str, started: bool) -> None:
    """Refuse moments that do not belong to the parameters."""
    name = type(optimizer).__name__
    for group in optimizer.param_groups:
        needed = [k for key, keys in NEEDED.items() if key in group for k in keys]
        if group.get('momentum') == 0:
            needed = []
        for parameter in group['params']:
            state = optimizer.state.get(parameter)
            if not state:
                continue
            if absent := [key for key in needed if key not in state]:
                raise _other(source, f'{name} needs {absent[0]}, which it does not have')
            for key in MOMENTS:
                value = state.get(key)
                if value is None:
                    continue
                if not isinstance(value, Tensor) or value.shape != parameter.shape:
                    shape = list(getattr(value, 'shape', ()))
                    raise _other(
                        source, f'{key} has shape {shape}, its parameter {list(parameter.shape)}'
                    )
    remembers = any(group.get('momentum') != 0 for group in optimizer.param_groups)
    if started and remembers and not optimizer.state:
        raise _other(source, f'its {name} has no moments')


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in nested dicts and lists, with the way to them."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(part, f'{name}.{key}')
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _tensors(part, f'{name}.{index}')


def _flat(schedulers: Any) -> list[Any]:
    if isinstance(schedulers, dict):
        return [scheduler for part in schedulers.values() for scheduler in part]
    return schedulers or []


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and bool(torch.isfinite(value).all())
    return isinstance(value, Real) and math.isfinite(value)


def _out_dir(hook: Any) -> Any:
    return getattr(hook, 'out_dir', None)


def _other(source: str, reason: str) -> UserError:
    return UserError(f'--resume: {source} is of another training: {reason}')
