"""ReXNet: channel widths that grow linearly from block to block. https://arxiv.org/abs/2007.00992"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from ..errors import UserError
from .base import Backbone, check_common, check_rate
from .layers import DEFAULT_NORM, ConvNormAct, DropPath, activation, build_norm, by_eight

# The widths of the paper's tables.
WIDTHS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 2.0, 2.2, 3.0)
LITE_WIDTHS = (1.0, 1.3, 1.5, 2.0)
MIN_WIDTH = 0.001  # below it the last convolution has no channel left
MAX_WIDTH = 20  # above it the network has more than a billion parameters
DEPTHS = (1, 2, 2, 3, 3, 5)  # blocks per group
GROUP_STRIDES = (1, 2, 2, 2, 1, 2)  # of the first block of a group
BLOCK_STRIDES = tuple(
    stride if block == 0 else 1
    for depth, stride in zip(DEPTHS, GROUP_STRIDES, strict=True)
    for block in range(depth)
)
# Blocks per stage. The first block, at stride 2, belongs to the stem. A stage begins with the block
# that changes the stride.
STAGES = (range(1, 3), range(3, 5), range(5, 11), range(11, 16))
EXPANSION = 6  # of all blocks but the first
FIRST_SE = 3  # blocks from the third group on have squeeze-and-excitation
SE_REDUCTION = 12
SILU = dict(type='SiLU')
RELU6 = dict(type='ReLU6')

# ReXNet (plain): output widths and strides of the separable blocks after a stem of 32 channels.
PLAIN_WIDTHS = (*range(96, 625, 48), 1024)
PLAIN_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
PLAIN_STAGES = (range(1, 3), range(3, 5), range(5, 11), range(11, 13))


def rexnet_widths(width_mult: float) -> tuple[int, list[int], int]:
    """Return the channels of the stem, of the 16 blocks and of the last convolution (Section 4.2).

    Below a width of 1 the stem and the first block keep 32 and 16 channels.
    """
    first = 1 / width_mult if width_mult < 1 else 1
    blocks = [round((16 * first + i * 180 / 16) * width_mult) for i in range(16)]
    return round(32 * first * width_mult), blocks, int(1280 * width_mult)


def rexnet_lite_widths(width_mult: float) -> tuple[int, list[int], int]:
    """Return the same channels for ReXNet-lite, where stem and blocks are divisible by 8."""
    first = 1 / width_mult if width_mult < 1 else 1
    blocks = [by_eight(round((16 * first + i * 164 / 15) * width_mult)) for i in range(16)]
    last = int(1280 * max(width_mult, 1))
    return by_eight(round(32 * first * width_mult)), blocks, last


class SqueezeExcite(nn.Module):
    """Channel attention with BatchNorm on the pooled vector.

    With one image each channel has a single value, and so no variance. So with one image in the
    batch BatchNorm uses its running statistics and does not change them. SyncBatchNorm over several
    processes sees several images and works as usual.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int, norm_cfg: dict):
        super().__init__()
        hidden = channels // SE_REDUCTION
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.norm = build_norm(norm_cfg, hidden)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self._normalise(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * self.expand(y.relu()).sigmoid()

    def _normalise(self, y: Tensor) -> Tensor:
        norm = self.norm
        alone = norm.training and y.shape[0] == 1 and isinstance(norm, _BatchNorm)
        synced = isinstance(norm, SyncBatchNorm) and dist.is_initialized()
        if not alone or (synced and dist.get_world_size() > 1):
            return norm(y)
        return F.batch_norm(
            y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )


class LinearBottleneck(nn.Module):
    """Inverted bottleneck whose input is added to its first output channels (Fig. A2a).

    The layers are ``expand`` (1x1, not in the first block), ``depthwise`` (3x3), ``se`` (not in the
    first blocks), ReLU6 and ``project`` (1x1).

    Shape: ``(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int,
        stride: int,
        use_se: bool,
        drop_path: float,
        act: Callable[[], nn.Module],
        norm_cfg: dict,
    ):
        super().__init__()
        hidden = expansion * in_channels
        self.expand = (
            ConvNormAct(in_channels, hidden, bias=False, norm_cfg=norm_cfg, act=act)
            if expansion > 1
            else nn.Identity()
        )
        self.depthwise = ConvNormAct(
            hidden, hidden, 3, stride, groups=hidden, bias=False, norm_cfg=norm_cfg
        )
        self.se = SqueezeExcite(hidden, norm_cfg) if use_se else nn.Identity()
        self.act = nn.ReLU6()
        self.project = ConvNormAct(hidden, out_channels, bias=False, norm_cfg=norm_cfg)
        self.drop_path = DropPath(drop_path)
        self.shortcut = in_channels if stride == 1 and in_channels <= out_channels else 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.se(self.depthwise(self.expand(x))))
        y = self.project(y)
        if not self.shortcut:  # and no stochastic depth: without a shortcut nothing would remain
            return y
        y = self.drop_path(y)
        return torch.cat([y[:, : self.shortcut] + x, y[:, self.shortcut :]], 1)


class _ReXNet(Backbone):
    """ReXNet and ReXNet-lite: 16 bottlenecks of the given widths, and a last convolution."""

    last_index = 4

    def __init__(
        self,
        widths: tuple[int, list[int], int],
        use_se: bool,
        act_cfg: dict,
        /,
        *,
        drop_path_rate: float = 0.0,
        norm_cfg: dict = DEFAULT_NORM,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        **common: Any,
    ):
        check_common(self, common)
        check_rate(type(self).__name__, 'drop_path_rate', drop_path_rate)
        stem, channels, last = widths
        act = activation(act_cfg)
        blocks = _bottlenecks((stem, *channels), use_se, drop_path_rate, act, norm_cfg)
        conv = ConvNormAct(3, stem, 3, stride=2, bias=False, norm_cfg=norm_cfg, act=act)
        stages = [nn.Sequential(*(blocks[i] for i in indices)) for indices in STAGES]
        maps = [channels[indices[-1]] for indices in STAGES]
        if self.last_index in tuple(out_indices):  # otherwise it would get no gradients
            stages.append(
                nn.Sequential(ConvNormAct(maps[-1], last, bias=False, norm_cfg=norm_cfg, act=act))
            )
            maps.append(last)
        super().__init__(
            nn.Sequential(conv, blocks[0]), stages, maps, out_indices=out_indices, **common
        )


@MODELS.register_module()
class ReXNet(_ReXNet):
    """ReXNet (CVPR 2021): feature maps at strides 4, 8, 16 and 32, and the last convolution.

    Squeeze-and-excitation normalises the pooled vector, which has one value per image and channel.
    With one image per GPU and no SyncBN, that BatchNorm uses its running statistics and does not
    change them. All other layers train as usual.

    Example:
        >>> model = ReXNet(width_mult=1.0, out_indices=(0, 1, 2, 3, 4))
        >>> [tuple(m.shape) for m in model(torch.rand(2, 3, 64, 96))]
        [(2, 38, 16, 24), (2, 61, 8, 12), (2, 128, 4, 6), (2, 185, 2, 3), (2, 1280, 2, 3)]

    Args:
        width_mult: factor on all widths; the paper has 0.9 to 3.0.
        act_cfg: activation after the stem, the expansions and the last convolution (Table A2):
            ``dict(type='SiLU' | 'ReLU6' | 'LeakyReLU' | 'Softplus' | 'ELU' | ...)``.
        drop_path_rate: stochastic depth of the last block; the rate grows linearly from 0 (the
            default).
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN', ...)``.
        out_indices: 0..3 are the last blocks at strides 4, 8, 16, 32. 4 is the last 1x1
            convolution, at stride 32; it is built only if it is in ``out_indices``.
        **common: arguments of all families: ``frozen_stages``, ``norm_eval``, ``with_cp``,
            ``init_cfg``; see :class:`Backbone`.

    Raises:
        UserError: an argument out of its range, one that does not exist, or an unknown activation.
    """

    variants = {f'width_mult={w}': dict(width_mult=w) for w in WIDTHS}

    def __init__(self, width_mult: float = 1.0, act_cfg: dict = SILU, **common: Any):
        widths = rexnet_widths(_checked_width('ReXNet', width_mult))
        super().__init__(widths, True, act_cfg, **common)  # with squeeze-and-excitation


@MODELS.register_module()
class ReXNetLite(_ReXNet):
    """ReXNet-lite: ReXNet without squeeze-and-excitation, with ReLU6 and widths divisible by 8.

    Example:
        >>> model = ReXNetLite(width_mult=1.0)
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
        [(1, 40, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 184, 2, 3)]

    Args:
        width_mult: factor on the widths; published are 1.0, 1.3, 1.5 and 2.0.
        act_cfg: activation after the stem, the expansions and the last convolution.
        **common: all other arguments of :class:`ReXNet`.

    Raises:
        UserError: an argument out of its range, one that does not exist, or an unknown activation.
    """

    variants = {f'width_mult={w}': dict(width_mult=w) for w in LITE_WIDTHS}

    def __init__(self, width_mult: float = 1.0, act_cfg: dict = RELU6, **common: Any):
        widths = rexnet_lite_widths(_checked_width('ReXNetLite', width_mult))
        super().__init__(widths, False, act_cfg, **common)  # no squeeze-and-excitation


@MODELS.register_module()
class ReXNetPlain(Backbone):
    """ReXNet (plain): MobileNetV1 with linearly growing widths, no shortcut, no attention.

    Example:
        >>> model = ReXNetPlain()
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
        [(1, 192, 16, 24), (1, 288, 8, 12), (1, 576, 4, 6), (1, 1024, 2, 3)]

    Args:
        act_cfg: activation after the pointwise convolutions.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN' | 'GN', ...)``.
        **common: arguments of all families: ``out_indices``, ``frozen_stages``, ``norm_eval``,
            ``with_cp``, ``init_cfg``; see :class:`Backbone`.

    Raises:
        UserError: an argument out of its range, one that does not exist, or an unknown activation.
    """

    def __init__(self, act_cfg: dict = SILU, norm_cfg: dict = DEFAULT_NORM, **common: Any):
        check_common(self, common)
        act = activation(act_cfg)
        stem = ConvNormAct(3, 32, 3, stride=2, bias=False, norm_cfg=norm_cfg, act=nn.ReLU)
        inputs = (32, *PLAIN_WIDTHS[:-1])
        blocks = [
            _separable(*sizes, act, norm_cfg)
            for sizes in zip(inputs, PLAIN_WIDTHS, PLAIN_STRIDES, strict=True)
        ]
        super().__init__(
            nn.Sequential(stem, blocks[0]),
            [nn.Sequential(*(blocks[i] for i in indices)) for indices in PLAIN_STAGES],
            [PLAIN_WIDTHS[indices[-1]] for indices in PLAIN_STAGES],
            **common,
        )


def _bottlenecks(
    channels: Sequence[int],
    use_se: bool,
    drop_path_rate: float,
    act: Callable[[], nn.Module],
    norm_cfg: dict,
) -> list[LinearBottleneck]:
    """Return the blocks between the stem, of ``channels[0]``, and the last convolution."""
    count = len(channels) - 1
    return [
        LinearBottleneck(
            in_channels=channels[i],
            out_channels=channels[i + 1],
            expansion=EXPANSION if i else 1,
            stride=BLOCK_STRIDES[i],
            use_se=use_se and i >= FIRST_SE,
            drop_path=drop_path_rate * i / (count - 1),
            act=act,
            norm_cfg=norm_cfg,
        )
        for i in range(count)
    ]


def _separable(
    in_channels: int, out_channels: int, stride: int, act: Callable, norm_cfg: dict
) -> nn.Sequential:
    """Return depthwise 3x3 with ReLU, then 1x1 with the chosen activation."""
    block = nn.Sequential()
    block.depthwise = ConvNormAct(
        in_channels, in_channels, 3, stride, 1, in_channels, False, norm_cfg, nn.ReLU
    )
    block.pointwise = ConvNormAct(in_channels, out_channels, bias=False, norm_cfg=norm_cfg, act=act)
    return block


def _checked_width(name: str, width_mult: float) -> float:
    is_number = isinstance(width_mult, int | float) and not isinstance(width_mult, bool)
    if not is_number or not MIN_WIDTH <= width_mult <= MAX_WIDTH:
        raise UserError(
            f'{name}: width_mult={width_mult!r} must be a number from {MIN_WIDTH} to '
            f'{MAX_WIDTH}, such as 1.0'
        )
    return width_mult
