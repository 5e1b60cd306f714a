"""How fast does a model predict: training or inference form, memory layouts, compiled?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ...deploy.fuse import to_inference
from ...engine.config import build_model
from ...engine.cpu import keep_memory
from ...engine.device import default_device, process_peak
from ..network import named_run_errors, run_network
from .timing import Speed, bind, in_turns

MIB = 2**20
PLAIN = 'training form'
FUSED = 'inference form'


class Prediction(NamedTuple):
    """How fast the variants of one model predict. The others are compared with the first."""

    speeds: dict[str, Speed]
    memory: dict[str, float]  # peak in MiB: of each variant on a GPU, else of the process
    skipped: dict[str, str]  # variants that cannot run here, and why
    fusion: str  # summary of the layers that the inference form folded
    timed: str  # the parts that are timed and those that are not

    def ratio(self, name: str) -> float:
        """Return how many times as fast as the first variant this one is, by the medians."""
        return next(iter(self.speeds.values())).median / self.speeds[name].median

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for json."""
        variants = [
            dict(
                name=name,
                p50_ms=speed.percentile(50) * 1000,
                p95_ms=speed.percentile(95) * 1000,
                images_per_second=speed.images_per_second,
                ratio=self.ratio(name),
            )
            for name, speed in self.speeds.items()
        ]
        return {**self._asdict(), 'speeds': variants}


def prediction_speed(
    cfg: Config,
    batch: int,
    shape: tuple[int, int],
    steps: int,
    backbone_only: bool = False,
) -> Prediction:
    """Time the variants of one model on random images, with random weights.

    Post-processing is left out, because its time depends on the number of detections. The heads of
    a second stage process as many regions as ``test_cfg`` allows.

    Args:
        cfg: config of any model of the MM family.
        batch: images in a step.
        shape: height and width of the images, in pixels.
        steps: how many steps of each variant are timed.
        backbone_only: time the backbone alone.

    Raises:
        UserError: the model cannot be built, or does not run at that shape.
    """
    device = default_device()
    keep_memory()
    image = torch.randn(batch, 3, *shape, device=device)
    models = _forms(build_model(cfg, backbone_only, device))
    with torch.inference_mode():
        with named_run_errors(models[PLAIN], shape):
            _, regions = run_network(models[PLAIN], image)
        calls = {name: bind(run_network, model, image) for name, model in models.items()}
        skipped = _add_compiled(models, calls, image)
        times = in_turns(list(calls.values()), steps, 'rounds')
        memory = _peak_memory(models, calls)
    return Prediction(
        speeds={n: Speed(seconds, batch) for n, seconds in zip(calls, times, strict=True)},
        memory=memory,
        skipped=skipped,
        fusion=str(models[FUSED].fusion),
        timed=_timed(regions, backbone_only),
    )


def _forms(plain: nn.Module) -> dict[str, nn.Module]:
    """Return the training form and the inference form, each also with channels last in memory."""
    plain.eval()
    forms = {PLAIN: plain, FUSED: to_inference(plain)}
    for name, model in list(forms.items()):
        channels_last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        forms[f'{name}, channels last'] = channels_last
    return forms


def _add_compiled(
    models: dict[str, nn.Module], calls: dict[str, Callable[[], Any]], image: Tensor
) -> dict[str, str]:
    """Add the compiled variant of the last model; return its name and the reason if it fails."""
    last, model = list(models.items())[-1]
    name = f'{last}, compiled'
    call = bind(torch.compile(run_network), model, image)
    try:
        torch.compile(torch.relu)(image)  # fails at once where there is no compiler
        call()
    except Exception as error:  # of any compiler, on any machine
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {name: f'{type(error).__name__}: {lines[0] if lines else "no reason given"}'}
    models[name], calls[name] = model, call
    return {}


def _peak_memory(
    models: dict[str, nn.Module], calls: dict[str, Callable[[], Any]]
) -> dict[str, float]:
    """Return peaks in MiB: of each variant on a GPU, else of the process if the system counts."""
    if default_device() != 'cuda':
        peak = process_peak()
        return {} if peak is None else {'process': peak / MIB}
    peaks = {}
    for name, call in calls.items():
        torch.cuda.reset_peak_memory_stats()
        others = torch.cuda.memory_allocated()
        call()
        state = [*models[name].parameters(), *models[name].buffers()]
        weights = sum(t.numel() * t.element_size() for t in state)
        peaks[name] = (torch.cuda.max_memory_allocated() - others + weights) / MIB
    return peaks


def _timed(regions: dict[str, int], backbone_only: bool) -> str:
    if backbone_only:
        return 'the backbone'
    heads = ''.join(f', {number} regions for {head}' for head, number in regions.items())
    return f'backbone, neck and heads{heads}; not preprocessing, RoIAlign and post-processing'
