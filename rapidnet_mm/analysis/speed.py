"""How fast models train and predict, one against the other in one run."""

from __future__ import annotations

import copy
import platform
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from rich.progress import track
from torch import Tensor, nn

from ..backbones.blocks import GRAPH_STEP, max_relative
from ..deploy.fuse import to_inference
from ..engine.config import BUILD_ERRORS, build_model, named_config_errors
from ..engine.cpu import keep_memory, tune_for_cpu
from ..engine.runner import unwrapped
from ..errors import UserError
from .complexity import run_network

MIB = 2**20
PLAIN = 'training form'
FUSED = 'inference form'
TEST_PASSES = 5  # timed, of each form, before a test in inference form


class Speed(NamedTuple):
    """Times of one step, in seconds, and the images in it."""

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

    def percentile(self, percent: float) -> float:
        """So many of a hundred steps took no longer, in seconds."""
        return float(np.percentile(self.seconds, percent))


class Prediction(NamedTuple):
    """How fast the variants of one model predict; the first is the measure of the others."""

    speeds: dict[str, Speed]
    memory: dict[str, float]  # peak in MiB: of each variant on a GPU, of the process elsewhere
    skipped: dict[str, str]  # variants that cannot run here, and why
    fusion: str  # what the inference form has folded
    timed: str  # what is in the times, and what is not

    def ratio(self, name: str) -> float:
        """How many times as fast as the first, by the medians."""
        return next(iter(self.speeds.values())).median / self.speeds[name].median

    def to_dict(self) -> dict[str, Any]:
        """What goes into a json."""
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


def in_turns(
    steps: Sequence[Callable[[], Any]], rounds: int, description: str = ''
) -> list[list[float]]:
    """Seconds that each step takes, ``rounds`` times, in turns: a busy machine favours none.

    Every round begins with another step, because what ran before leaves its traces in the caches.
    The first round is not counted. With a description there is a progress bar.
    """
    times: list[list[float]] = [[] for _ in steps]
    for number in track(range(rounds + 1), description, disable=not description):
        for place in range(len(steps)):
            index = (number + place) % len(steps)
            _finish()
            start = time.perf_counter()
            steps[index]()
            _finish()
            if number > 0:
                times[index].append(time.perf_counter() - start)
    return times


def environment() -> dict[str, Any]:
    """What the times hold for: device, threads and versions."""
    return dict(
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        torchvision=torchvision.__version__,
        python=platform.python_version(),
    )


def environment_text() -> str:
    """The same in a line, without what matters less."""
    found = environment()
    return f'{found["device"]}, {found["threads"]} threads, torch {found["torch"]}'


