"""ReXNet: channel widths that grow linearly from block to block. https://arxiv.org/abs/2007.00992"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from ..errors import UserError
from .base import Backbone, check_drop_path_rate
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
# The first block, at stride 2, belongs to the stem; a stage ends where the stride changes.
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
    """Channels of the stem, of the 16 blocks and of the last convolution (Section 4.2).

    Below a width of 1 the stem and the first block keep 32 and 16 channels.
    """
    first = 1 / width_mult if width_mult < 1 else 1
    blocks = [round((16 * first + i * 180 / 16) * width_mult) for i in range(16)]
    return round(32 * first * width_mult), blocks, int(1280 * width_mult)


def rexnet_lite_widths(width_mult: float) -> tuple[int, list[int], int]:
    """Channels of the stem, of the 16 blocks and of the last convolution, divisible by 8."""
    first = 1 / width_mult if width_mult < 1 else 1
    blocks = [by_eight(round((16 * first + i * 164 / 15) * width_mult)) for i in range(16)]
    last = int(1280 * max(width_mult, 1))
    return by_eight(round(32 * first * width_mult)), blocks, last


class SqueezeExcite(nn.Module):
    """Channel attention with BatchNorm on the pooled vector.

    With one image in the batch there is one value per channel, and no variance to normalise by:
    then the running statistics are used, and kept. SyncBatchNorm over several processes has
    enough values, and does as always.

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
    """Inverted bottleneck whose input is added to its first output channels (Fig. A1).

    ``expand`` (1x1, not in the first block), ``depthwise`` (3x3), ``se`` if any, ReLU6,
    ``project`` (1x1).

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
        if not self.shortcut:  # nor stochastic depth: nothing of the image would be left
            return y
        y = self.drop_path(y)
        return torch.cat([y[:, : self.shortcut] + x, y[:, self.shortcut :]], 1)


class _ReXNet(Backbone):
    """What ReXNet and ReXNet-lite share: 16 bottlenecks of given widths, and taps."""

    last_index = 4

    def __init__(
        self,
        widths: tuple[int, list[int], int],
        use_se: bool,
        drop_path_rate: float,
        act_cfg: dict,
        norm_cfg: dict,
        out_indices: Sequence[int],
        **common: object,
    ):
        check_drop_path_rate(type(self).__name__, drop_path_rate)
        stem, channels, last = widths
        act = activation(act_cfg)
        blocks = [
            LinearBottleneck(
                in_channels=channels[i - 1] if i else stem,
                out_channels=channels[i],
                expansion=EXPANSION if i else 1,
                stride=BLOCK_STRIDES[i],
                use_se=use_se and i >= FIRST_SE,
                drop_path=drop_path_rate * i / (len(channels) - 1),
                act=act,
                norm_cfg=norm_cfg,
            )
            for i in range(len(channels))
        ]
        conv = ConvNormAct(3, stem, 3, stride=2, bias=False, norm_cfg=norm_cfg, act=act)
        stages = [nn.Sequential(*(blocks[i] for i in indices)) for indices in STAGES]
        maps = [channels[indices[-1]] for indices in STAGES]
        if self.last_index in tuple(out_indices):  # what is not asked for is not built
            stages.append(
                nn.Sequential(ConvNormAct(maps[-1], last, bias=False, norm_cfg=norm_cfg, act=act))
            )
            maps.append(last)
        super().__init__(
            nn.Sequential(conv, blocks[0]), stages, maps, out_indices=out_indices, **common
        )


def _checked_width(name: str, width_mult: float) -> float:
    number = isinstance(width_mult, int | float) and not isinstance(width_mult, bool)
    if not number or not MIN_WIDTH <= width_mult <= MAX_WIDTH:
        raise UserError(
            f'{name}: width_mult={width_mult!r} must be a number from {MIN_WIDTH} to '
            f'{MAX_WIDTH}, such as 1.0'
        )
    return width_mult


@MODELS.register_module()
class ReXNet(_ReXNet):
    """ReXNet (CVPR 2021), feature maps at strides 4, 8, 16 and 32, and the last convolution.

    The blocks' squeeze-and-excitation normalises the pooled vector, of one value per image and
    channel. At one image per GPU, without SyncBN over several GPUs, that layer uses its running
    statistics and leaves them as they are; everything else trains as always.

    Args:
        width_mult: multiplies all widths; the paper has 0.9 to 3.0.
        act_cfg: activation after the stem, the expansions and the last convolution (Table A2):
            ``dict(type='SiLU' | 'ReLU6' | 'LeakyReLU' | 'Softplus' | 'ELU' | ...)``.
        drop_path_rate: stochastic depth of the last block, growing linearly from 0.
        out_indices: 0..3 are the last blocks at strides 4, 8, 16, 32, and 4 is the last 1x1
            convolution, at stride 32, which is only built when it is asked for.
        frozen_stages: stages without gradients and with fixed statistics.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN', ...)``.
        norm_eval: normalise with the running statistics while training.
        with_cp: recompute blocks in the backward pass.
        init_cfg: initialisation, Kaiming normal by default; or ``Pretrained`` and a file.

    Raises:
        UserError: an argument out of its range, or an activation that does not exist.
    """

    variants = {f'width_mult={w}': dict(width_mult=w) for w in WIDTHS}

    def __init__(
        self,
        width_mult: float = 1.0,
        act_cfg: dict = SILU,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = DEFAULT_NORM,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(
            rexnet_widths(_checked_width('ReXNet', width_mult)),
            use_se=True,
            drop_path_rate=drop_path_rate,
            act_cfg=act_cfg,
            norm_cfg=norm_cfg,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )


@MODELS.register_module()
class ReXNetLite(_ReXNet):
    """ReXNet-lite: ReXNet without squeeze-and-excitation, ReLU6 everywhere, widths by eight.

    Args:
        width_mult: multiplies the widths; published are 1.0, 1.3, 1.5 and 2.0.
        act_cfg: activation after the stem, the expansions and the last convolution.
        drop_path_rate: see :class:`ReXNet`, as all that follow.
        out_indices: maps to return.
        frozen_stages: stages without gradients and with fixed statistics.
        norm_cfg: normalisation layers.
        norm_eval: normalise with the running statistics while training.
        with_cp: recompute blocks in the backward pass.
        init_cfg: initialisation.

    Raises:
        UserError: an argument out of its range, or an activation that does not exist.
    """

    variants = {f'width_mult={w}': dict(width_mult=w) for w in LITE_WIDTHS}

    def __init__(
        self,
        width_mult: float = 1.0,
        act_cfg: dict = RELU6,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = DEFAULT_NORM,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(
            rexnet_lite_widths(_checked_width('ReXNetLite', width_mult)),
            use_se=False,
            drop_path_rate=drop_path_rate,
            act_cfg=act_cfg,
            norm_cfg=norm_cfg,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )


@MODELS.register_module()
class ReXNetPlain(Backbone):
    """ReXNet (plain): MobileNetV1 with linearly growing widths, no shortcut, no attention.

    Args:
        act_cfg: activation after the pointwise convolutions.
        out_indices: maps to return, 0..3 (strides 4, 8, 16, 32).
        frozen_stages: stages without gradients and with fixed statistics.
        norm_cfg: normalisation layers.
        norm_eval: normalise with the running statistics while training.
        with_cp: recompute blocks in the backward pass.
        init_cfg: initialisation.

    Raises:
        UserError: an argument out of its range, or an activation that does not exist.
    """

    def __init__(
        self,
        act_cfg: dict = SILU,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = DEFAULT_NORM,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        act = activation(act_cfg)
        stem = ConvNormAct(3, 32, 3, stride=2, bias=False, norm_cfg=norm_cfg, act=nn.ReLU)
        ins = (32, *PLAIN_WIDTHS[:-1])
        blocks = [
            _separable(*sizes, act, norm_cfg)
            for sizes in zip(ins, PLAIN_WIDTHS, PLAIN_STRIDES, strict=True)
        ]
        super().__init__(
            stem=nn.Sequential(stem, blocks[0]),
            stages=[nn.Sequential(*(blocks[i] for i in indices)) for indices in PLAIN_STAGES],
            channels=[PLAIN_WIDTHS[indices[-1]] for indices in PLAIN_STAGES],
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )


def _separable(
    in_channels: int, out_channels: int, stride: int, act: Callable, norm_cfg: dict
) -> nn.Sequential:
    """Depthwise 3x3 with ReLU, then 1x1 with the chosen activation."""
    block = nn.Sequential()
    block.depthwise = ConvNormAct(
        in_channels, in_channels, 3, stride, 1, in_channels, False, norm_cfg, nn.ReLU
    )
    block.pointwise = ConvNormAct(in_channels, out_channels, bias=False, norm_cfg=norm_cfg, act=act)
    return block
