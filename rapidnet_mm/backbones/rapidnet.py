"""RapidNet: a mobile CNN with multi-level dilated convolutions. https://arxiv.org/abs/2412.10995"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError
from .base import Backbone
from .blocks import FeedForward, InvertedResidual, Residual, downsample, stem
from .layers import DEFAULT_NORM, ConvNormAct


class Arch(NamedTuple):
    """One row of the paper's table of architectures (supplement, Table 1)."""

    local_depths: tuple[int, ...]  # inverted residual blocks per stage
    dilated_depths: tuple[int, ...]  # dilated blocks per stage, after the local ones
    channels: tuple[int, ...]  # width per stage, at strides 4, 8, 16, 32
    head_channels: int  # width of the classifier's hidden layer


ARCHS = {
    'ti': Arch((2, 2, 6, 2), (0, 0, 2, 2), (32, 64, 112, 224), 512),
    's': Arch((3, 3, 9, 3), (0, 0, 3, 3), (32, 64, 112, 224), 512),
    'm': Arch((3, 3, 9, 3), (0, 0, 3, 3), (32, 64, 160, 320), 512),
    'b': Arch((3, 3, 9, 3), (0, 0, 3, 3), (64, 128, 224, 416), 768),
}
DILATIONS = (2, 3)
LARGE_KERNEL = 7


class PositionalEncoding(nn.Module):
    """Conditional positional encoding, ``x + depthwise 7x7(x)``.

    In the inference form it is ``folded``: the kernel has the identity in it.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, LARGE_KERNEL, padding=LARGE_KERNEL // 2, groups=channels
        )
        self.folded = False

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if self.folded else x + self.conv(x)


class MultiLevelDilatedConv(nn.Module):
    """MLDC: the sum of two 3x3 views of one map, at dilations 2 and 3 (Fig. 3f).

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int, norm_cfg: dict):
        super().__init__()
        self.encoding = PositionalEncoding(channels)
        self.fc1 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)
        self.branches = nn.ModuleList(
            ConvNormAct(channels, channels, 3, dilation=d, norm_cfg=norm_cfg, act=nn.GELU)
            for d in DILATIONS
        )
        self.fc2 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(self.encoding(x))
        return self.fc2(sum(branch(x) for branch in self.branches))


class DilatedBlock(nn.Sequential):
    """MLDC, then the large-kernel feed-forward network, each with its own residual."""

    def __init__(self, channels: int, drop_path: float, scale: float, norm_cfg: dict):
        super().__init__()
        self.mixer = Residual(MultiLevelDilatedConv(channels, norm_cfg), channels, drop_path, scale)
        self.ffn = Residual(
            FeedForward(channels, norm_cfg, LARGE_KERNEL), channels, drop_path, scale
        )


def published_drop_rates(arch: Arch, nominal: float) -> list[list[float]]:
    """Stochastic depth per stage and block, as the published code effectively sets it.

    ``nominal`` is meant to be reached linearly over all blocks, but the index advances on dilated
    blocks only, so that the last rate is ``nominal * (dilated - 1) / (all - 1)``.
    """
    count = sum(arch.local_depths) + sum(arch.dilated_depths)
    rates, index = [], 0
    for local, dilated in zip(arch.local_depths, arch.dilated_depths, strict=True):
        indices = [index] * local + list(range(index, index + dilated))
        rates.append([nominal * i / (count - 1) for i in indices])
        index += dilated
    return rates


@MODELS.register_module()
class RapidNet(Backbone):
    """RapidNet (WACV 2025), four feature maps at strides 4, 8, 16 and 32.

    BatchNorm is trained by default. That is how the published detectors and segmenters were
    really trained: their code means to freeze it, but looks for BatchNorm2d after the conversion
    to SyncBN. ``norm_eval=True`` and ``frozen_stages`` freeze it where that is wanted.

    Args:
        arch: 'ti', 's', 'm' or 'b'.
        drop_path_rate: nominal stochastic depth. As published, the rate that a block gets grows
            with the number of *dilated* blocks before it, so with the default of 0.1 the effective
            rates stay under 0.022.
        layer_scale_init: what the learned scale of every residual branch starts with. The
            published value nearly switches the branches off at first, which suits 300 epochs; a
            short training from scratch wants 0.1 to 1.
        out_indices: see :class:`Backbone`, as all that follow.
        frozen_stages: stages without gradients and with fixed statistics.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN' | 'GN', ...)``.
        norm_eval: normalise with the running statistics while training.
        with_cp: recompute blocks in the backward pass.
        init_cfg: initialisation; the default is Kaiming normal, as published.

    Raises:
        UserError: an unknown ``arch``, or an argument out of its range.
    """

    variants = {f'arch={arch!r}': dict(arch=arch) for arch in ARCHS}

    def __init__(
        self,
        arch: str = 'm',
        drop_path_rate: float = 0.1,
        layer_scale_init: float = 1e-5,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = DEFAULT_NORM,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        if arch not in ARCHS:
            raise UserError(f'RapidNet has no arch {arch!r}; choose one of {sorted(ARCHS)}')
        if not 0 <= drop_path_rate < 1:
            raise UserError(f'RapidNet: drop_path_rate={drop_path_rate} must be in [0, 1)')
        table = ARCHS[arch]
        rates = published_drop_rates(table, drop_path_rate)
        super().__init__(
            stem=stem(table.channels[0], norm_cfg),
            stages=[_stage(table, i, rates[i], layer_scale_init, norm_cfg) for i in range(4)],
            channels=table.channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.arch = arch


def _stage(
    arch: Arch, index: int, rates: Sequence[float], scale: float, norm_cfg: dict
) -> nn.Sequential:
    channels = arch.channels[index]
    blocks: list[nn.Module] = []
    if index > 0:
        blocks.append(downsample(arch.channels[index - 1], channels, norm_cfg))
    for block, rate in enumerate(rates):
        if block < arch.local_depths[index]:
            blocks.append(InvertedResidual(channels, rate, scale, norm_cfg))
        else:
            blocks.append(DilatedBlock(channels, rate, scale, norm_cfg))
    return nn.Sequential(*blocks)
