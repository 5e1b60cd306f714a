"""The receptive field of every stage of a backbone: the theoretical and the effective one.

The *theoretical* field of a position is the set of pixels that can change its value. It is computed
exactly: in a copy of the backbone all weights become positive and all layers linear, so that no two
paths cancel out. Then the gradient is nonzero exactly at the pixels that have an influence.

The *effective* field (arXiv 1701.04128) is the set of pixels with a large influence. It is measured
by the gradient of the position in the centre, averaged over images. It is much smaller than the
theoretical field. Dilated convolutions make it larger (RapidNet, Fig. 2).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..backbones.blocks import GRAPH_STEP, MaxRelativeConv
from ..backbones.layers import DeformableConv
from ..errors import UserError

SHARE = 0.95  # share of the gradient inside the effective field
FIRST_LENGTH, LAST_LENGTH = (
    1024,
    8192,
)  # length of the image in pixels; the other side has BREADTH pixels
BREADTH = 32
# Layers that scale the channels by factors, which they compute from the whole image.
GATES = ('SqueezeExcite', 'SqueezeExcitation', 'SELayer', 'SEModule', 'EffectiveSEModule')


class Field(NamedTuple):
    """The receptive field of a stage.

    Attributes:
        stride: pixels of the image per position of the map.
        theoretical: height and width in pixels; None means the whole image.
        gated: whether a layer before it scales channels by factors from the whole image. The
            theoretical field ignores this.
    """

    stride: int
    theoretical: tuple[int | None, int | None]
    gated: bool

    @property
    def text(self) -> str:
        """The theoretical field in words."""
        sides = ['whole image' if side is None else str(side) for side in self.theoretical]
        return sides[0] if sides[0] == sides[1] == 'whole image' else ' x '.join(sides)


def theoretical_fields(backbone: nn.Module) -> list[Field]:
    """Return the theoretical receptive field of every output of a backbone.

    Deformable convolutions are treated as plain ones, which they are at the start of a training.
    Squeeze-and-excitation is ignored, but ``gated`` says that it is there.

    Raises:
        UserError: the backbone has layers that this module does not support.
    """
    gates = _gated_outputs(backbone)
    linear = linear_copy(backbone)
    rows, columns = _extents(linear, 0), _extents(linear, 1)
    strides = backbone.out_strides if hasattr(backbone, 'out_strides') else _strides(linear)
    return [
        Field(stride, sides, gated)
        for stride, sides, gated in zip(
            strides, zip(rows, columns, strict=True), gates, strict=True
        )
    ]


def linear_copy(backbone: nn.Module) -> nn.Module:
    """Return a copy in float64 with positive weights and linear layers.

    Raises:
        UserError: a layer has no linear form.
    """
    model = copy.deepcopy(backbone).double()
    model.eval()  # some backbones of MMDetection do not return themselves
    model.with_cp = False
    for parent in [*model.modules()]:
        for name, child in [*parent.named_children()]:
            replacement = _linear(child)
            if replacement is not None:
                setattr(parent, name, replacement.double())
    with torch.no_grad():
        for module in model.modules():
            _make_positive(module)
        for module in model.modules():
            if isinstance(module, DeformableConv):
                module.start_at_zero()
    return model.requires_grad_(False)


class _LinkedMean(nn.Module):
    """Replaces a static graph convolution: the mean over the same positions, not the maximum."""

    def __init__(self, graph: MaxRelativeConv):
        super().__init__()
        self.mix = graph.mix

    def forward(self, x: Tensor) -> Tensor:
        means = x
        for dim in (2, 3):
            shifts = range(0, x.shape[dim], GRAPH_STEP)
            means = means + sum(x.roll(shift, dim) for shift in shifts) / len(shifts)
        return self.mix(torch.cat([x, means], 1))


def _linear(module: nn.Module) -> nn.Module | None:
    """Return the linear replacement of a layer; None if the layer stays as it is."""
    kind = type(module)
    if isinstance(module, nn.MultiheadAttention):
        raise UserError('receptive-field: an attention layer looks at the whole image')
    is_norm = isinstance(module, _BatchNorm | nn.GroupNorm | nn.LayerNorm)
    is_activation = kind.__module__ == nn.ReLU.__module__ or kind.__name__ in ('Swish', 'HSwish')
    if is_norm or is_activation or kind.__name__ in GATES:
        return nn.Identity()
    if isinstance(module, MaxRelativeConv):
        return _LinkedMean(module)
    if isinstance(module, nn.MaxPool2d):
        return nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
    return None


def _make_positive(module: nn.Module) -> None:
    """Set all weights of a layer to the same value. Each filter sums to 1, to avoid overflow."""
    if isinstance(module, nn.Conv2d | nn.Linear | DeformableConv):
        module.weight.fill_(1 / module.weight[0].numel())
        if module.bias is not None:
            module.bias.zero_()
    else:  # layer scales
        for parameter in module.parameters(recurse=False):
            parameter.fill_(1.0)
    for buffer in module.buffers(recurse=False):
        if buffer.is_floating_point():
            buffer.copy_(buffer.abs())


def _extents(linear: nn.Module, axis: int) -> list[int | None]:
    """Return how many pixels along an axis (0 down, 1 right) can change each output."""
    length = FIRST_LENGTH
    while True:
        shape = (length, BREADTH) if axis == 0 else (BREADTH, length)
        image = torch.ones(1, 3, *shape, dtype=torch.float64, requires_grad=True)
        extents = []
        for gradient in _centre_gradients(linear, image):
            seen = gradient[0].sum((0, 2 - axis)).nonzero().flatten()
            first, last = int(seen[0]), int(seen[-1])
            inside = first > 0 and last < length - 1
            extents.append(last - first + 1 if inside else None)
        if None not in extents or length == LAST_LENGTH:
            return extents
        length *= 2


def _centre_gradients(model: nn.Module, image: Tensor) -> Iterable[Tensor]:
    """Yield, for every output, the gradient of its centre with respect to the image."""
    maps = model(image)
    for index, output in enumerate(maps):
        centre = output[:, :, output.shape[2] // 2, output.shape[3] // 2].sum()
        (gradient,) = torch.autograd.grad(centre, image, retain_graph=index + 1 < len(maps))
        yield gradient


def _gated_outputs(backbone: nn.Module) -> list[bool]:
    """Return, for every output, whether a gate ran before this output was computed."""
    ran: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda gate, *_: ran.append(gate))
        for module in backbone.modules()
        if type(module).__name__ in GATES
    ]
    infos = getattr(backbone, 'feature_info', ())
    counts: dict[str, int] = {}
    modules = dict(backbone.named_modules())
    for info in infos:
        name = info.module
        hooks.append(
            modules[name].register_forward_hook(
                lambda *_, name=name: counts.__setitem__(name, len(ran))
            )
        )
    was_training = backbone.training
    backbone.eval()
    with torch.no_grad():
        outputs = backbone(torch.zeros(1, 3, 64, 64))
    backbone.train(was_training)
    for hook in hooks:
        hook.remove()
    if infos:
        return [counts.get(info.module, len(ran)) > 0 for info in infos]
    return [bool(ran)] * len(outputs)


def _strides(linear: nn.Module) -> list[int]:
    with torch.no_grad():
        maps = linear(torch.ones(1, 3, 256, 256, dtype=torch.float64))
    return [256 // output.shape[-1] for output in maps]


def effective_fields(backbone: nn.Module, images: Sequence[Tensor]) -> list[np.ndarray]:
    """Return, for every output, the gradient of its centre, averaged over images.

    Args:
        backbone: in evaluation mode.
        images: each ``(3, H, W)`` and normalised, all of one size.

    Returns:
        One ``(H, W)`` array per output: the mean absolute gradient, summed over channels.
    """
    sums: list[Any] = []
    for image in images:
        leaf = image[None].clone().requires_grad_(True)
        sizes = [gradient[0].abs().sum(0) for gradient in _centre_gradients(backbone, leaf)]
        sums = [old + new for old, new in zip(sums, sizes, strict=True)] if sums else sizes
    return [(total / len(images)).numpy() for total in sums]


def effective_side(gradient: np.ndarray, share: float = SHARE) -> int:
    """Return the side in pixels of the smallest square that holds a share of the gradient.

    The centre of the square is the centre of mass of the gradient. The square is cut off at the
    border of the image.
    """
    total = gradient.sum()
    if not total > 0:
        return 0
    rows, columns = (gradient.sum(axis) / total for axis in (1, 0))
    y, x = (round(float((part * np.arange(len(part))).sum())) for part in (rows, columns))
    for radius in range(max(gradient.shape)):
        top, left = max(0, y - radius), max(0, x - radius)
        if gradient[top : y + radius + 1, left : x + radius + 1].sum() >= share * total:
            return 2 * radius + 1
    return max(gradient.shape)


def switch_blocks_on(backbone: nn.Module) -> bool:
    """Set every layer scale to 1, and return whether there are any.

    At the start of a training, layer scales are near 0, so the blocks have almost no effect.
    """
    scales = [p for name, p in backbone.named_parameters() if name.rpartition('.')[2] == 'scale']
    with torch.no_grad():
        for scale in scales:
            scale.fill_(1.0)
    return bool(scales)
