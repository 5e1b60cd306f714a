"""RapidNet: a mobile CNN with multi-level dilated convolutions. https://arxiv.org/abs/2412.10995"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError
from .base import Backbone, check_arch, check_common, check_rate
from .blocks import FeedForward, GraphMixer, InvertedResidual, Residual, downsample, stem
from .layers import DEFAULT_NORM, ConvNormAct, DeformableConv


class Arch(NamedTuple):
    """One published size of the network, as in the authors' code."""

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
    """One of the convolutions whose outputs a dilated block adds up."""

    kernel_size: int = 3
    dilation: int = 1
    deformable: bool = False  # learns where to sample; starts as the plain kernel


# The mixers of dilated blocks (supplement, Tables 4 to 6). The first is the published model. The
# paper does not say which of the two dilations SLDC keeps.
MIXERS = {
    'mldc': (Branch(dilation=2), Branch(dilation=3)),
    'sldc': (Branch(dilation=2),),
    'conv3x3': (Branch(),),
    'pointwise': (Branch(kernel_size=1),),
    'svga': (),  # MobileViG's static graph instead of convolutions
}


class Mixing(NamedTuple):
    """How the dilated blocks are built: as published, or as an ablation."""

    branches: tuple[Branch, ...]  # empty for the static graph
    use_cpe: bool
    large_kernel_ffn: bool


