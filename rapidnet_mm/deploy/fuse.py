"""Turn the training form of a model into its inference form: fewer layers, the same outputs.

In evaluation mode a BatchNorm is ``a * y + b`` per channel, with ``a = weight / sqrt(var + eps)``
and ``b = bias - a * mean``. A layer scale is the same with ``b = 0``. After a convolution
``W * x + c`` both become the convolution ``(a W) * x + (a c + b)``. This holds for groups and
depthwise too, because ``a`` belongs to output channels. The identity in ``x + depthwise(x)`` is a
one in the middle of every kernel.

After a ReLU, ``a * max(y, 0) + b`` is ``a * y + b`` with the bound ``b``: a lower bound where ``a``
is positive, an upper one where it is negative. The convolution before computes ``a * y + b``.

:mod:`.fuse_graph` finds the layers, :mod:`.fuse_layers` computes the new ones.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from mmengine.logging import print_log
from torch import nn

from ..backbones.blocks import Residual
from ..backbones.rapidnet import PositionalEncoding
from ..backbones.vgnet_layers import FixedDepthwise, SharedDepthwise
from ..errors import UserError
from .fuse_graph import LINEAR, batch_norms, has_hooks, last_layer, layer_before, pointwise_after
from .fuse_layers import Bounded, Folded, affine, is_affine, preceded, rescaled
from .onednn import pack_convolutions

SHOWN = 3  # names of unfolded modules that are printed; the others are only counted


@dataclass
class Fusion:
    """What was folded, and what was not and why."""

    folded: Counter = field(default_factory=Counter)  # how many of each kind
    left: dict[str, str] = field(default_factory=dict)  # name of the module -> reason

    def __str__(self) -> str:
        counts = [f'{n} {kind}{"s" if n > 1 else ""}' for kind, n in self.folded.items()]
        names = [f'{name} ({reason})' for name, reason in self.left.items()]
        if len(names) > SHOWN:
            names[SHOWN:] = [f'and {len(names) - SHOWN} more']
        return f'folded: {", ".join(counts) or "nothing"}; left: {", ".join(names) or "nothing"}'


def to_inference(model: nn.Module, inplace: bool = False) -> nn.Module:
    """Return the inference form of a backbone, or of a whole detector, segmenter or classifier.

    - A BatchNorm, also a synchronised one, goes into the convolution or linear layer before it.
      After an activation it goes into the pointwise layer that reads it; after a ReLU it may also
      go into the layer before the ReLU.
    - A layer scale goes into the last layer of its branch.
    - The identity of a positional encoding goes into its kernel.
    - Fixed and shared kernels become kernels of plain convolutions.
    - On a CPU the convolutions become quicker (:mod:`rapidnet_mm.deploy.onednn`).

    Modules that cannot be folded without changing outputs stay: other normalisation, and modules
    with forward hooks.

    The result is for inference only: its parameters need no gradients, its ``state_dict()`` has
    other names, and its ``train()`` raises. One line in the log says what was folded; the
    attribute ``fusion`` (:class:`Fusion`) has it too.

    Args:
        model: a model in evaluation mode.
        inplace: change and return the model itself instead of a copy.

    Raises:
        UserError: the model, or a module in it, is in training mode.
    """
    for name, module in model.named_modules():
        if module.training:
            raise UserError(
                f'{name or type(model).__name__} is in training mode, where BatchNorm does not '
                'use the statistics that would be folded; call eval() of the model first'
            )
    model = model if inplace else copy.deepcopy(model)
    fusion = Fusion()
    with torch.no_grad():
        for kind, rule in RULES:
            for name, reason in rule(model):
                if reason:
                    fusion.left[name] = reason
                else:
                    fusion.folded[kind] += 1
                    fusion.left.pop(name, None)
    pack_convolutions(model)
    model.requires_grad_(False)
    model.fusion = fusion
    print_log(f'inference form of {type(model).__name__}: {fusion}', 'current')
    return model


def fold_norms(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Fold every BatchNorm into the layer before it, if nothing else reads that layer."""
    for name, owner, path, graph in batch_norms(model):
        norm = owner.get_submodule(path)
        if not is_affine(norm):
            yield name, 'has no running statistics, or uses them in a way of its own'
        elif graph is None:
            yield name, f'{type(owner).__name__} cannot be traced'
        elif (target := layer_before(owner, graph, path)) is None:
            yield name, 'is not alone behind a convolution'
        elif has_hooks(norm) or has_hooks(owner.get_submodule(target)):
            yield name, 'a forward hook looks at it'
        else:
            factor, shift = affine(norm)
            owner.set_submodule(target, rescaled(owner.get_submodule(target), factor, shift))
            owner.set_submodule(path, Folded().eval())
            yield name, ''


