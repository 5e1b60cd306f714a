"""Schedules, validations and checkpoints that do not fit the length of a training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from ....engine.schedule_check import Length, doubts_about
from ....errors import UserError
from ..finding import BREAKS, ODD, SPOILS, Finding
from .rates import images_per_step

ANY_EPOCH = 1000  # iterations of an epoch whose length is not known


def length_of(cfg: Config, images: int | None) -> tuple[int | None, int | None]:
    """Return the length of a training in epochs and in iterations, each None if not known.

    Args:
        cfg: the config.
        images: the number of training images, None if it is not known.
    """
    loop = cfg.get('train_cfg')
    if not isinstance(loop, Mapping):
        return None, None
    if loop.get('max_iters'):
        return None, loop['max_iters']
    epochs, batch = loop.get('max_epochs'), images_per_step(cfg)
    per_epoch = math.ceil(images / batch) if images and batch else None
    return epochs, epochs and per_epoch and epochs * per_epoch


def length_findings(cfg: Config, images: int | None) -> Iterator[Finding]:
    """Yield what does not fit the length of a training; arguments as for :func:`length_of`."""
    epochs, iterations = length_of(cfg, images)
    total, unit = (epochs, 'epochs') if epochs else (iterations, 'iterations')
    if not total:
        return
    yield from _schedules(cfg, epochs, iterations)
    yield from _validation(cfg, total, unit)
    yield from _checkpoints(cfg, total, unit)
    interval = _hook(cfg, 'logger').get('interval')
    if interval and iterations and interval > iterations:
        yield Finding(
            ODD,
            'default_hooks.logger.interval',
            f'{interval} iterations, but the training has {iterations}: nothing is logged',
            f'set it to {max(1, iterations // 20)}',
        )


def _schedules(cfg: Config, epochs: int | None, iterations: int | None) -> Iterator[Finding]:
    """Yield warm-ups that are too long and steps behind the end."""
    schedulers = cfg.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, Mapping) else schedulers
    per_epoch = iterations // epochs if iterations and epochs else ANY_EPOCH
    length = Length(epochs, iterations or ANY_EPOCH * epochs)
    for index, scheduler in enumerate(schedulers):
        if not isinstance(scheduler, Mapping) or 'type' not in scheduler:
            continue  # built already, or one for each of several optimizers
        if iterations is None and not scheduler.get('by_epoch', True):
            continue  # how many iterations there are is not known
        where = f'param_scheduler.{index}'
        try:
            built = build_scheduler(scheduler, per_epoch)
        except UserError as error:
            yield Finding(BREAKS, where, str(error))
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            fault = ' '.join(str(error).split()).split('. Please')[0]
            yield Finding(BREAKS, where, f'cannot be built: {type(error).__name__}: {fault:.200}')
        else:
            for doubt in doubts_about([built], length):
                what, _, way_out = doubt.partition(') ')[2].partition('; ')
                yield Finding(SPOILS, where, f'{scheduler["type"]} {what}', way_out)


def build_scheduler(config: Mapping[str, Any], per_epoch: int) -> Any:
    """Build the schedule of a config, for an optimizer without a model."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    settings = dict(config)
    if not settings.pop('convert_to_iter_based', False):
        return PARAM_SCHEDULERS.build(dict(settings, optimizer=optimizer))
    kind = settings.pop('type')
    kind = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    settings.pop('by_epoch', None)
    return kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=per_epoch, **settings)


def _validation(cfg: Config, total: int, unit: str) -> Iterator[Finding]:
    loop = cfg.train_cfg
    if not cfg.get('val_dataloader'):
        yield Finding(
            ODD,
            'val_dataloader',
            'there is no validation: nothing says how good the model is, and no best checkpoint '
            'is kept',
            'give val_dataloader, val_evaluator and val_cfg',
        )
        return
    if (loop.get('val_begin') or 1) > total:
        yield Finding(
            SPOILS,
            'train_cfg.val_begin',
            f'validation never happens: it begins after {loop["val_begin"]} {unit} of {total}',
            'set it to 1',
        )
    elif (loop.get('val_interval') or 1) > total:
        yield Finding(
            ODD,
            'train_cfg.val_interval',
            f'{loop["val_interval"]} {unit}, but the training has {total}: there is one '
            'validation, at the end',
            f'set it to {max(1, total // 10)}',
        )


def _checkpoints(cfg: Config, total: int, unit: str) -> Iterator[Finding]:
    hook = _hook(cfg, 'checkpoint')
    interval = hook.get('interval') or -1
    by_epoch = hook.get('by_epoch', True)
    where = 'default_hooks.checkpoint'
    if not hook:
        yield Finding(SPOILS, where, 'nothing saves checkpoints', "type='AtomicCheckpointHook'")
    elif by_epoch != (unit == 'epochs') and hook.get('type'):
        counted = 'epochs' if by_epoch else 'iterations'
        yield Finding(
            ODD,
            f'{where}.by_epoch',
            f'it counts {counted}, but the training counts {unit}',
            f'set it to {unit == "epochs"}, and its interval to fit',
        )
    elif interval > total or interval < 1:
        never = not hook.get('save_last', True)
        yield Finding(
            SPOILS if never else ODD,
            f'{where}.interval',
            f'{interval} {unit}, but the training has {total}: '
            + ('nothing is ever saved' if never else 'a checkpoint is saved only at the end'),
            f'set it to {max(1, total // 10)}',
        )


def _hook(cfg: Config, name: str) -> Mapping[str, Any]:
    hooks = cfg.get('default_hooks') or {}
    if name not in hooks:  # MMEngine's default
        return {'checkpoint': dict(interval=1), 'logger': dict(interval=10)}.get(name, {})
    return hooks[name] or {}
