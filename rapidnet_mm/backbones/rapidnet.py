"""RapidNet: a mobile CNN with multi-level dilated convolutions. https://arxiv.org/abs/2412.10995"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError
from .base import Backbone, check_arch, check_drop_path_rate
from .blocks import FeedForward, GraphMixer, InvertedResidual, Residual, downsample, stem
from .layers import DEFAULT_NORM, ConvNormAct, DeformableConv


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
LARGE_KERNEL = 7


class Branch(NamedTuple):
    """One view of the map in a dilated block's mixer."""

    kernel_size: int = 3
    dilation: int = 1
    deformable: bool = False  # samples where it learns to, starting from its dilated kernel


# What a dilated block mixes with (supplement, Tables 4 to 6); the first is the published model. Of
# SLDC the paper does not say which of the two dilations is left.
MIXERS = {
    'mldc': (Branch(dilation=2), Branch(dilation=3)),
    'sldc': (Branch(dilation=2),),
    'conv3x3': (Branch(),),
    'pointwise': (Branch(kernel_size=1),),
    'svga': (),  # MobileViG's static graph instead of convolutions
}
MLDC_EXAMPLE = '(dict(kernel_size=3, dilation=2), dict(kernel_size=3, dilation=3))'


class Mixing(NamedTuple):
    """How dilated blocks are made: the published ones, or an ablation."""

    branches: tuple[Branch, ...]  # none: static graph
    use_cpe: bool
    large_kernel_ffn: bool


def checked_mixing(
    mixer: str, branches: Sequence[dict] | None, use_cpe: bool, large_kernel_ffn: bool
) -> Mixing:
    """The arguments of an ablation, if they go together.

    Raises:
        UserError: they do not.
    """
    if mixer not in MIXERS:
        raise UserError(f'RapidNet has no mixer {mixer!r}; choose one of {", ".join(MIXERS)}')
    _check_bool('use_cpe', use_cpe)
    _check_bool('large_kernel_ffn', large_kernel_ffn)
    if branches is None:
        return Mixing(MIXERS[mixer], use_cpe, large_kernel_ffn)
    if mixer not in ('mldc', 'sldc'):
        raise UserError(f"RapidNet: mixer='{mixer}' takes no branches; 'mldc' and 'sldc' do")
    if not isinstance(branches, list | tuple):
        raise UserError(f'RapidNet: branches={branches!r} must be such as {MLDC_EXAMPLE}')
    if len(branches) < 2 if mixer == 'mldc' else len(branches) != 1:
        wanted = 'two branches or more' if mixer == 'mldc' else 'one branch'
        raise UserError(f"RapidNet: mixer='{mixer}' has {wanted}, not {len(branches)}")
    return Mixing(tuple(map(_checked_branch, branches)), use_cpe, large_kernel_ffn)


def _checked_branch(given: Mapping) -> Branch:
    if not isinstance(given, Mapping) or not given.keys() <= set(Branch._fields):
        fields = ', '.join(Branch._fields)
        raise UserError(f'RapidNet: a branch is a dict of {fields}, not {given!r}')
    branch = Branch(**given)
    sizes = branch.kernel_size, branch.dilation
    if any(type(size) is not int or size < 1 for size in sizes) or sizes[0] % 2 == 0:
        raise UserError(
            f'RapidNet: kernel_size={sizes[0]!r}, dilation={sizes[1]!r} of a branch must be an odd '
            'number and a number of at least 1'
        )
    _check_bool('deformable', branch.deformable)
    return branch


