"""The networks of the search: a stem, inverted bottlenecks of given channels, a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...backbones.layers import DEFAULT_NORM, ConvNormAct
from ...backbones.rexnet import LinearBottleneck
from .space import EXPANSION, LAST, STEM, strides


class SearchedNet(nn.Sequential):
    """A small network of ReXNet's blocks, without squeeze-and-excitation.

    Args:
        channels: output channels of the blocks.
        classes: number of classes.

    Shape: ``(N, 3, H, W) -> (N, classes)``.
    """

    def __init__(self, channels: Sequence[int], classes: int):
        super().__init__()
        options = dict(bias=False, norm_cfg=DEFAULT_NORM, act=nn.SiLU)
        self.stem = ConvNormAct(3, STEM, 3, stride=2, **options)
        inputs = (STEM, *channels)
        self.blocks = nn.Sequential(
            *(
                LinearBottleneck(
                    in_channels=inputs[i],
                    out_channels=channels[i],
                    expansion=EXPANSION if i else 1,
                    stride=stride,
                    use_se=False,
                    drop_path=0.0,
                    act=nn.SiLU,
                    norm_cfg=DEFAULT_NORM,
                )
                for i, stride in enumerate(strides(len(channels)))
            )
        )
        self.last = ConvNormAct(inputs[-1], LAST, **options)
        self.classifier = nn.Linear(LAST, classes)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.last(self.blocks(self.stem(x)))
        return self.classifier(features.mean((2, 3)))


def build(channels: Sequence[int], classes: int, seed: int, device: str) -> SearchedNet:
    """Return a network with random weights; channels last, which trains faster on the CPU."""
    torch.manual_seed(seed)
    network = SearchedNet(channels, classes)
    return network.to(device, memory_format=torch.channels_last)
