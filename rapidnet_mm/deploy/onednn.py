"""Make convolutions faster on a CPU: always oneDNN, with weights that are packed once.

For small inputs (one image, up to 20,480 numbers) PyTorch does not use oneDNN but its own
convolution. That is several times slower, most of all with dilated kernels. For larger inputs it
uses oneDNN, but packs the weights again in every call. The operators here are those that
torch.compile's own backend calls. Where they cannot be used, PyTorch's convolution runs.
"""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn.bricks.wrappers import Conv2d
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual
from torch.utils.flop_counter import conv_flop_count, register_flop_formula

try:
    _convolve = torch.ops.mkldnn._convolution_pointwise
    _pack_weight = torch._C._nn.mkldnn_reorder_conv2d_weight
except AttributeError:  # a PyTorch without oneDNN
    _convolve = None


class PackedConv2d(nn.Conv2d):
    """A convolution for inference that is quicker for single images on a CPU.

    The first call packs the weights. Later calls pack them again if they have changed. Two kinds of
    change are not noticed, because PyTorch does not count them: in place through ``weight.data``,
    and of weights made in ``torch.inference_mode``. Plain float32 tensors without gradients use
    oneDNN. All else uses PyTorch's convolution: other types and devices, autocast, tracing,
    compilation, export. Names in the state dict are those of :class:`torch.nn.Conv2d`.

    Shape: as :class:`torch.nn.Conv2d`.
    """

    # The weight, its memory, its version, and the packed weight. A reference to the memory is kept,
    # so that no other tensor gets its address.
    _packed: tuple[Tensor, Tensor, int, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self._can_pack(x):
            return super().forward(x)
        settings = (self.padding, self.stride, self.dilation, self.groups)
        packed = self._packed_weight(list(x.shape), settings)
        return _convolve(x, packed, self.bias, *settings, 'none', [], '')

    def _packed_weight(self, shape: list[int], settings: tuple) -> Tensor:
        weight, cached = self.weight, self._packed  # read once: other threads may write them
        version = 0 if weight.is_inference() else weight._version
        if cached is not None:
            owner, memory, packed_version, packed = cached
            same = owner is weight and memory.data_ptr() == weight.data_ptr()
            if same and packed_version == version:
                return packed
        memory = weight.detach()
        packed = _pack_weight(memory.to_mkldnn(), *settings, shape)
        self._packed = weight, memory, version, packed
        return packed

    def _can_pack(self, x: Any) -> bool:
        return (
            type(x) is Tensor  # a compiler or an exporter passes something else
            and not torch.compiler.is_compiling()
            and x.device.type == self.weight.device.type == 'cpu'
            and x.dtype == self.weight.dtype == torch.float32
            and x.layout == torch.strided
            and x.dim() == 4
            and x.shape[1] == self.in_channels  # PyTorch's message says what is wrong
            and x.numel() > 0
            and not (torch.is_grad_enabled() and self._has_gradient(x))
            and unpack_dual(x).tangent is None
            and not torch.is_autocast_enabled('cpu')
            and not torch.jit.is_tracing()
            and torch.backends.mkldnn.is_available()
            and torch.backends.mkldnn.enabled
        )

    def _has_gradient(self, x: Tensor) -> bool:
        return any(t is not None and t.requires_grad for t in (x, self.weight, self.bias))

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._packed = None
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> PackedConv2d:
        self._packed = None
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != '_packed'}


def pack_convolutions(model: nn.Module) -> None:
    """Turn the plain 2-D convolutions of a model, in place, into :class:`PackedConv2d`."""
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
