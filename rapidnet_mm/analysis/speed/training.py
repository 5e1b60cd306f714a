"""How fast do detectors train?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from ...engine.config_errors import named_config_errors
from ...engine.cpu import tune_for_cpu
from ...engine.device import default_device
from ...errors import UserError
from .timing import Speed, in_turns


def training_speed(
    configs: Sequence[Config], batch: int, shape: tuple[int, int], steps: int
) -> list[Speed]:
    """Time training steps of detectors on random images, in turns.

    A step is what a training does: preprocessing, forward, backward, optimizer.

    Args:
        configs: configs of MMDetection's detectors.
        batch: images in a step.
        shape: height and width of the images, in pixels.
        steps: how many steps of each config are timed.

    Raises:
        UserError: a config is not of a detector, or its model cannot be built.
    """
    times = in_turns([_training_step(cfg, batch, shape) for cfg in configs], steps, 'steps')
    return [Speed(seconds, batch) for seconds in times]


def _training_step(cfg: Config, batch: int, shape: tuple[int, int]) -> Callable[[], Any]:
    if cfg.get('default_scope') != 'mmdet' or not cfg.get('optim_wrapper'):
        raise UserError('training speed is measured of MMDetection configs with an optim_wrapper')
    init_default_scope('mmdet')
    from mmdet.testing import demo_mm_inputs  # late: importing mmdet takes seconds

    with_mask = 'mask_head' in cfg.model.get('roi_head', {})
    data = demo_mm_inputs(batch, (3, *shape), num_classes=2, with_mask=with_mask)
    with named_config_errors():
        model = MODELS.build(cfg.model).train()
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    model.to(default_device())
    tune_for_cpu(model)

    def step() -> None:
        with named_config_errors():  # for instance an image that is too small for the model
            model.train_step(copy.deepcopy(data), optimizer)  # train_step changes its input

    return step
