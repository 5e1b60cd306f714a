"""Blocks of RapidNet and MobileViG: local, feed-forward, static graph convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import ConvNormAct, DropPath

EXPANSION = 4
GRAPH_STEP = 2  # the graph links a position with every second one of its row and its column


def stem(channels: int, norm_cfg: dict) -> nn.Sequential:
    """Return the two 3x3 convolutions from the image to stride 4."""
    return nn.Sequential(
        ConvNormAct(3, channels // 2, 3, stride=2, norm_cfg=norm_cfg, act=nn.GELU),
        ConvNormAct(channels // 2, channels, 3, stride=2, norm_cfg=norm_cfg, act=nn.GELU),
    )


def downsample(in_channels: int, out_channels: int, norm_cfg: dict) -> ConvNormAct:
    """Return the 3x3 convolution of stride 2 at the beginning of every stage but the first."""
    return ConvNormAct(in_channels, out_channels, 3, stride=2, norm_cfg=norm_cfg)


class Residual(nn.Module):
    """``x + drop_path(scale * branch(x))`` with a learned scale per channel.

    ``scale`` is None where the block has none. It is None in the inference form, too: there the
    branch's last convolution contains it.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, branch: nn.Module, channels: int, drop_path: float, scale: float | None):
        super().__init__()
        self.branch = branch
        self.scale = None if scale is None else nn.Parameter(torch.full((channels, 1, 1), scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        return x + self.drop_path(y if self.scale is None else self.scale * y)


class InvertedBottleneck(nn.Sequential):
    """1x1 to four times the width, depthwise 3x3, 1x1 back: the local mixer."""

    def __init__(self, channels: int, norm_cfg: dict):
        super().__init__()
        hidden = EXPANSION * channels
        self.expand = ConvNormAct(channels, hidden, norm_cfg=norm_cfg, act=nn.GELU)
        self.depthwise = ConvNormAct(
            hidden, hidden, 3, groups=hidden, norm_cfg=norm_cfg, act=nn.GELU
        )
        self.project = ConvNormAct(hidden, channels, norm_cfg=norm_cfg)


class InvertedResidual(nn.Sequential):
    """The local block: an inverted bottleneck with a residual."""

    def __init__(self, channels: int, drop_path: float, scale: float, norm_cfg: dict):
        super().__init__()
        self.mixer = Residual(InvertedBottleneck(channels, norm_cfg), channels, drop_path, scale)


class FeedForward(nn.Sequential):
    """1x1 to four times the width, 1x1 back.

    With a ``kernel_size``, a depthwise convolution without bias comes first. With 7 it is the
    large-kernel feed-forward network of RapidNet (Fig. 3g).
    """

    def __init__(self, channels: int, norm_cfg: dict, kernel_size: int | None = None):
        super().__init__()
        hidden = EXPANSION * channels
        if kernel_size is not None:
            self.depthwise = ConvNormAct(
                channels, channels, kernel_size, groups=channels, bias=False, norm_cfg=norm_cfg
            )
        self.expand = ConvNormAct(channels, hidden, norm_cfg=norm_cfg, act=nn.GELU)
        self.project = ConvNormAct(hidden, channels, norm_cfg=norm_cfg)


def max_relative(x: Tensor, step: int = GRAPH_STEP) -> Tensor:
    """Return the largest difference of each position to the positions linked with it (SVGA).

    The graph is static. It links a position with those that are ``step``, ``2 * step``, ... away in
    its column and in its row, cyclically, and with itself. So no difference is below 0.

    The largest difference is the value minus the smallest linked value. So only the minimum is
    computed, not every difference.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """
    if x.device.type == 'cpu' and x.requires_grad and torch.is_grad_enabled():
        return by_pooling(x, step)
    return by_doubling(x, step)


def by_doubling(x: Tensor, step: int) -> Tensor:
    """Compute ``max_relative`` by minima over 1, 2, 4, ... shifts: the fastest forward pass."""
    return x - torch.minimum(_smallest(x, 2, step), _smallest(x, 3, step))


def by_pooling(x: Tensor, step: int) -> Tensor:
    """Compute ``max_relative`` by dilated max pooling, for training on the CPU.

    The backward pass of pooling reads one index per value, so it is faster than that of
    ``torch.minimum``.
    """
    x = x.contiguous(memory_format=torch.channels_last)  # the CPU pools faster in this layout
    return x + torch.maximum(_pooled(-x, 2, step), _pooled(-x, 3, step))


def _smallest(x: Tensor, dim: int, step: int) -> Tensor:
    """Return the minimum over all cyclic shifts along ``dim``.

    Every round doubles the number of shifts in the minimum. In the last round some shifts count
    twice, which does not change a minimum.
    """
    total, count = _shifts(x, dim, step), 1
    while count < total:
        added = min(count, total - count)
        x = torch.minimum(x, x.roll(added * step, dim))
        count += added
    return x


def _pooled(x: Tensor, dim: int, step: int) -> Tensor:
    """Return the maximum over all cyclic shifts along ``dim``."""
    total = _shifts(x, dim, step)
    before = (total - 1) * step
    x = torch.cat([x.narrow(dim, x.shape[dim] - before, before), x], dim)
    return F.max_pool2d(x, (total, 1) if dim == 2 else (1, total), stride=1, dilation=step)


def _shifts(x: Tensor, dim: int, step: int) -> int:
    """Return the number of shifts along ``dim``; the shift by 0 counts."""
    return -(-x.shape[dim] // step)


class MaxRelativeConv(nn.Module):
    """Static graph convolution: a 1x1 convolution of the map and its largest differences.

    Shape: ``(N, C, H, W) -> (N, 2 * C, H, W)``.
    """

    def __init__(self, channels: int, norm_cfg: dict):
        super().__init__()
        self.mix = ConvNormAct(2 * channels, 2 * channels, norm_cfg=norm_cfg, act=nn.GELU)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([x, max_relative(x)], 1))


class GraphMixer(nn.Sequential):
    """MobileViG's mixer (SVGA): 1x1, static graph convolution to twice the width, 1x1 back."""

    def __init__(self, channels: int, norm_cfg: dict):
        super().__init__()
        self.fc1 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)
        self.graph = MaxRelativeConv(channels, norm_cfg)
        self.fc2 = ConvNormAct(2 * channels, channels, norm_cfg=norm_cfg)
