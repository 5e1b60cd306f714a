"""Measure how fast several models predict, in turns in one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import nn

from ...deploy.fuse import to_inference
from ...display.tables import text_table
from ...engine.config import build_model
from ...engine.cpu import keep_memory
from ...engine.device import default_device
from ..latencies import printed_ratio
from ..network import named_run_errors, run_network
from .timing import Speed, bind, in_turns

FORMS = ('training', 'inference')
HEADER = ['model', 'input', 'p50 (ms)', 'p95 (ms)', 'images/s', 'time over the first, here']


class Model(NamedTuple):
    """A model to time."""

    name: str  # name of its config, without folder and ending
    cfg: Config
    shape: tuple[int, int]  # height and width of its images, in pixels


class Timed(NamedTuple):
    """The times of a model, and those of the first model."""

    model: Model
    speed: Speed
    first: Speed
    printed: float | None  # ratio of the latencies that the authors print

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table: name, input, times, ratio."""
        times = (f'{self.speed.percentile(percent) * 1000:.1f}' for percent in (50, 95))
        shape = 'x'.join(map(str, self.model.shape))
        rate = f'{self.speed.images_per_second:.2f}'
        return self.model.name, shape, *times, rate, f'{self.ratio:.2f}'

    @property
    def ratio(self) -> float:
        """The median time divided by that of the first model."""
        return self.speed.median / self.first.median

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for json."""
        return dict(
            name=self.model.name,
            shape=self.model.shape,
            p50_ms=self.speed.percentile(50) * 1000,
            p95_ms=self.speed.percentile(95) * 1000,
            images_per_second=self.speed.images_per_second,
            ratio=self.ratio,
            printed_ratio=self.printed,
        )


def compare_speeds(
    models: Sequence[Model],
    batch: int,
    steps: int,
    form: str = 'training',
    backbone_only: bool = False,
) -> list[Timed]:
    """Time models in turns on random images, with random weights and without post-processing.

    Args:
        models: all models; each is compared with the first.
        batch: images per step.
        steps: number of timed steps per model.
        form: 'training' for the networks as they are built, 'inference' for folded layers and
            channels last in memory.
        backbone_only: time only the backbones. Then there are no printed ratios.

    Raises:
        UserError: a model cannot be built, or does not run at its shape.
    """
    device = default_device()
    keep_memory()
    calls = []
    with torch.inference_mode():
        for model in models:
            network = _in_form(build_model(model.cfg, backbone_only, device).eval(), form)
            image = torch.randn(batch, 3, *model.shape, device=device)
            with named_run_errors(network, model.shape):
                run_network(network, image)
            calls.append(bind(run_network, network, image))
        times = in_turns(calls, steps, 'rounds')
    speeds = [Speed(seconds, batch) for seconds in times]
    processor = 'cpu' if device == 'cpu' else 'gpu'
    return [
        Timed(
            model,
            speed,
            speeds[0],
            None if backbone_only else printed_ratio(model.name, models[0].name, processor),
        )
        for model, speed in zip(models, speeds, strict=True)
    ]


def to_text(timed: Sequence[Timed], title: str) -> str:
    """Return a table, with a column of printed ratios if there are any."""
    rows = [one.cells() for one in timed]
    if all(one.printed is None for one in timed[1:]):
        return text_table(HEADER, rows, title)
    ratios = ('' if one.printed is None else f'{one.printed:.2f}' for one in timed)
    rows = [(*row, ratio) for row, ratio in zip(rows, ratios, strict=True)]
    note = 'printed: the same ratio of the latencies that the authors print, on their machine'
    return text_table([*HEADER, 'printed'], rows, title) + f'\n{note}'


def _in_form(network: nn.Module, form: str) -> nn.Module:
    if form == 'training':
        return network
    return to_inference(network).to(memory_format=torch.channels_last)