def fold_norms_ahead(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Fold BatchNorms after an activation into the pointwise layer that alone reads them.

    A larger kernel cannot contain them: it would have to pad with the shift instead of zero.
    """
    for name, owner, path, graph in batch_norms(model):
        norm = owner.get_submodule(path)
        if not is_affine(norm) or graph is None:
            continue  # fold_norms has given the reason
        target = pointwise_after(owner, graph, path)
        if target and not has_hooks(norm) and not has_hooks(owner.get_submodule(target)):
            factor, shift = affine(norm)
            owner.set_submodule(target, preceded(owner.get_submodule(target), factor, shift))
            owner.set_submodule(path, Folded().eval())
            yield name, ''


def fold_norms_behind_relu(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Fold BatchNorms after a ReLU into the layer before it; a bound per channel replaces it."""
    for name, owner, path, graph in batch_norms(model):
        norm = owner.get_submodule(path)
        if not is_affine(norm) or graph is None:
            continue  # fold_norms has given the reason
        relu = layer_before(owner, graph, path, (nn.ReLU,))
        target = relu and layer_before(owner, graph, relu)
        if target and not any(has_hooks(owner.get_submodule(m)) for m in (path, relu, target)):
            factor, shift = affine(norm)
            layer = rescaled(owner.get_submodule(target), factor, shift)
            shape = (-1, *(1 for _ in layer.weight.shape[2:]))
            bounded = Bounded(*(v.reshape(shape).to(layer.weight) for v in (factor, shift)))
            owner.set_submodule(target, layer)
            owner.set_submodule(relu, bounded.eval())
            owner.set_submodule(path, Folded().eval())
            yield name, ''


def fold_kernels(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Turn layers with kernels that are fixed, or shared by channels, into plain convolutions."""
    kinds = (FixedDepthwise, SharedDepthwise)
    layers = {name: layer for name, layer in model.named_modules() if type(layer) in kinds}
    for name, layer in layers.items():
        if not name:
            yield name, 'is the whole model'
        elif has_hooks(layer):
            yield name, 'a forward hook looks at it'
        else:
            model.set_submodule(name, layer.plain().eval())
            yield name, ''


def fold_scales(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Fold the layer scale of every residual branch into the last layer of the branch."""
    for name, block in model.named_modules():
        if not isinstance(block, Residual) or block.scale is None:
            continue
        target = last_layer(block.branch)
        if target is None:
            yield f'{name}.scale', 'the branch does not end with a convolution'
            continue
        owner, path = target
        factor = block.scale.double().flatten()
        owner.set_submodule(path, rescaled(owner.get_submodule(path), factor))
        block.scale = None
        yield f'{name}.scale', ''


def fold_encodings(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Fold the identity of every positional encoding into the middle of its kernel."""
    for name, block in model.named_modules():
        if not isinstance(block, PositionalEncoding) or block.folded:
            continue
        if has_hooks(block.conv) or type(block.conv) not in LINEAR:
            yield name, 'a forward hook looks at its convolution'
            continue
        conv = copy.deepcopy(block.conv)
        height, width = conv.kernel_size
        conv.weight[:, 0, height // 2, width // 2] += 1
        block.conv = conv
        block.folded = True
        yield name, ''


# A rule changes a model in place. For every module that it could fold it yields the name and a
# text: '' if it folded the module, else the reason. The order matters: a rule may build on the
# results of earlier rules. A family with blocks of its own adds its rule.
RULES: tuple[tuple[str, Callable[[nn.Module], Iterator[tuple[str, str]]]], ...] = (
    ('fixed or shared kernel', fold_kernels),
    ('BatchNorm', fold_norms),
    ('BatchNorm', fold_norms_ahead),
    ('BatchNorm', fold_norms_behind_relu),
    ('layer scale', fold_scales),
    ('positional encoding', fold_encodings),
)
