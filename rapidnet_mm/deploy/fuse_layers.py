"""The layers of the inference form, and the arithmetic of their weights (in float64)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UserError

# A class whose forward() is one of these computes the standard BatchNorm.
NORM_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


class Folded(nn.Identity):
    """Replaces a BatchNorm that was folded into another layer.

    It refuses to train, because a training needs the statistics of the BatchNorm.
    """

    def train(self, mode: bool = True) -> Folded:
        """Stay in evaluation mode.

        Raises:
            UserError: ``mode`` is True.
        """
        if mode:
            raise UserError(
                'a model in inference form cannot be trained: its BatchNorms are part of its '
                'convolutions; train the model that it was made of'
            )
        return super().train(mode)


class Bounded(nn.Module):
    """Replaces a ReLU before a BatchNorm that was folded into the layer before the ReLU.

    ``upper`` is None unless a factor is negative, because a second comparison costs as much as a
    ReLU.

    Shape: ``(N, C, ...) -> (N, C, ...)``.
    """

    def __init__(self, factor: Tensor, shift: Tensor):
        super().__init__()
        falling = factor < 0
        self.register_buffer('lower', torch.where(falling, -torch.inf, shift))
        upper = torch.where(falling, shift, torch.inf) if falling.any() else None
        self.register_buffer('upper', upper)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.maximum(x, self.lower)
        return x if self.upper is None else torch.minimum(x, self.upper)


def is_affine(norm: _BatchNorm) -> bool:
    """Return whether a BatchNorm in evaluation mode is a factor and a shift per channel."""
    return type(norm).forward in NORM_FORWARDS and norm.running_mean is not None


def affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return factor and shift per channel of a BatchNorm in evaluation mode, in float64."""
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    shift = -factor * norm.running_mean.double()
    return factor, shift if norm.bias is None else shift + norm.bias.double()


def rescaled(layer: nn.Module, factor: Tensor, shift: Tensor | None = None) -> nn.Module:
    """Return a copy of a layer whose output is ``factor * y + shift`` per channel."""
    new = copy.deepcopy(layer)  # the old one may be shared
    weight = layer.weight.double()
    weight = weight * factor.double().reshape(-1, *(1 for _ in weight.shape[1:]))
    new.weight = nn.Parameter(weight.to(layer.weight))
    if layer.bias is not None:
        scaled = factor * layer.bias.double()
        shift = scaled if shift is None else shift + scaled
    if shift is not None:
        new.bias = nn.Parameter(shift.to(layer.weight))
    return new


def preceded(layer: nn.Module, factor: Tensor, shift: Tensor) -> nn.Module:
    """Return a copy of a pointwise layer that computes ``layer(factor * x + shift)`` from ``x``."""
    new = copy.deepcopy(layer)
    weight = layer.weight.double()
    groups = getattr(layer, 'groups', 1)
    # All rows of a group read the same channels.
    rows = len(weight) // groups
    factor, shift = (v.reshape(groups, -1).repeat_interleave(rows, 0) for v in (factor, shift))
    bias = (weight.flatten(1) * shift).sum(1)
    if layer.bias is not None:
        bias = bias + layer.bias.double()
    scaled = weight * factor.reshape(*factor.shape, *(1 for _ in weight.shape[2:]))
    new.weight = nn.Parameter(scaled.to(layer.weight))
    new.bias = nn.Parameter(bias.to(layer.weight))
    return new
