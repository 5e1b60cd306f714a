"""Warn if the schedule of the learning rate does not fit the length of the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.optim.scheduler import (
    ConstantParamScheduler,
    CosineAnnealingParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    PolyParamScheduler,
    StepParamScheduler,
)
from mmengine.runner import EpochBasedTrainLoop, Runner

from .schedules import CosineWithWarmUpLR

LONGEST_WARM_UP = 0.5  # share of a training; published recipes have less than a tenth
ENDLESS = 10**8  # a schedule without an end has a larger number as its end in MMEngine
SLACK = 1.05  # the last steps of a decay may be after the end of the training


class Length(NamedTuple):
    """The length of a training."""

    epochs: int | None  # None if it counts iterations
    iterations: int

    def of(self, scheduler: Any) -> tuple[int, str]:
        """Return the length in the unit of a scheduler, and the unit."""
        if scheduler.by_epoch and self.epochs is not None:
            return self.epochs, 'epochs'
        return self.iterations, 'iterations'


def schedule_doubts(runner: Runner) -> list[str]:
    """Return warnings about the schedulers of a training, one line each."""
    loop = runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    length = Length(loop.max_epochs if by_epoch else None, loop.max_iters)
    schedulers = runner.param_schedulers
    if not isinstance(schedulers, list):  # none, or those of several optimizers
        return []
    return doubts_about(schedulers, length)


def doubts_about(schedulers: list[Any], length: Length) -> list[str]:
    """Return warnings about schedulers in a training of some length, one line each."""
    return [
        f'param_scheduler.{index} ({type(scheduler).__name__}) {doubt}'
        for index, scheduler in enumerate(schedulers)
        for doubt in _doubts(scheduler, length)
    ]


def _doubts(scheduler: Any, length: Length) -> Iterator[str]:
    total, unit = length.of(scheduler)
    begin, end = scheduler.begin, scheduler.end
    if begin >= total:
        yield f'begins after {begin} {unit}, but the training has {total}: it does nothing'
        return
    steps = _warm_up_of(scheduler)
    if steps > LONGEST_WARM_UP * (total - begin):
        key, fit = ('warm_up', 0) if hasattr(scheduler, 'warm_up') else ('end', begin)
        yield (
            f'warms up for {steps} {unit} of {total}: the learning rate is too low for most of the '
            f'training; set its {key} to about {fit + max(1, total // 10)}, or train longer'
        )
    if isinstance(scheduler, CosineWithWarmUpLR) and end > SLACK * total:
        yield _late(end, total, unit)
    if isinstance(scheduler, MultiStepParamScheduler):
        late = sorted(step for step in scheduler.milestones if begin + step >= total)
        if late:
            yield (
                f'lowers the learning rate after {", ".join(map(str, late))} {unit}, but the '
                f'training has {total}; set its milestones to fit'
            )
    elif isinstance(scheduler, StepParamScheduler):
        if begin + scheduler.step_size >= total:
            yield (
                f'lowers the learning rate every {scheduler.step_size} {unit}, but the training '
                f'has {total}; set a smaller step_size'
            )
    elif isinstance(scheduler, CosineAnnealingParamScheduler | PolyParamScheduler):
        finish = begin + scheduler.T_max if hasattr(scheduler, 'T_max') else end
        if SLACK * total < finish < ENDLESS:
            yield _late(finish, total, unit)


def _late(finish: int, total: int, unit: str) -> str:
    return (
        f'ends after {finish} {unit}, but the training has {total}: the learning rate stays high; '
        'set its end to fit'
    )


def _warm_up_of(scheduler: Any) -> int:
    """Return the number of steps with a low learning rate at the beginning."""
    if isinstance(scheduler, CosineWithWarmUpLR):
        return scheduler.warm_up
    rises = isinstance(scheduler, LinearParamScheduler) and (
        scheduler.start_factor < scheduler.end_factor
    )
    is_low = isinstance(scheduler, ConstantParamScheduler) and scheduler.factor < 1
    return scheduler.end - scheduler.begin if rises or is_low else 0
