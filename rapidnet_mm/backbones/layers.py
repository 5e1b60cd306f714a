"""Layers that more than one backbone family uses."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint
from torchvision.ops import DeformConv2d, deform_conv2d

from ..errors import UserError, one_line

NORMS = ('BN', 'GN', 'SyncBN')
DEFAULT_NORM = dict(type='BN')
# Not mmcv's registry: it lacks Softplus, which ReXNet's paper compares, and would build any
# registered model as an activation.
ACTIVATIONS = {
    'ReLU': nn.ReLU,
    'ReLU6': nn.ReLU6,
    'LeakyReLU': nn.LeakyReLU,
    'Softplus': nn.Softplus,
    'ELU': nn.ELU,
    'SiLU': nn.SiLU,
    'GELU': nn.GELU,
}


class ConvNormAct(nn.Sequential):
    """Convolution, normalisation and, if given, activation: ``conv``, ``norm``, ``act``.

    Not mmcv's ConvModule: that names its normalisation after its kind, ``bn``, and our weights and
    the tables of published names have ``norm`` for every kind.

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
    """Convolution that learns where to sample the map (arXiv 1703.06211).

    A convolution of the same kernel size, ``offset``, computes how far each sample moves. It starts
    with zeros, also after ``init_weights()``: at first the layer is a plain convolution.

    Shape: ``(N, C_in, H, W) -> (N, C_out, H, W)`` (odd kernels).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1):
        geometry = dict(padding=dilation * (kernel_size // 2), dilation=dilation)
        super().__init__(in_channels, out_channels, kernel_size, **geometry)
        self.offset = nn.Conv2d(in_channels, 2 * kernel_size**2, kernel_size, **geometry)
        self.start_at_zero()

    def start_at_zero(self) -> None:
        """Set all offsets to zero."""
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        # On the CPU the operator does not exist in bfloat16, which autocast would use.
        dtype = torch.promote_types(x.dtype, torch.float32)
        tensors = (t.to(dtype) for t in (x, self.offset(x), self.weight, self.bias))
        y = deform_conv2d(*tensors, padding=self.padding, dilation=self.dilation)
        return y.to(x.dtype)


class DropPath(nn.Module):
    """Stochastic depth: in training, a sample's branch is dropped with probability ``rate``.

    Not mmcv's DropPath: it draws numbers in the type of the map, and bfloat16 rounds them to steps
    of 1/256. Measured: with a rate of 0.001 it drops nothing, with 0.005 0.004, with 0.01 0.012.
    The published RapidNet has rates that small.

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


def build_norm(norm_cfg: dict, channels: int) -> nn.Module:
    """Return the normalisation layer that a config describes, built by mmcv.

    Args:
        norm_cfg: ``dict(type='BN')`` and the layer's arguments, as everywhere in the MM family;
            ``requires_grad=False`` freezes scale and shift.
        channels: width of the map to normalise.

    Raises:
        UserError: mmcv has no such layer, or it does not take the arguments.
    """
    cfg = {'type': 'BN', **_checked_dict('norm_cfg', norm_cfg, 'BN')}
    try:
        _, norm = build_norm_layer(cfg, channels)
    except KeyError as error:
        raise UserError(
            f'norm_cfg has no type {cfg["type"]!r}; choose one of {list(NORMS)}'
        ) from error
    except (AssertionError, TypeError, ValueError) as error:
        reason = one_line(error) or 'an argument is missing'
        raise UserError(f'norm_cfg={cfg} with {channels} channels: {reason}') from error
    return norm


def activation(act_cfg: dict) -> Callable[[], nn.Module]:
    """Return a function that builds the activation of a config, such as ``dict(type='SiLU')``.

    Raises:
        UserError: ``type`` is not one of ``ACTIVATIONS``, or does not take the arguments.
    """
    arguments = _checked_dict('act_cfg', act_cfg, 'SiLU')
    kind = arguments.pop('type', None)
    if kind not in ACTIVATIONS:
        raise UserError(f'act_cfg has no type {kind!r}; choose one of {sorted(ACTIVATIONS)}')
    layer = ACTIVATIONS[kind]
    unknown = set(arguments) - set(inspect.signature(layer).parameters)
    if unknown:
        raise UserError(f'act_cfg: {kind} has no argument {", ".join(sorted(unknown))}')
    return partial(layer, **arguments)


def _checked_dict(name: str, cfg: object, example: str) -> dict:
    if not isinstance(cfg, Mapping):
        raise UserError(f"{name}={cfg!r} must be a dict, such as dict(type='{example}')")
    return dict(cfg)


def by_eight(channels: int) -> int:
    """Return the nearest multiple of 8 that is at most 10 % below ``channels``, at least 8.

    mmcv has no such function, and torchvision's is private.
    """
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """Return ``block(x)``; its activations are computed again in the backward pass.

    The second computation does not change BatchNorm's running statistics. So a training ends with
    the same weights and statistics as without recomputation.
    """
    return checkpoint(
        block,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(block)),
    )


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of BatchNorm unchanged inside the context."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    states = [(norm.momentum, copy.deepcopy(norm.num_batches_tracked)) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, states, strict=True):
            norm.momentum = momentum
            if count is not None:
                norm.num_batches_tracked.copy_(count)


def freeze(module: nn.Module) -> None:
    """Stop the gradients of all parameters and set the module to evaluation mode."""
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad = False


def is_training_on(module: nn.Module) -> bool:
    """Return whether gradients will flow through the module now."""
    return module.training and torch.is_grad_enabled()
