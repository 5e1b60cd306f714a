"""The layers of VGNet: fixed and shared depthwise kernels, attention, 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..weights.contract import FixedTensors, is_fixed_value
from .layers import build_norm, by_eight

Kernel = tuple[tuple[float, float, float], ...]  # the rows of a 3x3 kernel
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
    """Channel attention: pool, 1x1, activation, 1x1, sigmoid.

    Shape: ``(N, C, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, channels: int, act: type[nn.Module]):
        super().__init__()
        hidden = by_eight(int(SE_RATIO * channels))
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.act = act()
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * self.expand(y).sigmoid()


class ConvActNorm(nn.Sequential):
    """Convolution without bias, activation, and normalisation *after* the activation.

    Shape: ``(N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: dict,
        act: type[nn.Module],
        kernel_size: int = 1,
        stride: int = 1,
        use_se: bool = False,
    ):
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.act = act()
        self.norm = build_norm(norm_cfg, out_channels)
        if use_se:
            self.se = SqueezeExcite(out_channels, act)


class Join(nn.Module):
    """Join two halves to one map.

    Shape: a pair of ``(N, C / 2, H, W) -> (N, C, H, W)``.
    """

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return torch.cat(pair, 1)


def _plain(kernels: Tensor, stride: int) -> nn.Conv2d:
    channels = len(kernels)
    with torch.device('meta'):
        conv = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    conv.weight = nn.Parameter(kernels.detach().clone())
    return conv
