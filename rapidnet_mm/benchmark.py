"""How fast models train, one against the other in one run."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from rich.progress import track

from .engine import BUILD_ERRORS, tune_for_cpu
from .errors import UserError


class Speed(NamedTuple):
    """Times of one training step, in seconds, and the images in it."""

    seconds: list[float]
    batch: int

    @property
    def median(self) -> float:
        """Half of the steps took longer."""
        return statistics.median(self.seconds)

    @property
    def images_per_second(self) -> float:
        """At the median time."""
        return self.batch / self.median


def training_speed(
    configs: Sequence[Config], batch: int, shape: tuple[int, int], steps: int
) -> list[Speed]:
    """Time training steps of detectors on random images, in turns: a busy machine favours none.

    A step is what training does: preprocessing, forward, backward, optimizer. The first of each
    is not counted.

    Args:
        configs: of detectors of MMDetection.
        batch: images in a step.
        shape: height and width of the images, in pixels.
        steps: that are timed, of each config.

    Raises:
        UserError: a config is not of a detector, or cannot be built.
    """
    trainings = [_training_step(cfg, batch, shape) for cfg in configs]
    times: list[list[float]] = [[] for _ in configs]
    for round_number in track(range(steps + 1), 'steps'):
        for step, seconds in zip(trainings, times, strict=True):
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if round_number > 0:
                seconds.append(time.perf_counter() - start)
    return [Speed(seconds, batch) for seconds in times]


def _training_step(cfg: Config, batch: int, shape: tuple[int, int]) -> Callable[[], Any]:
    if cfg.get('default_scope') != 'mmdet' or not cfg.get('optim_wrapper'):
        raise UserError('training speed is measured of MMDetection configs with an optim_wrapper')
    import_modules_from_strings(**cfg.get('custom_imports', {}))
    init_default_scope('mmdet')
    from mmdet.testing import demo_mm_inputs  # after rapidnet_mm has seen to mmcv's operators

    with_mask = 'mask_head' in cfg.model.get('roi_head', {})
    data = demo_mm_inputs(batch, (3, *shape), num_classes=2, with_mask=with_mask)
    try:
        model = MODELS.build(cfg.model).train()
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    except BUILD_ERRORS as error:
        raise UserError(f'config: {type(error).__name__}: {error}') from error
    if torch.cuda.is_available():
        model.cuda()
    tune_for_cpu(model)
    return lambda: model.train_step(copy.deepcopy(data), optimizer)  # it changes what it gets
