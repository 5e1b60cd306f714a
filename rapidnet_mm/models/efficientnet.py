"""EfficientNet-B0 to -B2 as TensorFlow trained them. https://arxiv.org/abs/1905.11946"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from mmpretrain.models.backbones import EfficientNet
from torch import Tensor, nn

from ..backbones.base import (
    STRIDES,
    FeatureInfo,
    FeatureMaps,
    Freezing,
    PublishedWeights,
    check_arch,
    check_rate,
    check_stages,
)
from ..backbones.layers import is_training_on, recomputed

ARCHS = ('b0', 'b1', 'b2')
LAST_INDEX = 4
FIRST_LAYER = 2  # MMPretrain's layers 0 and 1 are the stem and the blocks at stride 2
TF_NORM = dict(type='BN', eps=1e-3)


@MODELS.register_module()
class TFEfficientNet(PublishedWeights, Freezing, FeatureMaps, EfficientNet):
    """MMPretrain's EfficientNet with the arguments and outputs of this package's backbones.

    As the published models it has "same" padding and a BatchNorm epsilon of 1e-3. It equals timm's
    ``tf_efficientnet_*`` and loads their files (Noisy Student and others). Do not load the files of
    timm's ``efficientnet_*``: they have the same names, but were trained with another padding.

    Example:
        >>> model = TFEfficientNet('b0')
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
        [(1, 24, 16, 24), (1, 40, 8, 12), (1, 112, 4, 6), (1, 320, 2, 3)]

    Args:
        arch: 'b0', 'b1' or 'b2'.
        drop_path_rate: stochastic depth of the last block; the rate grows linearly from 0.
        out_indices: 0..3 are strides 4, 8, 16, 32. 4 is the last 1x1 convolution; it is built only
            if it is in ``out_indices``.
        frozen_stages: as in :class:`Backbone`.
        norm_cfg: normalisation layers; the epsilon is 1e-3 unless it is given here.
        norm_eval: as in :class:`Backbone`.
        with_cp: as in :class:`Backbone`.
        init_cfg: as in :class:`Backbone`.

    Shape: ``(N, 3, H, W) ->`` a tuple of ``(N, C, ceil(H / stride), ceil(W / stride))``.

    Raises:
        UserError: an argument out of its range.
    """

    variants = {f'arch={arch!r}': dict(arch=arch) for arch in ARCHS}
    out_channels: tuple[int, ...] = ()  # no property: MMPretrain's constructor assigns to it

    def __init__(
        self,
        arch: str = 'b0',
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict = TF_NORM,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        check_arch('TFEfficientNet', arch, ARCHS)
        check_stages('TFEfficientNet', tuple(out_indices), LAST_INDEX, frozen_stages)
        check_rate('TFEfficientNet', 'drop_path_rate', drop_path_rate)
        super().__init__(
            arch=arch,
            drop_path_rate=drop_path_rate,
            out_indices=[index + FIRST_LAYER for index in out_indices],
            norm_cfg={**TF_NORM, **norm_cfg},
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        channels = [layer[-1].linear_conv.out_channels for layer in self.layers[FIRST_LAYER:6]]
        channels.append(
            self.out_channels
        )  # MMPretrain's attribute is the width of the last convolution
        if LAST_INDEX not in out_indices:
            del self.layers[-1]  # it would get no gradients
        self.feature_info = tuple(
            FeatureInfo(channels[i], STRIDES[i], f'layers.{i + FIRST_LAYER}') for i in out_indices
        )
        self.out_channels = tuple(info.channels for info in self.feature_info)
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp  # MMPretrain's own would update BatchNorm twice
        self.train()  # freezes now, before an optimizer or DistributedDataParallel looks

    def make_layer(self) -> None:
        """Build the blocks on the CPU: MMPretrain reads values, and the meta device has none."""
        with torch.device('cpu'):
            super().make_layer()
        self.to(torch.get_default_device())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return one map per entry of ``out_indices`` for images ``(N, 3, H, W)`` of any size."""
        recompute = self.with_cp and is_training_on(self)
        maps = []
        for index, layer in enumerate(self.layers[: self.out_indices[-1] + 1]):
            x = recomputed(layer, x) if recompute else layer(x)
            if index in self.out_indices:
                maps.append(x)
        return tuple(maps)

    def _frozen(self) -> list[nn.Module]:
        return [] if self.frozen_stages < 0 else [*self.layers[: self.frozen_stages + FIRST_LAYER]]