def _check_bool(name: str, value: object) -> None:
    if type(value) is not bool:
        raise UserError(f'RapidNet: {name}={value!r} must be True or False')


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
    """MLDC: the sum of views of one map, as published 3x3 at dilations 2 and 3 (Fig. 3f).

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int, branches: Sequence[Branch], use_cpe: bool, norm_cfg: dict):
        super().__init__()
        self.encoding = PositionalEncoding(channels) if use_cpe else nn.Identity()
        self.fc1 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)
        self.branches = nn.ModuleList(_view(channels, branch, norm_cfg) for branch in branches)
        self.fc2 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(self.encoding(x))
        first, *others = (branch(x) for branch in self.branches)
        return self.fc2(sum(others, first))  # not from 0, which is one addition more


def _view(channels: int, branch: Branch, norm_cfg: dict) -> ConvNormAct:
    kernel_size, dilation, deformable = branch
    view = ConvNormAct(
        channels, channels, kernel_size, dilation=dilation, norm_cfg=norm_cfg, act=nn.GELU
    )
    if deformable:
        view.conv = DeformableConv(channels, channels, kernel_size, dilation)
    return view


class EncodedGraph(nn.Sequential):
    """MobileViG's mixer in the place of MLDC, behind the positional encoding if there is one."""

    def __init__(self, channels: int, use_cpe: bool, norm_cfg: dict):
        super().__init__()
        self.encoding = PositionalEncoding(channels) if use_cpe else nn.Identity()
        self.graph = GraphMixer(channels, norm_cfg)


class DilatedBlock(nn.Sequential):
    """MLDC, then the large-kernel feed-forward network, each with its own residual."""

    def __init__(
        self, channels: int, mixing: Mixing, drop_path: float, scale: float, norm_cfg: dict
    ):
        super().__init__()
        branches, use_cpe, large_kernel_ffn = mixing
        if branches:
            mixer = MultiLevelDilatedConv(channels, branches, use_cpe, norm_cfg)
        else:
            mixer = EncodedGraph(channels, use_cpe, norm_cfg)
        ffn = FeedForward(channels, norm_cfg, LARGE_KERNEL if large_kernel_ffn else None)
        self.mixer = Residual(mixer, channels, drop_path, scale)
        self.ffn = Residual(ffn, channels, drop_path, scale)


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
        mixer: what the dilated blocks mix with: 'mldc' (two dilated branches, as published),
            'sldc' (one), 'conv3x3', 'pointwise' (1x1), all between two 1x1 convolutions, or 'svga',
            MobileViG's static graph. The others are ablations of the supplement (Tables 4 to 6).
        branches: other branches of 'mldc' (two or more) or 'sldc' (one): dicts of ``kernel_size``
            (3), ``dilation`` (1) and ``deformable`` (False).
        use_cpe: conditional positional encoding before the mixer.
        large_kernel_ffn: a depthwise 7x7 at the beginning of the feed-forward network.
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
        UserError: an unknown ``arch`` or ``mixer``, branches that it does not have, or an argument
            out of its range.
    """

    variants = {f'arch={arch!r}': dict(arch=arch) for arch in ARCHS}

    def __init__(
        self,
        arch: str = 'm',
        mixer: str = 'mldc',
        branches: Sequence[dict] | None = None,
        use_cpe: bool = True,
        large_kernel_ffn: bool = True,
        drop_path_rate: float = 0.1,
        layer_scale_init: float = 1e-5,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = DEFAULT_NORM,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        check_arch('RapidNet', arch, sorted(ARCHS))
        check_drop_path_rate('RapidNet', drop_path_rate)
        table = ARCHS[arch]
        mixing = checked_mixing(mixer, branches, use_cpe, large_kernel_ffn)
        rates = published_drop_rates(table, drop_path_rate)
        super().__init__(
            stem=stem(table.channels[0], norm_cfg),
            stages=[
                _stage(table, i, mixing, rates[i], layer_scale_init, norm_cfg) for i in range(4)
            ],
            channels=table.channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.arch = arch


def _stage(
    arch: Arch,
    index: int,
    mixing: Mixing,
    rates: Sequence[float],
    scale: float,
    norm_cfg: dict,
) -> nn.Sequential:
    channels = arch.channels[index]
    blocks: list[nn.Module] = []
    if index > 0:
        blocks.append(downsample(arch.channels[index - 1], channels, norm_cfg))
    for block, rate in enumerate(rates):
        if block < arch.local_depths[index]:
            blocks.append(InvertedResidual(channels, rate, scale, norm_cfg))
        else:
            blocks.append(DilatedBlock(channels, mixing, rate, scale, norm_cfg))
    return nn.Sequential(*blocks)
