"""What RapidNet and MobileViG share: local blocks, feed-forward, static graph convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import ConvNormAct, DropPath

EXPANSION = 4
GRAPH_STEP = 2  # a position is linked with every second one of its row and of its column


def stem(channels: int, norm_cfg: dict) -> nn.Sequential:
    """Two 3x3 convolutions: from the image to stride 4."""
    return nn.Sequential(
        ConvNormAct(3, channels // 2, 3, stride=2, norm_cfg=norm_cfg, act=nn.GELU),
        ConvNormAct(channels // 2, channels, 3, stride=2, norm_cfg=norm_cfg, act=nn.GELU),
    )


def downsample(in_channels: int, out_channels: int, norm_cfg: dict) -> ConvNormAct:
    """What begins every stage but the first: 3x3, stride 2."""
    return ConvNormAct(in_channels, out_channels, 3, stride=2, norm_cfg=norm_cfg)


class Residual(nn.Module):
    """``x + drop_path(scale * branch(x))`` with a learned scale per channel.

    The scale is None where the block has none, and in the inference form: there the branch's last
    convolution has it.

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
    """1x1 to four times the width and back.

    With a ``kernel_size`` a depthwise convolution without bias comes first: 7 makes it RapidNet's
    large-kernel feed-forward network (Fig. 3d).
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
    """The largest difference to the positions that a static graph links with each (SVGA).

    Linked are the positions that cyclic shifts by ``step``, ``2 * step``, ... less than the height
    bring there along the column, and likewise along the row. A position counts as linked with
    itself, so that nothing is below 0. The largest difference is the one to the smallest value,
    so that not every shift has to be looked at.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """
    if x.device.type == 'cpu' and x.requires_grad and torch.is_grad_enabled():
        return by_pooling(x, step)
    return by_doubling(x, step)


def by_doubling(x: Tensor, step: int) -> Tensor:
    """``max_relative`` by minima over 1, 2, 4, ... shifts in turn: the fastest forward pass."""
    return x - torch.minimum(_smallest(x, 2, step), _smallest(x, 3, step))


def by_pooling(x: Tensor, step: int) -> Tensor:
    """``max_relative`` by dilated max pooling, whose backward pass follows one index per value."""
    x = x.contiguous(memory_format=torch.channels_last)  # the layout that the CPU pools fast
    return x + torch.maximum(_pooled(-x, 2, step), _pooled(-x, 3, step))


def _smallest(x: Tensor, dim: int, step: int) -> Tensor:
    """Minimum over the cyclic shifts; windows may overlap, so that any number of them is exact."""
    reach, seen = _reach(x, dim, step), 1
    while seen < reach:
        more = min(seen, reach - seen)
        x = torch.minimum(x, x.roll(more * step, dim))
        seen += more
    return x


def _pooled(x: Tensor, dim: int, step: int) -> Tensor:
    """Maximum over the cyclic shifts."""
    reach = _reach(x, dim, step)
    before = (reach - 1) * step
    x = torch.cat([x.narrow(dim, x.shape[dim] - before, before), x], dim)
    return F.max_pool2d(x, (reach, 1) if dim == 2 else (1, reach), stride=1, dilation=step)


def _reach(x: Tensor, dim: int, step: int) -> int:
    """How many shifts there are, that by 0 included."""
    return -(-x.shape[dim] // step)


class MaxRelativeConv(nn.Module):
    """Static graph convolution: the map and its largest differences, mixed by a 1x1.

    Shape: ``(N, C, H, W) -> (N, 2 * C, H, W)``.
    """

    def __init__(self, channels: int, norm_cfg: dict):
        super().__init__()
        self.mix = ConvNormAct(2 * channels, 2 * channels, norm_cfg=norm_cfg, act=nn.GELU)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([x, max_relative(x)], 1))


class GraphMixer(nn.Sequential):
    """1x1, static graph convolution, 1x1 back from twice the width (MobileViG's SVGA)."""

    def __init__(self, channels: int, norm_cfg: dict):
        super().__init__()
        self.fc1 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)
        self.graph = MaxRelativeConv(channels, norm_cfg)
        self.fc2 = ConvNormAct(2 * channels, channels, norm_cfg=norm_cfg)