def prediction_speed(
    cfg: Config,
    batch: int,
    shape: tuple[int, int],
    steps: int,
    backbone_only: bool = False,
) -> Prediction:
    """Time the variants of one model on random images, with random weights.

    Post-processing is left out: how long it takes depends on what is found. The heads of a second
    stage look at as many regions as ``test_cfg`` lets through.

    Args:
        cfg: of any model of the MM family.
        batch: images in a step.
        shape: height and width of the images, in pixels.
        steps: that are timed, of each variant.
        backbone_only: the backbone alone.

    Raises:
        UserError: the model cannot be built, or does not run at that shape.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    keep_memory()
    image = torch.randn(batch, 3, *shape, device=device)
    models = _forms(build_model(cfg, backbone_only, device))
    with torch.inference_mode():
        regions = _tried(models[PLAIN], image)
        calls = {name: _call(run_network, model, image) for name, model in models.items()}
        name, model = list(models.items())[-1]
        compiled, reason = _compiled(model, image)
        if compiled is not None:
            models[f'{name}, compiled'] = model
            calls[f'{name}, compiled'] = compiled
        times = in_turns(list(calls.values()), steps, 'rounds')
        memory = _peak_memory(models, calls)
    return Prediction(
        speeds={n: Speed(seconds, batch) for n, seconds in zip(calls, times, strict=True)},
        memory=memory,
        skipped={} if compiled is not None else {f'{name}, compiled': reason},
        fusion=str(models[FUSED].fusion),
        timed=_timed(regions, backbone_only),
    )


def _forms(plain: nn.Module) -> dict[str, nn.Module]:
    """Both forms as they are, and both with channels last in memory."""
    plain.eval()
    forms = {PLAIN: plain, FUSED: to_inference(plain)}
    for name, model in list(forms.items()):
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        forms[f'{name}, channels last'] = last
    return forms


def _tried(model: nn.Module, image: Tensor) -> dict[str, int]:
    """The regions of heads, after one pass that shows whether the model runs at all."""
    try:
        return run_network(model, image)[1]
    except (RuntimeError, *BUILD_ERRORS) as error:
        size = 'x'.join(map(str, image.shape[2:]))
        reason = ' '.join(str(error).split())
        raise UserError(f'{type(model).__name__} cannot run at {size}: {reason}') from error


def _call(function: Callable, *args: Any) -> Callable[[], Any]:
    return lambda: function(*args)


def _compiled(model: nn.Module, image: Tensor) -> tuple[Callable | None, str]:
    """A call of the compiled model, or None and why there is none."""
    call = _call(torch.compile(run_network), model, image)
    try:
        torch.compile(torch.relu)(image)  # says soon whether there is a compiler at all
        call()
    except Exception as error:  # of any compiler, on any machine
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return None, f'{type(error).__name__}: {lines[0] if lines else "no reason given"}'
    return call, ''


def _peak_memory(
    models: dict[str, nn.Module], calls: dict[str, Callable[[], Any]]
) -> dict[str, float]:
    if not torch.cuda.is_available():
        unit = 1 if sys.platform == 'darwin' else 1024
        return {'process': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB}
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
    seen = ''.join(f', {number} regions for {head}' for head, number in regions.items())
    return f'backbone, neck and heads{seen}; not preprocessing, RoIAlign and post-processing'


def _finish() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _processor() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    names = re.findall(r'model name\s*: (.*)', cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.machine()


class InferenceForm(Hook):
    """Tests a model in its inference form, and says how fast both forms are."""

    def before_test_epoch(self, runner: Runner) -> None:
        """Put the inference form in the place of the model, after the hooks that change weights."""
        self._trained = unwrapped(runner.model)
        self._trained.eval()
        fused = to_inference(self._trained)
        loader = runner.test_dataloader
        data = loader.collate_fn([loader.dataset[0]])

        def predict(model: nn.Module) -> None:
            _put(runner, model)
            with torch.inference_mode():
                runner.model.test_step(copy.deepcopy(data))  # which changes what it gets

        calls = [_call(predict, model) for model in (self._trained, fused)]
        plain, faster = (Speed(s, 1).median * 1000 for s in in_turns(calls, TEST_PASSES))
        runner.logger.info(
            f'one test image, processing included: {PLAIN} {plain:.1f} ms, {FUSED} {faster:.1f} '
            f'ms, {plain / faster:.2f} times as fast (median of {TEST_PASSES}, in turns)'
        )
        _put(runner, fused)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:  # noqa: ARG002
        """Put the model back."""
        _put(runner, self._trained)


def _put(runner: Runner, model: nn.Module) -> None:
    """Exchange the network, inside what distributes it or merges its predictions."""
    holder, inner = None, runner.model
    while inner is not unwrapped(inner):
        holder, inner = inner, inner.module
    if holder is None:
        runner.model = model
    else:
        holder.module = model


def training_speed(
    configs: Sequence[Config], batch: int, shape: tuple[int, int], steps: int
) -> list[Speed]:
    """Time training steps of detectors on random images, in turns.

    A step is what training does: preprocessing, forward, backward, optimizer.

    Args:
        configs: of detectors of MMDetection.
        batch: images in a step.
        shape: height and width of the images, in pixels.
        steps: that are timed, of each config.

    Raises:
        UserError: a config is not of a detector, or cannot be built.
    """
    times = in_turns([_training_step(cfg, batch, shape) for cfg in configs], steps, 'steps')
    return [Speed(seconds, batch) for seconds in times]


def _training_step(cfg: Config, batch: int, shape: tuple[int, int]) -> Callable[[], Any]:
    if cfg.get('default_scope') != 'mmdet' or not cfg.get('optim_wrapper'):
        raise UserError('training speed is measured of MMDetection configs with an optim_wrapper')
    init_default_scope('mmdet')
    from mmdet.testing import demo_mm_inputs  # after rapidnet_mm has seen to mmcv's operators

    with_mask = 'mask_head' in cfg.model.get('roi_head', {})
    data = demo_mm_inputs(batch, (3, *shape), num_classes=2, with_mask=with_mask)
    with named_config_errors():
        model = MODELS.build(cfg.model).train()
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    if torch.cuda.is_available():
        model.cuda()
    tune_for_cpu(model)

    def step() -> None:
        with named_config_errors():  # an image too small for the model, for instance
            model.train_step(copy.deepcopy(data), optimizer)  # it changes what it gets

    return step


def by_shifts(x: Tensor, step: int = GRAPH_STEP) -> Tensor:
    """What ``max_relative`` computes, shift by shift as the paper describes it: its measure."""
    largest = x - x
    for dim in (2, 3):
        for shift in range(step, x.shape[dim], step):
            largest = torch.maximum(largest, x - x.roll(shift, dim))
    return largest


def graph_speed(shape: tuple[int, int, int, int], steps: int) -> dict[str, tuple[float, float]]:
    """Median seconds of a static graph's differences shift by shift, and of ours.

    Args:
        shape: batch, channels, height and width of the map.
        steps: that are timed, of each.

    Returns:
        The two times for 'forward', without gradients, and for 'forward and backward'.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    layout = torch.contiguous_format if device == 'cuda' else torch.channels_last  # as we train
    x = torch.randn(shape, device=device).to(memory_format=layout)
    leaf = x.clone().requires_grad_()

    def forward(function: Callable[[Tensor], Tensor]) -> None:
        with torch.no_grad():
            function(x)

    def both(function: Callable[[Tensor], Tensor]) -> None:
        torch.autograd.grad(function(leaf), leaf, x)

    functions = (by_shifts, max_relative)
    calls = [_call(run, function) for run in (forward, both) for function in functions]
    times = [statistics.median(seconds) for seconds in in_turns(calls, steps, 'rounds')]
    return {'forward': tuple(times[:2]), 'forward and backward': tuple(times[2:])}
