"""Training form -> inference form: fewer layers, the same outputs.

In evaluation mode a BatchNorm is ``a * y + b`` per channel, with ``a = weight / sqrt(var + eps)``
and ``b = bias - a * mean``, and so is a layer scale, with ``b = 0``. After a convolution
``W * x + c`` both are the convolution ``(a W) * x + (a c + b)``, in groups and depthwise too,
because ``a`` is of output channels. The identity of ``x + depthwise(x)`` is a one in the middle of
every kernel.

After a ReLU, ``a * max(y, 0) + b`` is ``a * y + b``, which the convolution before it can compute,
bounded by ``b``: from below where ``a`` is positive, from above where it is negative.
"""

from __future__ import annotations

import copy
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmcv.cnn.bricks.wrappers import Conv2d
from mmengine.logging import print_log
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..backbones.blocks import Residual
from ..backbones.layers import DeformableConv, DropPath
from ..backbones.rapidnet import PositionalEncoding
from ..backbones.vgnet import FixedDepthwise, SharedDepthwise
from ..errors import UserError
from .onednn import PackedConv2d, pack_convolutions

# Whose output is linear in weight and bias. Subclasses may be anything, so they have to be named.
LINEAR = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear),
    *(Conv2d, Conv2dAdaptivePadding, DeformableConv, PackedConv2d),
)
# What a BatchNorm computes, however its class is called.
NORM_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)
SHOWN = 3  # names of what is left, before they are only counted


class Folded(nn.Identity):
    """Stands where a BatchNorm was whose work the layer before it does now.

    Without its statistics a network would train as another one, so it refuses to.
    """

    def train(self, mode: bool = True) -> Folded:
        """Stay in evaluation mode.

        Raises:
            UserError: ``mode`` is True.
        """
        if mode:
            raise UserError(
                'a model in inference form cannot be trained: its BatchNorms are part of its '
                'convolutions; train the model that it was made of'
            )
        return super().train(mode)


class Bounded(nn.Module):
    """ReLU and the BatchNorm after it, where the convolution before has the factor and the shift.

    ``upper`` is None unless a factor is negative: one comparison costs what a ReLU does.

    Shape: ``(N, C, ...) -> (N, C, ...)``.
    """

    def __init__(self, factor: Tensor, shift: Tensor):
        super().__init__()
        falling = factor < 0
        self.register_buffer('lower', torch.where(falling, -torch.inf, shift))
        upper = torch.where(falling, shift, torch.inf) if falling.any() else None
        self.register_buffer('upper', upper)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.maximum(x, self.lower)
        return x if self.upper is None else torch.minimum(x, self.upper)


@dataclass
class Fusion:
    """What was folded, and what was left and why."""

    folded: Counter = field(default_factory=Counter)  # how many of each kind
    left: dict[str, str] = field(default_factory=dict)  # name of the module -> reason

    def __str__(self) -> str:
        counts = [f'{n} {kind}{"s" if n > 1 else ""}' for kind, n in self.folded.items()]
        names = [f'{name} ({reason})' for name, reason in self.left.items()]
        if len(names) > SHOWN:
            names[SHOWN:] = [f'and {len(names) - SHOWN} more']
        return f'folded: {", ".join(counts) or "nothing"}; left: {", ".join(names) or "nothing"}'


