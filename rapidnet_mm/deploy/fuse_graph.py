"""Find the layers before and after a BatchNorm in graphs of torch.fx."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator

from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmcv.cnn.bricks.wrappers import Conv2d
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..backbones.layers import DeformableConv, DropPath
from .onednn import PackedConv2d

# Layers whose output is linear in weight and bias. Subclasses do not count, because they may
# compute anything.
LINEAR = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear),
    *(Conv2d, Conv2dAdaptivePadding, DeformableConv, PackedConv2d),
)


class _Tracer(fx.Tracer):
    """Traces the calls of a block's modules, and does not trace inside them."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:  # noqa: ARG002
        return True


def graph_of(block: nn.Module) -> fx.Graph | None:
    """Return the graph of a block's calls, or None if the block cannot be traced."""
    if 'forward' in vars(block):
        return None  # forward() of this instance was replaced
    parameters = inspect.signature(block.forward).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    try:
        return _Tracer().trace(block, concrete_args=defaults or None)
    except Exception:  # any code of the block runs here, on proxies of tensors
        return None


def batch_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, fx.Graph | None]]:
    """Yield every BatchNorm: its name, its caller, its name in the caller, the caller's graph.

    A rule may replace modules while it goes through them.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    for name in names:
        owner, path = _owner(model, name)
        yield name, owner, path, graph_of(owner)


def layer_before(
    owner: nn.Module, graph: fx.Graph, path: str, kinds: tuple[type, ...] = LINEAR
) -> str | None:
    """Return the layer, of one of ``kinds``, that alone feeds the module at ``path``; else None."""
    calls = [node for node in graph.nodes if node.op == 'call_module']
    uses = Counter(node.target for node in calls)
    if uses[path] != 1:
        return None
    (call,) = (node for node in calls if node.target == path)
    source = call.all_input_nodes[0]
    if source.op != 'call_module' or uses[source.target] > 1:
        return None
    if len(source.users) > 1 or type(owner.get_submodule(source.target)) not in kinds:
        return None
    return source.target


def pointwise_after(owner: nn.Module, graph: fx.Graph, path: str) -> str | None:
    """Return the pointwise layer that reads the module at ``path``, if nothing else reads it."""
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


def last_layer(block: nn.Module) -> tuple[nn.Module, str] | None:
    """Return the owner and the name of the linear layer whose output is the block's, or None."""
    graph = None if has_hooks(block) else graph_of(block)
    if graph is None:
        return None
    uses = Counter(node.target for node in graph.nodes)
    source = next(node for node in graph.nodes if node.op == 'output').args[0]
    while getattr(source, 'op', '') == 'call_module':
        layer = block.get_submodule(source.target)
        if len(source.users) > 1 or uses[source.target] > 1 or has_hooks(layer):
            return None
        if type(layer) in LINEAR:
            return block, source.target
        if not isinstance(layer, nn.Identity | DropPath):
            return last_layer(layer)
        source = source.all_input_nodes[0]
    return None


def has_hooks(module: nn.Module) -> bool:
    """Return whether a module has forward hooks, which may read or change its input or output."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the module that calls the named one, and the name in it; lists call nothing."""
    parent, _, path = name.rpartition('.')
    while isinstance(owner := model.get_submodule(parent), nn.ModuleList | nn.ModuleDict):
        parent, _, last = parent.rpartition('.')
        path = f'{last}.{path}'
    return owner, path
