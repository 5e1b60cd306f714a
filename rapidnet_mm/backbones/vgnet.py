"""VGNet: half-identity blocks and fixed depthwise kernels. https://arxiv.org/abs/2207.10318"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ..weights.contract import FixedTensors, is_fixed_value
from .base import Backbone, check_arch, check_common
from .layers import DEFAULT_NORM, build_norm, by_eight

Kernel = tuple[tuple[float, float, float], ...]  # the rows of a 3x3 kernel


class Size(NamedTuple):
    """One row of the paper's table of architectures."""

    stem: int  # channels at stride 2
    channels: tuple[int, ...]  # width per stage, at strides 4, 8, 16, 32
    depths: tuple[int, ...]  # blocks per stage; the downsampling block counts


SIZES = {
    '1_0mp': Size(28, (56, 112, 224, 368), (4, 7, 13, 2)),
    '1_5mp': Size(32, (64, 128, 256, 512), (3, 7, 14, 2)),
    '2_0mp': Size(32, (72, 168, 376, 512), (3, 6, 13, 2)),
    '2_5mp': Size(32, (80, 192, 400, 544), (3, 6, 16, 2)),
}


def _symmetric(centre: float, edge: float, corner: float) -> Kernel:
    return ((corner, edge, corner), (edge, centre, edge), (corner, edge, corner))


def _negative(kernel: Kernel) -> Kernel:
    return tuple(tuple(-value for value in row) for row in kernel)


GAUSSIAN = _symmetric(0.1853, 0.1226, 0.0811)
NARROW_GAUSSIAN = _symmetric(0.4452, 0.1110, 0.0277)
SOBEL = ((-1 / 2, -1, -1 / 2), (0, 0, 0), (1 / 2, 1, 1 / 2))
SOBEL_ACROSS = tuple(zip(*SOBEL, strict=True))
EDGES = (SOBEL, SOBEL_ACROSS, _symmetric(1, -2 / 12, -1 / 12), _symmetric(1, -1 / 4, 0))
# As published: not symmetric.
DIAGONALS = (
    ((-1, -2 / 3, -1 / 3), (-2 / 3, 0, 2 / 3), (1 / 3, 2 / 3, 1)),
    ((-1 / 3, -2 / 3, -1), (2 / 3, 0, -2 / 3), (1, 2 / 3, 1 / 3)),
)


class Kind(NamedTuple):
    """The fixed depthwise kernels, repeated over the channels; None where kernels are learned."""

    downsampling: tuple[Kernel, ...] | None
    others: tuple[Kernel, ...] | None = None


ALTERNATING = (GAUSSIAN, _negative(GAUSSIAN))
KINDS = {
    'g': Kind(ALTERNATING),
    'c': Kind(None),
    'f': Kind(ALTERNATING, (*EDGES, *DIAGONALS, GAUSSIAN, NARROW_GAUSSIAN)),
    'e': Kind(ALTERNATING, EDGES),
}


class Arch(NamedTuple):
    """A size, a kind of kernels, and whether there is squeeze-and-excitation."""

    size: Size
    kind: Kind
    use_se: bool


ARCHS = {
    f'{kind}_{size}{suffix}': Arch(SIZES[size], KINDS[kind], bool(suffix))
    for kind in KINDS
    for size in SIZES
    for suffix in ('', '_se')
}
SE_RATIO = 0.25
CHUNKS = 8  # parts of the last stage's channels; all parts have the same depthwise kernels


class FixedDepthwise(FixedTensors, nn.Module):
    """Depthwise 3x3 convolution with kernels from a table, which no optimizer sees.

    The kernels are a buffer: they move with the model to a device or a precision, and are saved.
    They are always rounded from the table, never from a narrower type. A state dict may lack them,
    but must not have other values.

    Args:
        channels: width of the map.
        cycle: the kernels of the first channels; the next channels repeat them in this order.
        stride: in both directions.

    Shape: ``(N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(self, channels: int, cycle: Sequence[Kernel], stride: int = 1):
        super().__init__()
        self.channels, self.cycle, self.stride = channels, tuple(cycle), stride
        self.register_buffer('weight', torch.empty(channels, 1, 3, 3))
        self.reset()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, None, self.stride, 1, groups=self.channels)

    def fixed_tensors(self) -> dict[str, Tensor]:
        """Return the kernels, in float32 as published: a state dict has these values or none."""
        kernels = torch.tensor(self.cycle, dtype=torch.float32, device='cpu')
        indices = torch.arange(self.channels, device='cpu') % len(kernels)
        return {'weight': kernels[indices].unsqueeze(1)}

    def reset(self) -> None:
        """Write the table's kernels into the buffer."""
        self.weight.copy_(self.fixed_tensors()['weight'])

    def plain(self) -> nn.Conv2d:
        """Return the same layer as an ordinary convolution."""
        return _plain(self.weight, self.stride)

    def extra_repr(self) -> str:
        return f'{self.channels}, kernel_size=3, stride={self.stride}'

    def _apply(self, fn: Any, recurse: bool = True) -> FixedDepthwise:
        super()._apply(fn, recurse)
        self.reset()
        return self

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Tensor],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        *reports: list[str],
    ) -> None:
        _, unexpected, errors = reports  # fixed kernels are never reported as missing
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, [], unexpected, errors
        )
        for name, exact in self.fixed_tensors().items():
            if not is_fixed_value(state_dict.get(prefix + name, exact), exact):
                errors.append(f'{prefix}{name} is not the fixed kernel of this model')
        self.reset()