def to_inference(model: nn.Module, inplace: bool = False) -> nn.Module:
    """Fold what can be folded, in a backbone or in a whole detector or segmenter.

    BatchNorms, synchronised ones too, go into the convolution or linear layer before them, or,
    after an activation, into the pointwise layer that reads them, or the one before a ReLU; layer
    scales go into the last layer of their branch, and the identity of a positional encoding into
    its kernel. Kernels that are fixed or shared become those of plain convolutions. What cannot
    be folded without a change of outputs stays as it is: other normalisation, and whatever a
    forward hook looks at. On a CPU convolutions are quicker, too (:mod:`rapidnet_mm.packing`).

    The result is for inference: its parameters need no gradients, its ``state_dict()`` has the
    names of the new structure, and its ``train()`` raises. What was folded is logged in a line and
    kept as ``fusion``, a :class:`Fusion`.

    Args:
        model: in evaluation mode.
        inplace: change the model itself and return it, instead of a copy.

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
    """Every BatchNorm into the layer whose output it normalises, if nothing else reads that."""
    for name, owner, path, graph in _norms(model):
        norm = owner.get_submodule(path)
        if not _is_affine(norm):
            yield name, 'has no running statistics, or uses them in a way of its own'
        elif graph is None:
            yield name, f'{type(owner).__name__} cannot be followed'
        elif (target := _layer_before(owner, graph, path)) is None:
            yield name, 'is not alone behind a convolution'
        elif _is_watched(norm) or _is_watched(owner.get_submodule(target)):
            yield name, 'a forward hook looks at it'
        else:
            factor, shift = _affine(norm)
            owner.set_submodule(target, _rescaled(owner.get_submodule(target), factor, shift))
            owner.set_submodule(path, Folded().eval())
            yield name, ''


def fold_norms_ahead(model: nn.Module) -> Iterator[tuple[str, str]]:
    """BatchNorms that come after an activation: into the pointwise layer that alone reads them.

    Not into larger kernels, whose padding would have to be the shift instead of zero.
    """
    for name, owner, path, graph in _norms(model):
        norm = owner.get_submodule(path)
        if not _is_affine(norm) or graph is None:
            continue  # fold_norms has told why
        target = _pointwise_after(owner, graph, path)
        if target and not _is_watched(norm) and not _is_watched(owner.get_submodule(target)):
            factor, shift = _affine(norm)
            owner.set_submodule(target, _preceded(owner.get_submodule(target), factor, shift))
            owner.set_submodule(path, Folded().eval())
            yield name, ''


def fold_norms_behind_relu(model: nn.Module) -> Iterator[tuple[str, str]]:
    """BatchNorms after a ReLU: into the layer before it, which leaves a bound per channel."""
    for name, owner, path, graph in _norms(model):
        norm = owner.get_submodule(path)
        if not _is_affine(norm) or graph is None:
            continue  # fold_norms has told why
        relu = _layer_before(owner, graph, path, (nn.ReLU,))
        target = relu and _layer_before(owner, graph, relu)
        if target and not any(_is_watched(owner.get_submodule(m)) for m in (path, relu, target)):
            factor, shift = _affine(norm)
            layer = _rescaled(owner.get_submodule(target), factor, shift)
            shape = (-1, *(1 for _ in layer.weight.shape[2:]))
            bounded = Bounded(*(v.reshape(shape).to(layer.weight) for v in (factor, shift)))
            owner.set_submodule(target, layer)
            owner.set_submodule(relu, bounded.eval())
            owner.set_submodule(path, Folded().eval())
            yield name, ''


def fold_kernels(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Kernels that are fixed, or shared by parts of the channels: into plain convolutions."""
    found = {n: m for n, m in model.named_modules() if type(m) in (FixedDepthwise, SharedDepthwise)}
    for name, layer in found.items():
        if not name or _is_watched(layer):
            yield name, 'a forward hook looks at it' if name else 'is the whole model'
        else:
            model.set_submodule(name, layer.plain().eval())
            yield name, ''


def fold_scales(model: nn.Module) -> Iterator[tuple[str, str]]:
    """The layer scale of every residual branch into the layer that ends the branch."""
    for name, block in model.named_modules():
        if not isinstance(block, Residual) or block.scale is None:
            continue
        found = _last_layer(block.branch)
        if found is None:
            yield f'{name}.scale', 'the branch does not end with a convolution'
            continue
        owner, path = found
        factor = block.scale.double().flatten()
        owner.set_submodule(path, _rescaled(owner.get_submodule(path), factor))
        block.scale = None
        yield f'{name}.scale', ''


