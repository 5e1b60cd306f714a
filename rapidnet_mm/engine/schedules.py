"""Schedules of the learning rate that published recipes use and MMEngine lacks."""

from __future__ import annotations

import math
from typing import Any

from mmengine.optim import _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS

from ..errors import UserError


@PARAM_SCHEDULERS.register_module()
class CosineWithWarmUpLR(_ParamScheduler):
    """A cosine over all steps; a linear warm-up replaces its first steps, as in timm.

    With the base rate ``lr``, the rate of step ``t`` is
    ``warm_up_start + t * (lr - warm_up_start) / warm_up`` for ``t < warm_up``, and
    ``eta_min + (lr - eta_min) * (1 + cos(pi * t / end)) / 2`` for later steps. So the
    warm-up does not delay the cosine: the cosine is already a little below ``lr`` when the warm-up
    ends.

    Args:
        optimizer: the optimizer, or its wrapper.
        end: number of steps of the cosine: epochs, or iterations without ``by_epoch``.
        warm_up: number of steps of the warm-up.
        warm_up_start: the rate of the first step.
        eta_min: the rate that the cosine ends at.
        **common: ``by_epoch``, ``last_step``, ``verbose``, as in MMEngine's schedules.

    Raises:
        UserError: the warm-up is longer than the schedule.
    """

    def __init__(
        self,
        optimizer: Any,
        end: int,
        warm_up: int,
        warm_up_start: float,
        eta_min: float,
        **common: Any,
    ):
        if not 0 <= warm_up < end:
            raise UserError(
                f'CosineWithWarmUpLR: warm_up={warm_up} must be from 0 to less than end={end}'
            )
        self.warm_up, self.warm_up_start, self.eta_min = warm_up, warm_up_start, eta_min
        super().__init__(optimizer, 'lr', 0, end, **common)

    def _get_value(self) -> list[float]:
        return [self._rate(base) for base in self.base_values]

    def _rate(self, base: float) -> float:
        if self.last_step < self.warm_up:
            return self.warm_up_start + self.last_step * (base - self.warm_up_start) / self.warm_up
        height = (1 + math.cos(math.pi * self.last_step / self.end)) / 2
        return self.eta_min + (base - self.eta_min) * height