class SharedDepthwise(nn.Conv2d):
    """Depthwise 3x3 convolution that uses the same kernels for ``CHUNKS`` parts of the channels.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int):
        part = channels // CHUNKS
        super().__init__(part, part, 3, padding=1, groups=part, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.repeat(CHUNKS, 1, 1, 1), None, 1, 1, groups=x.shape[1])

    def plain(self) -> nn.Conv2d:
        """Return the same layer as an ordinary convolution, with a kernel per channel."""
        return _plain(self.weight.repeat(CHUNKS, 1, 1, 1), 1)


class SqueezeExcite(nn.Module):
    """Channel attention: pool, 1x1, ReLU, 1x1, sigmoid.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int):
        super().__init__()
        hidden = by_eight(int(SE_RATIO * channels))
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x.mean((2, 3), keepdim=True)).relu()
        return x * self.expand(y).sigmoid()


class ConvActNorm(nn.Sequential):
    """Convolution without bias, ReLU, and normalisation *after* the activation.

    Shape: ``(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: dict,
        kernel_size: int = 1,
        stride: int = 1,
        use_se: bool = False,
    ):
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.act = nn.ReLU()
        self.norm = build_norm(norm_cfg, out_channels)
        if use_se:
            self.se = SqueezeExcite(out_channels)


class Downsampling(nn.Module):
    """Depthwise 3x3 at stride 2, then two halves for the blocks that follow.

    One half is the last channels of the depthwise output. The other is a 1x1 convolution of all its
    channels. If their widths differ, both are concatenated and split in the middle.

    Shape: ``(N, C_in, H, W) ->`` a pair of ``(N, C_out / 2, ceil(H / 2), ceil(W / 2))``.
    """

    def __init__(self, in_channels: int, out_channels: int, arch: Arch, norm_cfg: dict):
        super().__init__()
        kept = 0 if in_channels > out_channels else min(out_channels // 2, in_channels)
        self.start = in_channels - kept
        self.even = 2 * kept == out_channels
        self.depthwise = (
            nn.Conv2d(in_channels, in_channels, 3, 2, 1, groups=in_channels, bias=False)
            if arch.kind.downsampling is None
            else FixedDepthwise(in_channels, arch.kind.downsampling, stride=2)
        )
        self.pointwise = ConvActNorm(in_channels, out_channels - kept, norm_cfg, use_se=arch.use_se)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.depthwise(x)
        pair = x[:, self.start :], self.pointwise(x)
        return pair if self.even else torch.cat(pair, 1).chunk(2, 1)


class HalfIdentity(nn.Module):
    """The right half becomes the left half; a branch that reads both becomes the right half.

    Shape: a pair of ``(N, C / 2, H, W) ->`` a pair of the same.
    """

    def __init__(self, channels: int, arch: Arch, norm_cfg: dict):
        super().__init__()
        half = channels // 2
        self.depthwise = _depthwise(half, arch, norm_cfg)
        self.pointwise = ConvActNorm(channels, half, norm_cfg, use_se=arch.use_se)

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        left, right = pair
        return right, self.pointwise(torch.cat((left, self.depthwise(right)), 1))


class Join(nn.Module):
    """Join two halves to one map.

    Shape: a pair of ``(N, C / 2, H, W) -> (N, C, H, W)``.
    """

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return torch.cat(pair, 1)


def archs_of(state: Mapping[str, Tensor]) -> list[str]:
    """Return the archs that a state dict under our names fits.

    The list is empty if the state dict fits none, as that of an inference form. It has several
    archs if the state dict lacks the fixed kernels in which these differ.
    """
    needed = {'stem.conv.weight', 'stem.norm.weight', 'stages.2.0.pointwise.conv.weight'}
    if not needed <= state.keys() or state['stem.conv.weight'].is_meta:
        return []
    stem, widest = state['stem.conv.weight'], state['stages.2.0.pointwise.conv.weight']
    return [
        name
        for name, arch in ARCHS.items()
        if len(stem) == arch.size.stem
        and widest.shape[1] == arch.size.channels[1]
        and arch.use_se == ('stages.0.0.pointwise.se.reduce.weight' in state)
        and (arch.kind.others is not None) == ('stages.0.1.depthwise.norm.weight' in state)
        and _kernels_fit(state, arch.kind)
    ]


def _kernels_fit(state: Mapping[str, Tensor], kind: Kind) -> bool:
    """Return whether the first kernels, if the state dict has them, are those of a kind."""

    def equal(key: str, cycle: Sequence[Kernel]) -> bool | None:
        if (weight := state.get(key)) is None:
            return None
        fixed = FixedDepthwise(len(weight), cycle).fixed_tensors()['weight']
        return is_fixed_value(weight, fixed)

    gaussian = equal('stages.0.0.depthwise.weight', ALTERNATING)
    if kind.downsampling is None:
        return gaussian is False
    same = kind.others is None or equal('stages.0.1.depthwise.conv.weight', kind.others)
    return gaussian is not False and same is not False


@MODELS.register_module()
class VGNet(Backbone):
    """VGNet (ICME 2022): feature maps at strides 4, 8, 16 and 32.

    Example:
        >>> model = VGNet('g_1_0mp')
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
        [(1, 56, 16, 24), (1, 112, 8, 12), (1, 224, 4, 6), (1, 368, 2, 3)]

    Args:
        arch: kind, size, and ``_se`` with squeeze-and-excitation: 'g_1_0mp' is VGNetG-1.0MP, and
            'g_1_0mp_se' is the same with attention. Kinds are 'c' (all kernels are learned), 'g'
            (downsampling by fixed Gaussians), 'f' (all depthwise kernels are fixed: edges and
            Gaussians) and 'e' (the same with edges only). Sizes are '1_0mp', '1_5mp', '2_0mp' and
            '2_5mp'.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN' | 'GN', ...)``.
        **common: arguments of all families: ``out_indices``, ``frozen_stages``, ``norm_eval``,
            ``with_cp``, ``init_cfg``; see :class:`Backbone`.

    Raises:
        UserError: an unknown ``arch``, an argument out of its range, or one that does not exist.
    """

    variants_share_shapes = True  # they differ in the values of fixed kernels

    def __init__(
        self,
        arch: str = 'g_1_0mp',
        norm_cfg: dict = DEFAULT_NORM,
        **common: Any,
    ):
        check_common(self, common)
        check_arch('VGNet', arch, ARCHS)
        table = ARCHS[arch]
        super().__init__(
            ConvActNorm(3, table.size.stem, norm_cfg, kernel_size=3, stride=2),
            [_stage(table, index, norm_cfg) for index in range(4)],
            table.size.channels,
            **common,
        )
        self.arch = arch

    def own_variant(self) -> str:
        """Return the arch of this network."""
        return f'arch={self.arch!r}'

    @classmethod
    def variants_of(cls, state: Mapping[str, Tensor]) -> list[str]:
        """Return the archs that a state dict may be of, see :func:`archs_of`."""
        return [f'arch={arch!r}' for arch in archs_of(state)]


def _stage(arch: Arch, index: int, norm_cfg: dict) -> nn.Sequential:
    inputs = (arch.size.stem, *arch.size.channels)[index]
    channels = arch.size.channels[index]
    blocks: list[nn.Module] = [Downsampling(inputs, channels, arch, norm_cfg)]
    blocks += [HalfIdentity(channels, arch, norm_cfg) for _ in range(arch.size.depths[index] - 1)]
    blocks.append(Join())
    if index == len(arch.size.channels) - 1:
        tail = nn.Sequential()
        learned = arch.kind.others is None
        tail.depthwise = (
            SharedDepthwise(channels) if learned else _depthwise(channels, arch, norm_cfg)
        )
        tail.pointwise = ConvActNorm(channels, channels, norm_cfg)
        blocks.append(tail)
    return nn.Sequential(*blocks)


def _depthwise(channels: int, arch: Arch, norm_cfg: dict) -> nn.Module:
    """Return a depthwise 3x3: learned, or fixed and then normalised."""
    if arch.kind.others is None:
        return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    block = nn.Sequential()
    block.conv = FixedDepthwise(channels, arch.kind.others)
    block.norm = build_norm(norm_cfg, channels)
    return block


def _plain(kernels: Tensor, stride: int) -> nn.Conv2d:
    channels = len(kernels)
    with torch.device('meta'):
        conv = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    conv.weight = nn.Parameter(kernels.detach().clone())
    return conv