def fold_encodings(model: nn.Module) -> Iterator[tuple[str, str]]:
    """The identity of every positional encoding into the middle of its kernel."""
    for name, block in model.named_modules():
        if not isinstance(block, PositionalEncoding) or block.folded:
            continue
        if _is_watched(block.conv) or type(block.conv) not in LINEAR:
            yield name, 'a forward hook looks at its convolution'
            continue
        conv = copy.deepcopy(block.conv)
        height, width = conv.kernel_size
        conv.weight[:, 0, height // 2, width // 2] += 1
        block.conv = conv
        block.folded = True
        yield name, ''


# A rule folds what it knows in a model, and tells of each its name and '', or why it was left. They
# run in this order, so that one may build on what the others did; a family with blocks of its own
# adds its rule.
RULES: tuple[tuple[str, Callable[[nn.Module], Iterator[tuple[str, str]]]], ...] = (
    ('fixed or shared kernel', fold_kernels),
    ('BatchNorm', fold_norms),
    ('BatchNorm', fold_norms_ahead),
    ('BatchNorm', fold_norms_behind_relu),
    ('layer scale', fold_scales),
    ('positional encoding', fold_encodings),
)


class _Tracer(fx.Tracer):
    """Sees a block as calls of the modules in it, none of which is looked into."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:  # noqa: ARG002
        return True


def _graph(block: nn.Module) -> fx.Graph | None:
    """What a block calls and on what, or None if that depends on more than its inputs' names."""
    if 'forward' in vars(block):
        return None  # somebody replaced it
    parameters = inspect.signature(block.forward).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    try:
        return _Tracer().trace(block, concrete_args=defaults or None)
    except Exception:  # any code runs here, on stand-ins for tensors
        return None


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that calls the one of that name, and the name in there; lists call nothing."""
    parent, _, path = name.rpartition('.')
    while isinstance(owner := model.get_submodule(parent), nn.ModuleList | nn.ModuleDict):
        parent, _, last = parent.rpartition('.')
        path = f'{last}.{path}'
    return owner, path


def _norms(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, fx.Graph | None]]:
    """Every BatchNorm that is left: its name, who calls it, its name there, and that one's graph.

    A rule may exchange modules while it goes through them.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    for name in names:
        owner, path = _owner(model, name)
        yield name, owner, path, _graph(owner)


def _is_affine(norm: _BatchNorm) -> bool:
    """Whether evaluation mode makes it a factor and a shift per channel."""
    return type(norm).forward in NORM_FORWARDS and norm.running_mean is not None


def _layer_before(
    owner: nn.Module, graph: fx.Graph, path: str, kinds: tuple[type, ...] = LINEAR
) -> str | None:
    """Name of the layer of a kind whose output goes to the module at ``path`` and nowhere else."""
    calls = [node for node in graph.nodes if node.op == 'call_module']
    uses = Counter(node.target for node in calls)
    (call,) = [n for n in calls if n.target == path] if uses[path] == 1 else [None]
    source = call.all_input_nodes[0] if call is not None else None
    if source is None or source.op != 'call_module' or uses[source.target] > 1:
        return None
    if len(source.users) > 1 or type(owner.get_submodule(source.target)) not in kinds:
        return None
    return source.target


def _pointwise_after(owner: nn.Module, graph: fx.Graph, path: str) -> str | None:
    """Name of the pointwise layer that reads the module at ``path``, if nothing else does."""
    uses = Counter(node.target for node in graph.nodes if node.op == 'call_module')
    call = next((n for n in graph.nodes if n.op == 'call_module' and n.target == path), None)
    readers = list(call.users) if call is not None and uses[path] == 1 else []
    if len(readers) != 1 or readers[0].op != 'call_module' or uses[readers[0].target] > 1:
        return None
    layer = owner.get_submodule(readers[0].target)
    if type(layer) is nn.Linear:
        return readers[0].target
    pointwise = type(layer) in (nn.Conv2d, Conv2d, PackedConv2d) and {*layer.kernel_size} == {1}
    return readers[0].target if pointwise and layer.padding in ((0, 0), 'valid') else None


def _last_layer(block: nn.Module) -> tuple[nn.Module, str] | None:
    """The linear layer whose output is that of the block: the module that has it, and its name."""
    graph = None if _is_watched(block) else _graph(block)
    if graph is None:
        return None
    uses = Counter(node.target for node in graph.nodes)
    source = next(node for node in graph.nodes if node.op == 'output').args[0]
    while getattr(source, 'op', '') == 'call_module':
        layer = block.get_submodule(source.target)
        if len(source.users) > 1 or uses[source.target] > 1 or _is_watched(layer):
            return None
        if type(layer) in LINEAR:
            return block, source.target
        if not isinstance(layer, nn.Identity | DropPath):
            return _last_layer(layer)
        source = source.all_input_nodes[0]
    return None


def _is_watched(module: nn.Module) -> bool:
    """Whether hooks see, or change, what goes in or comes out."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Factor and shift per channel of a BatchNorm in evaluation mode, in float64."""
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    shift = -factor * norm.running_mean.double()
    return factor, shift if norm.bias is None else shift + norm.bias.double()


def _rescaled(layer: nn.Module, factor: Tensor, shift: Tensor | None = None) -> nn.Module:
    """A new layer whose output is ``factor * y + shift`` per channel; the old may be shared."""
    new = copy.deepcopy(layer)
    weight = layer.weight.double()
    weight = weight * factor.double().reshape(-1, *(1 for _ in weight.shape[1:]))
    new.weight = nn.Parameter(weight.to(layer.weight))
    if layer.bias is not None:
        scaled = factor * layer.bias.double()
        shift = scaled if shift is None else shift + scaled
    if shift is not None:
        new.bias = nn.Parameter(shift.to(layer.weight))
    return new


def _preceded(layer: nn.Module, factor: Tensor, shift: Tensor) -> nn.Module:
    """A new pointwise layer of ``x`` whose output is the old one's of ``factor * x + shift``."""
    new = copy.deepcopy(layer)
    weight = layer.weight.double()
    groups = getattr(layer, 'groups', 1)
    # Rows of a group all read the same channels.
    rows = len(weight) // groups
    factor, shift = (v.reshape(groups, -1).repeat_interleave(rows, 0) for v in (factor, shift))
    bias = (weight.flatten(1) * shift).sum(1)
    if layer.bias is not None:
        bias = bias + layer.bias.double()
    scaled = weight * factor.reshape(*factor.shape, *(1 for _ in weight.shape[2:]))
    new.weight = nn.Parameter(scaled.to(layer.weight))
    new.bias = nn.Parameter(bias.to(layer.weight))
    return new
