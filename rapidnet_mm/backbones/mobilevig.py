"""MobileViG: a mobile network with static graph attention. https://arxiv.org/abs/2307.00395"""

from __future__ import annotations

from typing import Any, NamedTuple

from mmengine.registry import MODELS
from torch import nn

from .base import Backbone, check_arch, check_common, check_rate
from .blocks import FeedForward, GraphMixer, InvertedResidual, Residual, downsample, stem
from .layers import DEFAULT_NORM


class Arch(NamedTuple):
    """One row of the paper's table of architectures."""

    local_depths: tuple[int, int, int]  # inverted residual blocks, at strides 4, 8, 16
    graph_depth: int  # graph blocks, at stride 32
    channels: tuple[int, int, int, int]  # width per stage
    head_channels: int  # width of the classifier's hidden layer


ARCHS = {
    'ti': Arch((2, 2, 6), 2, (42, 84, 168, 256), 512),
    's': Arch((3, 3, 9), 3, (42, 84, 176, 256), 512),
}


class GraphBlock(nn.Sequential):
    """Static graph convolution, then a feed-forward network, each with its own residual."""

    def __init__(self, channels: int, drop_path: float, norm_cfg: dict):
        super().__init__()
        self.mixer = Residual(GraphMixer(channels, norm_cfg), channels, drop_path, None)
        self.ffn = Residual(FeedForward(channels, norm_cfg), channels, drop_path, None)


@MODELS.register_module()
class MobileViG(Backbone):
    """MobileViG (CVPR workshops 2023): feature maps at strides 4, 8, 16 and 32.

    Example:
        >>> model = MobileViG('ti')
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
        [(1, 42, 16, 24), (1, 84, 8, 12), (1, 168, 4, 6), (1, 256, 2, 3)]

    Args:
        arch: 'ti' or 's'.
        drop_path_rate: stochastic depth of the last graph block. The rate grows linearly over all
            blocks, but only graph blocks use it: local blocks have none.
        layer_scale_init: initial value of the learned scale of every local block; graph blocks
            have no scale.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN' | 'GN', ...)``.
        **common: arguments of all families: ``out_indices``, ``frozen_stages``, ``norm_eval``,
            ``with_cp``, ``init_cfg``; see :class:`Backbone`.

    Raises:
        UserError: an unknown ``arch``, an argument out of its range, or one that does not exist.
    """

    variants = {f'arch={arch!r}': dict(arch=arch) for arch in ARCHS}

    def __init__(
        self,
        arch: str = 'ti',
        drop_path_rate: float = 0.1,
        layer_scale_init: float = 1e-5,
        norm_cfg: dict = DEFAULT_NORM,
        **common: Any,
    ):
        check_common(self, common)
        check_arch('MobileViG', arch, sorted(ARCHS))
        check_rate('MobileViG', 'drop_path_rate', drop_path_rate)
        table = ARCHS[arch]
        super().__init__(
            stem(table.channels[0], norm_cfg),
            _stages(table, drop_path_rate, layer_scale_init, norm_cfg),
            table.channels,
            **common,
        )
        self.arch = arch


def _stages(arch: Arch, rate: float, scale: float, norm_cfg: dict) -> list[nn.Sequential]:
    stages = [
        [InvertedResidual(channels, 0.0, scale, norm_cfg) for _ in range(depth)]
        for channels, depth in zip(arch.channels[:3], arch.local_depths, strict=True)
    ]
    first = sum(arch.local_depths)  # index of the first graph block among all blocks
    last = first + arch.graph_depth - 1
    graph = [
        GraphBlock(arch.channels[3], rate * i / last, norm_cfg) for i in range(first, last + 1)
    ]
    stages.append(graph)
    for index in range(1, 4):
        stages[index].insert(0, downsample(*arch.channels[index - 1 : index + 1], norm_cfg))
    return [nn.Sequential(*blocks) for blocks in stages]
