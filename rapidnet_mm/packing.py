"""Convolutions of the inference form on a CPU: always oneDNN's, with weights laid out once.

Left alone, PyTorch gives small maps of one image (up to 20,480 numbers) to its own convolution,
which is several times slower, most of all with dilated kernels; and oneDNN lays out the weights
anew in every call. The operators here are those that torch.compile's own backend calls; where they
cannot be used, the convolution is PyTorch's.
"""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn.bricks.wrappers import Conv2d
from torch import Tensor, nn
from torch.utils.flop_counter import conv_flop_count, register_flop_formula

try:
    _convolve = torch.ops.mkldnn._convolution_pointwise
    _lay_out = torch._C._nn.mkldnn_reorder_conv2d_weight
except AttributeError:  # a PyTorch without oneDNN
    _convolve = None


class PackedConv2d(nn.Conv2d):
    """A convolution for inference, quicker for single images on a CPU, with the same names.

    Weights are laid out in the first call, and again after a change of them. Anything but plain
    float32 tensors without gradients takes PyTorch's way: other types and devices, autocast,
    tracing, compilation, export.

    Shape: as :class:`torch.nn.Conv2d`.
    """

    _packed: tuple[Tensor, int, Tensor] | None = None  # weight, its version, the same laid out

    def forward(self, x: Tensor) -> Tensor:
        if not self._can_pack(x):
            return super().forward(x)
        weight = self.weight
        version = 0 if weight.is_inference() else weight._version
        if self._packed is None or self._packed[0] is not weight or self._packed[1] != version:
            settings = (self.padding, self.stride, self.dilation, self.groups)
            packed = _lay_out(weight.detach().to_mkldnn(), *settings, list(x.shape))
            self._packed = weight, version, packed
        packed = self._packed[2]
        settings = (self.padding, self.stride, self.dilation, self.groups)
        return _convolve(x, packed, self.bias, *settings, 'none', [], '')

    def _can_pack(self, x: Any) -> bool:
        return (
            type(x) is Tensor  # not what a compiler or an exporter puts in its place
            and x.device.type == self.weight.device.type == 'cpu'
            and x.dtype == self.weight.dtype == torch.float32
            and x.dim() == 4
            and x.numel() > 0
            and not (torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad))
            and not torch.is_autocast_enabled('cpu')
            and not torch.jit.is_tracing()
            and not torch.compiler.is_compiling()
            and torch.backends.mkldnn.is_available()
            and torch.backends.mkldnn.enabled
        )

    def _apply(self, *args: Any, **kwargs: Any) -> PackedConv2d:
        self._packed = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != '_packed'}


def pack_convolutions(model: nn.Module) -> None:
    """Have the plain 2-D convolutions of a model, in place, be :class:`PackedConv2d`."""
    if _convolve is None:
        return
    for module in model.modules():
        plain = type(module) in (nn.Conv2d, Conv2d) and module.padding_mode == 'zeros'
        if plain and not isinstance(module.padding, str):
            module.__class__ = PackedConv2d  # keeps its hooks


if _convolve is not None:

    @register_flop_formula(_convolve)
    def _flops(x_shape: Any, weight_shape: Any, *args: Any, out_shape: Any = None, **_: Any) -> int:  # noqa: ARG001
        return conv_flop_count(x_shape, weight_shape, out_shape)
