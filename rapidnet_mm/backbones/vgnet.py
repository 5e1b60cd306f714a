"""VGNet: half-identity blocks and fixed depthwise kernels. https://arxiv.org/abs/2207.10318

The authors changed their network after the paper. Both versions are here, see :data:`VERSIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError
from ..weights.contract import is_fixed_value
from .base import Backbone, check_arch, check_common
from .layers import DEFAULT_NORM, build_norm
from .vgnet_layers import CHUNKS, ConvActNorm, FixedDepthwise, Join, Kernel, SharedDepthwise


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
    '5_0mp': Size(32, (88, 216, 456, 856), (4, 7, 15, 5)),  # in the authors' code only
}


def _symmetric(centre: float, edge: float, corner: float) -> Kernel:
    return ((corner, edge, corner), (edge, centre, edge), (corner, edge, corner))


def _negative(kernel: Kernel) -> Kernel:
    return tuple(tuple(-value for value in row) for row in kernel)


GAUSSIAN = _symmetric(0.1853, 0.1226, 0.0811)
# The kernel of version 2: a Gaussian of sigma 1, in single precision as in the authors' code. With
# double precision the outputs would differ from the published ones by 1e-8.
SMOOTHING = _symmetric(0.20417994260787964, 0.12384139746427536, 0.07511360198259354)
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
    """The fixed depthwise kernels, repeated over the channels; None if kernels are learned."""

    downsampling: tuple[Kernel, ...] | None
    others: tuple[Kernel, ...] | None = None


ALTERNATING = (GAUSSIAN, _negative(GAUSSIAN))
KINDS = {
    'g': Kind(ALTERNATING),
    'c': Kind(None),
    'f': Kind(ALTERNATING, (*EDGES, *DIAGONALS, GAUSSIAN, NARROW_GAUSSIAN)),
    'e': Kind(ALTERNATING, EDGES),
}


KINDS_V2 = {'g': Kind((SMOOTHING,)), 'c': Kind(None)}


class Arch(NamedTuple):
    """The settings of a variant of one version."""

    size: Size
    kind: Kind
    use_se: bool  # squeeze-and-excitation
    act: type[nn.Module] = nn.ReLU  # in the whole network, also in the attention
    shares_tail: bool = True  # one depthwise kernel for ``CHUNKS`` parts of the last stage


ARCHS = {
    f'{kind}_{size}{suffix}': Arch(SIZES[size], KINDS[kind], bool(suffix))
    for kind in KINDS
    for size in SIZES
    for suffix in ('', '_se')
}
ARCHS_V2 = {
    name: arch._replace(kind=KINDS_V2[name[0]], act=nn.SiLU, shares_tail=False)
    for name, arch in ARCHS.items()
    if name[0] == 'g' or name == 'c_1_0mp'  # the authors' code has no others
}
# 'paper' is the network of the paper. 'v2' is the authors' later network. The files that the
# authors offer are for 'v2', if their names do not say otherwise.
VERSIONS = {'paper': ARCHS, 'v2': ARCHS_V2}


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
        self.pointwise = ConvActNorm(
            in_channels, out_channels - kept, norm_cfg, arch.act, use_se=arch.use_se
        )

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
        self.pointwise = ConvActNorm(channels, half, norm_cfg, arch.act, use_se=arch.use_se)

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        left, right = pair
        return right, self.pointwise(torch.cat((left, self.depthwise(right)), 1))


def archs_of(state: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Return the pairs of arch and version that fit a state dict with our names.

    The list is empty if none fits, for example for the inference form. It has several pairs if the
    state dict lacks the fixed kernels in which these variants differ.
    """
    needed = {'stem.conv.weight', 'stem.norm.weight', 'stages.2.0.pointwise.conv.weight'}
    if not needed <= state.keys() or state['stem.conv.weight'].is_meta:
        return []
    stem, widest = state['stem.conv.weight'], state['stages.2.0.pointwise.conv.weight']
    return [
        (name, version)
        for version, archs in VERSIONS.items()
        for name, arch in archs.items()
        if len(stem) == arch.size.stem
        and widest.shape[1] == arch.size.channels[1]
        and arch.use_se == ('stages.0.0.pointwise.se.reduce.weight' in state)
        and (arch.kind.others is not None) == ('stages.0.1.depthwise.norm.weight' in state)
        and _kernels_fit(state, arch.kind)
        and _tail_fits(state, arch)
    ]


