"""How fast is MobileViG's static graph, without its convolutions, against plain cyclic shifts?"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from ...backbones.blocks import GRAPH_STEP, max_relative
from ...engine.device import default_device
from .timing import bind, in_turns


def by_shifts(x: Tensor, step: int = GRAPH_STEP) -> Tensor:
    """Compute ``max_relative`` shift by shift, as the paper describes it; ours is compared with it.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """
    largest = x - x
    for dim in (2, 3):
        for shift in range(step, x.shape[dim], step):
            largest = torch.maximum(largest, x - x.roll(shift, dim))
    return largest


def graph_speed(shape: tuple[int, int, int, int], steps: int) -> dict[str, tuple[float, float]]:
    """Time a static graph's differences, shift by shift and our way.

    Args:
        shape: batch, channels, height and width of the map.
        steps: how often each is timed.

    Returns:
        The median seconds of both, for 'forward', without gradients, and 'forward and backward'.
    """
    device = default_device()
    layout = torch.channels_last if device == 'cpu' else torch.contiguous_format  # as we train
    x = torch.randn(shape, device=device).to(memory_format=layout)
    leaf = x.clone().requires_grad_()

    def forward(function: Callable[[Tensor], Tensor]) -> None:
        with torch.no_grad():
            function(x)

    def forward_and_backward(function: Callable[[Tensor], Tensor]) -> None:
        torch.autograd.grad(function(leaf), leaf, x)

    functions = (by_shifts, max_relative)
    passes = (forward, forward_and_backward)
    calls = [bind(run, function) for run in passes for function in functions]
    times = [statistics.median(seconds) for seconds in in_turns(calls, steps, 'rounds')]
    return {'forward': tuple(times[:2]), 'forward and backward': tuple(times[2:])}
