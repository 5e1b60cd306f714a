"""MobileViG: a mobile network with static graph attention. https://arxiv.org/abs/2307.00395"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mmengine.registry import MODELS
from torch import nn

from .base import Backbone, check_arch, check_drop_path_rate
from .blocks import FeedForward, GraphMixer, InvertedResidual, Residual, downsample, stem
from .layers import DEFAULT_NORM


class Arch(NamedTuple):
    """One row of the paper's table of architectures."""

    local_depths: tuple[int, int, int]  # inverted residual blocks, at strides 4, 8, 16
    graph_depth: int  # graph blocks, at stride 32
    channels: tuple[int, int, int, int]
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
    """MobileViG (CVPR workshops 2023), four feature maps at strides 4, 8, 16 and 32.

    Args:
        arch: 'ti' or 's'.
        drop_path_rate: stochastic depth of the last graph block. It grows linearly over all blocks,
            and is that of the graph blocks only: the local ones have none.
        layer_scale_init: what the learned scale of every local block starts with; graph blocks
            have none.
        out_indices: see :class:`Backbone`, as all that follow.
        frozen_stages: stages without gradients and with fixed statistics.
        norm_cfg: normalisation layers, ``dict(type='BN' | 'SyncBN' | 'GN', ...)``.
        norm_eval: normalise with the running statistics while training.
        with_cp: recompute blocks in the backward pass.
        init_cfg: initialisation; the default is Kaiming normal.

    Raises:
        UserError: an unknown ``arch``, or an argument out of its range.
    """

    variants = {f'arch={arch!r}': dict(arch=arch) for arch in ARCHS}

    def __init__(
        self,
        arch: str = 'ti',
        drop_path_rate: float = 0.1,
        layer_scale_init: float = 1e-5,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = DEFAULT_NORM,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        check_arch('MobileViG', arch, sorted(ARCHS))
        check_drop_path_rate('MobileViG', drop_path_rate)
        table = ARCHS[arch]
        super().__init__(
            stem=stem(table.channels[0], norm_cfg),
            stages=_stages(table, drop_path_rate, layer_scale_init, norm_cfg),
            channels=table.channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.arch = arch


def _stages(arch: Arch, rate: float, scale: float, norm_cfg: dict) -> list[nn.Sequential]:
    stages = [
        [InvertedResidual(channels, 0.0, scale, norm_cfg) for _ in range(depth)]
        for channels, depth in zip(arch.channels[:3], arch.local_depths, strict=True)
    ]
    local = sum(arch.local_depths)
    last = local + arch.graph_depth - 1
    graph = [
        GraphBlock(arch.channels[3], rate * i / last, norm_cfg) for i in range(local, last + 1)
    ]
    stages.append(graph)
    for index in range(1, 4):
        stages[index].insert(0, downsample(*arch.channels[index - 1 : index + 1], norm_cfg))
    return [nn.Sequential(*blocks) for blocks in stages]