class PositionalEncoding(nn.Module):
    """Conditional positional encoding, ``x + depthwise 7x7(x)``.

    In the inference form it is ``folded``: the kernel contains the identity, and ``x`` is not
    added.

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
    """MLDC: branches of different dilation on the same map, added up (Fig. 3f).

    The published branches are 3x3 convolutions with dilations 2 and 3.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int, branches: Sequence[Branch], use_cpe: bool, norm_cfg: dict):
        super().__init__()
        self.encoding = PositionalEncoding(channels) if use_cpe else nn.Identity()
        self.fc1 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)
        self.branches = nn.ModuleList(_branch(channels, branch, norm_cfg) for branch in branches)
        self.fc2 = ConvNormAct(channels, channels, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(self.encoding(x))
        first, *others = (branch(x) for branch in self.branches)
        return self.fc2(sum(others, first))  # sum() would start with 0: one more addition


class EncodedGraph(nn.Sequential):
    """MobileViG's mixer in the place of MLDC, after the positional encoding if there is one."""

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


@MODELS.register_module()
class RapidNet(Backbone):
    """RapidNet (WACV 2025): feature maps at strides 4, 8, 16 and 32.

    BatchNorm is trained by default, as in the published detectors and segmenters. Their code tries
    to freeze it, but looks for BatchNorm2d after the conversion to SyncBN and finds none. Here
    ``norm_eval=True`` and ``frozen_stages`` freeze it.

    Example:
        >>> model = RapidNet('ti')
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
        [(1, 32, 16, 24), (1, 64, 8, 12), (1, 112, 4, 6), (1, 224, 2, 3)]

    Args:
        arch: 'ti', 's', 'm' or 'b'.
        mixer: the mixer of the dilated blocks. Between two 1x1 convolutions: 'mldc' (two dilated
            branches, as published), 'sldc' (one), 'conv3x3' or 'pointwise' (1x1). Or 'svga', which
            is MobileViG's static graph. All but 'mldc' are ablations (supplement, Tables 4 to 6).
        branches: other branches for 'mldc' (two or more) or 'sldc' (one): dicts of ``kernel_size``
            (3), ``dilation`` (1) and ``deformable`` (False).
        use_cpe: conditional positional encoding before the mixer.
        large_kernel_ffn: a depthwise 7x7 at the beginning of the feed-forward network.
        drop_path_rate: nominal rate of stochastic depth. As published, the rate of a block grows
            with the number of *dilated* blocks before it. With the default of 0.1 all rates stay
            below 0.022.
        layer_scale_init: initial value of the learned scale of every residual branch. The published
            value nearly switches the branches off at first, which suits 300 epochs. A short
            training from scratch needs 0.1 to 1.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN' | 'GN', ...)``.
        **common: arguments of all families: ``out_indices``, ``frozen_stages``, ``norm_eval``,
            ``with_cp``, ``init_cfg``; see :class:`Backbone`.

    Raises:
        UserError: an unknown ``arch`` or ``mixer``, branches that do not fit it, an argument
            out of its range, or one that does not exist.
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
        norm_cfg: dict = DEFAULT_NORM,
        **common: Any,
    ):
        check_common(self, common)
        check_arch('RapidNet', arch, sorted(ARCHS))
        check_rate('RapidNet', 'drop_path_rate', drop_path_rate)
        mixing = checked_mixing(mixer, branches, use_cpe, large_kernel_ffn)
        table = ARCHS[arch]
        rates = published_drop_rates(table, drop_path_rate)
        super().__init__(
            stem(table.channels[0], norm_cfg),
            [_stage(table, i, mixing, rates[i], layer_scale_init, norm_cfg) for i in range(4)],
            table.channels,
            **common,
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


def _branch(channels: int, branch: Branch, norm_cfg: dict) -> ConvNormAct:
    kernel_size, dilation, deformable = branch
    layer = ConvNormAct(
        channels, channels, kernel_size, dilation=dilation, norm_cfg=norm_cfg, act=nn.GELU
    )
    if deformable:
        layer.conv = DeformableConv(channels, channels, kernel_size, dilation)
    return layer


def published_drop_rates(arch: Arch, nominal: float) -> list[list[float]]:
    """Return the rate of stochastic depth per stage and block, as the published code sets it.

    The rate should grow linearly over all blocks up to ``nominal``. But the published code counts
    dilated blocks only, so the last rate is ``nominal * (dilated - 1) / (all - 1)``.
    """
    count = sum(arch.local_depths) + sum(arch.dilated_depths)
    rates, index = [], 0
    for local, dilated in zip(arch.local_depths, arch.dilated_depths, strict=True):
        indices = [index] * local + list(range(index, index + dilated))
        rates.append([nominal * i / (count - 1) for i in indices])
        index += dilated
    return rates


def checked_mixing(
    mixer: str, branches: Sequence[dict] | None, use_cpe: bool, large_kernel_ffn: bool
) -> Mixing:
    """Return how to build the dilated blocks, after a check of the arguments.

    Raises:
        UserError: an argument is out of its range, or the branches do not fit the mixer.
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
        example = '(dict(kernel_size=3, dilation=2), dict(kernel_size=3, dilation=3))'
        raise UserError(f'RapidNet: branches={branches!r} must be such as {example}')
    count = len(branches)
    if mixer == 'sldc' and count != 1:
        raise UserError(f"RapidNet: mixer='sldc' has one branch, not {count}")
    if mixer == 'mldc' and count < 2:
        raise UserError(f"RapidNet: mixer='mldc' has two branches or more, not {count}")
    return Mixing(tuple(map(_checked_branch, branches)), use_cpe, large_kernel_ffn)


def _checked_branch(settings: Mapping) -> Branch:
    if not isinstance(settings, Mapping) or not settings.keys() <= set(Branch._fields):
        fields = ', '.join(Branch._fields)
        raise UserError(f'RapidNet: a branch is a dict of {fields}, not {settings!r}')
    branch = Branch(**settings)
    kernel_size, dilation, deformable = branch
    if any(type(n) is not int or n < 1 for n in (kernel_size, dilation)) or kernel_size % 2 == 0:
        raise UserError(
            f'RapidNet: kernel_size={kernel_size!r}, dilation={dilation!r} of a branch must be an '
            'odd number and a number of at least 1'
        )
    _check_bool('deformable', deformable)
    return branch


def _check_bool(name: str, value: object) -> None:
    if type(value) is not bool:
        raise UserError(f'RapidNet: {name}={value!r} must be True or False')
