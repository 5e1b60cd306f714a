"""Mixed precision: float16 with loss scaling on an NVIDIA GPU, bfloat16 elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from .device import default_device


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast, on any device. It needs no loss scaling."""

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """Open autocast around the parent's context."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


@OPTIM_WRAPPERS.register_module('MixedPrecision')
def mixed_precision(**arguments: Any) -> OptimWrapper:
    """Return the wrapper for mixed precision on this device, for recipes that always use it.

    Args:
        **arguments: the arguments of MMEngine's ``OptimWrapper``.
    """
    if default_device() == 'cuda':  # MMEngine cannot scale losses on an Apple GPU
        return AmpOptimWrapper(**{'loss_scale': 'dynamic', **arguments})
    return BFloat16OptimWrapper(**arguments)
