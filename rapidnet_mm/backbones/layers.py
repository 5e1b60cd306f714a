"""Layers that more than one backbone family uses."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint
from torchvision.ops import DeformConv2d, deform_conv2d

from ..errors import UserError

NORMS = {'BN': nn.BatchNorm2d, 'SyncBN': nn.SyncBatchNorm, 'GN': nn.GroupNorm}
DEFAULT_NORM = dict(type='BN')
ACTIVATIONS = {
    'ReLU': nn.ReLU,
    'ReLU6': nn.ReLU6,
    'LeakyReLU': nn.LeakyReLU,
    'Softplus': nn.Softplus,
    'ELU': nn.ELU,
    'SiLU': nn.SiLU,
    'GELU': nn.GELU,
}


def _arguments(name: str, cfg: object, example: str) -> dict:
    if not isinstance(cfg, Mapping):
        raise UserError(f"{name}={cfg!r} must be a dict, such as dict(type='{example}')")
    return dict(cfg)


def build_norm(norm_cfg: dict, channels: int) -> nn.Module:
    """Build the normalisation layer that a config asks for.

    Args:
        norm_cfg: ``dict(type='BN')`` and the layer's own arguments, as everywhere in the MM
            family; ``requires_grad=False`` freezes scale and shift.
        channels: width of the map to normalise.

    Raises:
        UserError: ``type`` is neither one of ``NORMS`` nor registered as a model.
    """
    args = _arguments('norm_cfg', norm_cfg, 'BN')
    kind = args.pop('type', 'BN')
    requires_grad = args.pop('requires_grad', True)
    layer = NORMS.get(kind) or MODELS.get(kind)
    if layer is None:
        raise UserError(f'norm_cfg has no type {kind!r}; choose one of {sorted(NORMS)}')
    norm = layer(num_channels=channels, **args) if kind == 'GN' else layer(channels, **args)
    for parameter in norm.parameters():
        parameter.requires_grad = requires_grad
    return norm


def activation(act_cfg: dict) -> Callable[[], nn.Module]:
    """What builds the activation that a config asks for, ``dict(type='SiLU')`` and its arguments.

    Raises:
        UserError: ``type`` is not one of ``ACTIVATIONS``, or does not take the arguments.
    """
    args = _arguments('act_cfg', act_cfg, 'SiLU')
    kind = args.pop('type', None)
    if kind not in ACTIVATIONS:
        raise UserError(f'act_cfg has no type {kind!r}; choose one of {sorted(ACTIVATIONS)}')
    layer = ACTIVATIONS[kind]
    unknown = set(args) - set(inspect.signature(layer).parameters)
    if unknown:
        raise UserError(f'act_cfg: {kind} has no argument {", ".join(sorted(unknown))}')
    return partial(layer, **args)


def by_eight(channels: int) -> int:
    """The nearest multiple of 8, but never more than 10 % below."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class ConvNormAct(nn.Sequential):
    """Convolution, normalisation and, if given, activation: ``conv``, ``norm``, ``act``.

    Shape: ``(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))`` (odd kernels).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        norm_cfg: dict = DEFAULT_NORM,
        act: Callable[[], nn.Module] | None = None,
    ):
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        self.norm = build_norm(norm_cfg, out_channels)
        if act is not None:
            self.act = act()


class DeformableConv(DeformConv2d):
    """Convolution that moves its samples by offsets of its own (arXiv 1703.06211).

    A plain convolution of the same kernel, ``offset``, computes them. It starts with zeros, and
    initialising a backbone leaves it so: at first the samples are where a plain kernel has them.

    Shape: ``(N, C_in, H, W) -> (N, C_out, H, W)`` (odd kernels).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1):
        geometry = dict(padding=dilation * (kernel_size // 2), dilation=dilation)
        super().__init__(in_channels, out_channels, kernel_size, **geometry)
        self.offset = nn.Conv2d(in_channels, 2 * kernel_size**2, kernel_size, **geometry)
        self.start_at_zero()

    def start_at_zero(self) -> None:
        """Forget all offsets."""
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        # The operator exists for no dtype of 16 bits that the CPU could train in.
        dtype = torch.promote_types(x.dtype, torch.float32)
        tensors = (t.to(dtype) for t in (x, self.offset(x), self.weight, self.bias))
        y = deform_conv2d(*tensors, padding=self.padding, dilation=self.dilation)
        return y.to(x.dtype)


class DropPath(nn.Module):
    """Stochastic depth: in training, a sample's branch is dropped with probability ``rate``.

    Shape: ``(N, ...) -> (N, ...)``; kept samples are divided by ``1 - rate``.
    """

    def __init__(self, rate: float = 0.0):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept.div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f'rate={self.rate:.4g}'


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Inside, BatchNorm in training mode leaves its running statistics as they are."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    kept = [(norm.momentum, copy.deepcopy(norm.num_batches_tracked)) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum = momentum
            if count is not None:
                norm.num_batches_tracked.copy_(count)


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """``block(x)`` whose activations are computed again in the backward pass, to save memory.

    The second pass does not update BatchNorm's running statistics a second time, so training
    with and without it ends with the same weights and statistics.
    """
    return checkpoint(
        block,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(block)),
    )


def freeze(module: nn.Module) -> None:
    """Stop gradients of all parameters and put the module into evaluation mode."""
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad = False


def is_training_on(module: nn.Module) -> bool:
    """Whether gradients will flow through the module now."""
    return module.training and torch.is_grad_enabled()