def _kernels_fit(state: Mapping[str, Tensor], kind: Kind) -> bool:
    """Return whether the first kernels are those of a kind; True if they are missing."""

    def equal(key: str, cycle: Sequence[Kernel]) -> bool | None:
        if (weight := state.get(key)) is None:
            return None
        fixed = FixedDepthwise(len(weight), cycle).fixed_tensors()['weight']
        return is_fixed_value(weight, fixed)

    key = 'stages.0.0.depthwise.weight'
    if kind.downsampling is None:  # the kernels must be there, and differ from all fixed ones
        return all(equal(key, cycle) is False for cycle in (ALTERNATING, (SMOOTHING,)))
    gaussian = equal(key, kind.downsampling)
    same = kind.others is None or equal('stages.0.1.depthwise.conv.weight', kind.others)
    return gaussian is not False and same is not False


def _tail_fits(state: Mapping[str, Tensor], arch: Arch) -> bool:
    """Return whether the last kernels are shared as in ``arch``; True if they are missing."""
    weight = state.get(f'stages.3.{arch.size.depths[-1] + 1}.depthwise.weight')
    parts = CHUNKS if arch.shares_tail else 1
    return weight is None or len(weight) * parts == arch.size.channels[-1]


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
            Gaussians) and 'e' (the same with edges only). Sizes are '1_0mp', '1_5mp', '2_0mp',
            '2_5mp' and '5_0mp'.
        version: 'paper', or 'v2' for the authors' later network: SiLU instead of ReLU, a positive
            Gaussian for all channels, and a last depthwise convolution with kernels of its own for
            every channel. It has kind 'g' in all sizes, and 'c_1_0mp'. Its classifier has dropout
            0.2. The files that the authors offer today are for 'v2'.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN' | 'GN', ...)``.
        **common: arguments of all families: ``out_indices``, ``frozen_stages``, ``norm_eval``,
            ``with_cp``, ``init_cfg``; see :class:`Backbone`.

    Raises:
        UserError: an unknown ``arch`` or ``version``, an argument out of its range, or one that
            does not exist.
    """

    variants_share_shapes = True  # they differ in the values of fixed kernels

    def __init__(
        self,
        arch: str = 'g_1_0mp',
        norm_cfg: dict = DEFAULT_NORM,
        version: str = 'paper',
        **common: Any,
    ):
        check_common(self, common)
        table = _checked(arch, version)
        super().__init__(
            ConvActNorm(3, table.size.stem, norm_cfg, table.act, kernel_size=3, stride=2),
            [_stage(table, index, norm_cfg) for index in range(4)],
            table.size.channels,
            **common,
        )
        self.arch = arch
        self.version = version

    def own_variant(self) -> str:
        """Return arch and version of this network."""
        return _variant(self.arch, self.version)

    @classmethod
    def variants_of(cls, state: Mapping[str, Tensor]) -> list[str]:
        """Return the variants that fit a state dict, see :func:`archs_of`."""
        return [_variant(*pair) for pair in archs_of(state)]


def _variant(arch: str, version: str) -> str:
    """Return the arguments of a variant, without the version if it is the default."""
    return f'arch={arch!r}' if version == 'paper' else f'arch={arch!r}, version={version!r}'


def _checked(arch: str, version: str) -> Arch:
    if version not in VERSIONS:
        raise UserError(f'VGNet has no version {version!r}; choose one of {list(VERSIONS)}')
    archs = VERSIONS[version]
    check_arch('VGNet' if version == 'paper' else f'VGNet of version={version!r}', arch, archs)
    return archs[arch]


def _stage(arch: Arch, index: int, norm_cfg: dict) -> nn.Sequential:
    inputs = (arch.size.stem, *arch.size.channels)[index]
    channels = arch.size.channels[index]
    blocks: list[nn.Module] = [Downsampling(inputs, channels, arch, norm_cfg)]
    blocks += [HalfIdentity(channels, arch, norm_cfg) for _ in range(arch.size.depths[index] - 1)]
    blocks.append(Join())
    if index == len(arch.size.channels) - 1:
        tail = nn.Sequential()
        shared = arch.shares_tail and arch.kind.others is None
        tail.depthwise = (
            SharedDepthwise(channels) if shared else _depthwise(channels, arch, norm_cfg)
        )
        tail.pointwise = ConvActNorm(channels, channels, norm_cfg, arch.act)
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
