"""What a model costs: parameters, FLOPs, and the shapes of its feature maps.

FLOPs here are multiply-adds, as in the papers, which also call them MACs or MAdds. PyTorch's
counter counts a multiply-add as two. On the meta device counting takes no memory and little time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torchvision  # noqa: F401  registers its operators
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

from ..display.tables import text_table
from ..errors import UserError
from .network import named_run_errors, run_network

COUNTED = 'convolutions and matrix products'
LEFT_OUT = (
    'normalisation, activations, resizing and resampling, post-processing (NMS, RoIAlign, decoding)'
)
PER_MULTIPLY_ADD = 2  # what PyTorch counts for one
DEFORMABLE = torch.ops.torchvision.deform_conv2d


def _deformable_flops(
    input_shape: Sequence[int],  # noqa: ARG001
    weight_shape: Sequence[int],
    *args: Any,  # noqa: ARG001
    out_shape: Sequence[int],
    **kwargs: Any,  # noqa: ARG001
) -> int:
    """Count as a plain convolution does; the one that computes the offsets counts by itself."""
    return PER_MULTIPLY_ADD * math.prod(out_shape) * math.prod(weight_shape[1:])


if DEFORMABLE not in flop_registry:  # PyTorch knows its own operators only
    register_flop_formula(DEFORMABLE)(_deformable_flops)


class Count(NamedTuple):
    """What a module and all inside it cost, for one image."""

    params: int
    learnable: int  # parameters that an optimizer would change
    flops: int


class Complexity(NamedTuple):
    """What a model costs at one shape of image."""

    shape: tuple[int, int]  # height and width in pixels
    modules: dict[str, Count]  # all with parameters or FLOPs; '' is the model
    parts: list[str]  # the modules that make up the model: backbone, neck, heads
    unused: list[str]  # parts that only training uses
    maps: dict[str, list[tuple[int, ...]]]  # channels, height, width, of backbone and neck
    regions: dict[str, int]  # regions that each head of the second stage processes

    @property
    def total(self) -> Count:
        """The count of the whole model."""
        return self.modules['']

    def nested(self, depth: int) -> dict[str, Count]:
        """Return the modules down to a depth; ``a.b.c`` is at depth 3."""
        return {k: v for k, v in self.modules.items() if k and k.count('.') < depth}

    def to_dict(self, depth: int = 0) -> dict[str, Any]:
        """Return plain values for json; with a depth, also the modules down to this depth."""
        content = {
            'shape': self.shape,
            **self.total._asdict(),
            'parts': {name: self.modules[name]._asdict() for name in self.parts},
            'maps': self.maps,
            'regions': self.regions,
            'unused': self.unused,
            'counted': COUNTED,
            'left_out': LEFT_OUT,
        }
        if depth:
            content['modules'] = {k: v._asdict() for k, v in self.nested(depth).items()}
        return content

    def to_text(self, depth: int = 0) -> str:
        """Return tables as text; with a depth, also a table of the modules down to this depth."""
        header = ['parameters (M)', 'learnable (M)', 'FLOPs (G)']
        rows = [_row('all', self.total), *(_row(name, self.modules[name]) for name in self.parts)]
        blocks = [text_table(['part', *header], rows)]
        if depth:
            rows = [_row(name, count) for name, count in self.nested(depth).items()]
            blocks.append(text_table(['module', *header], rows))
        rows = [
            (f'{name} {i}', *shape)
            for name, shapes in self.maps.items()
            for i, shape in enumerate(shapes)
        ]
        blocks.append(text_table(['feature map', 'channels', 'height', 'width'], rows))
        return '\n'.join([*blocks, *self._notes()])

    def _notes(self) -> Iterator[str]:
        yield 'M = 1e6, G = 1e9; FLOPs are multiply-adds of one image'
        yield f'counted: {COUNTED}; left out: {LEFT_OUT}'
        for head, number in self.regions.items():
            yield f'assumed: {number} regions for {head}, the most that test_cfg lets through'
        for name in self.unused:
            yield f'not part of prediction: {name}'


def _row(name: str, count: Count) -> tuple[str, float, float, float]:
    return name, count.params / 1e6, count.learnable / 1e6, count.flops / 1e9


def default_shape(cfg: Config) -> tuple[tuple[int, int], str]:
    """Return (height, width) in pixels of a config's images, and the step that sets the size.

    For detectors that is the Resize of the test pipeline, for classifiers its crop. Segmenters are
    tested on images of any shape, so for them it is the crop of the training pipeline.

    Raises:
        UserError: the config sets no size.
    """
    if cfg.get('default_scope') == 'mmpretrain':
        step, key, where = 'CenterCrop', 'crop_size', 'the crop of the test pipeline'
        loaders, order = ('test_dataloader', 'val_dataloader'), slice(None)  # height, width
    elif 'decode_head' in cfg.get('model', {}):
        step, key, where = 'RandomCrop', 'crop_size', 'the crop of the training pipeline'
        loaders, order = ('train_dataloader',), slice(None)  # height, width
    else:
        step, key, where = 'Resize', 'scale', 'the Resize of the test pipeline'
        loaders, order = ('test_dataloader', 'val_dataloader'), slice(None, None, -1)
    for transform in (t for loader in loaders for t in _pipeline(cfg.get(loader))):
        size = transform.get(key)
        if type(size) is int:
            size = (size, size)
        if transform['type'].rpartition('.')[2] == step and _is_pair(size):
            return tuple(size)[order], where
    raise UserError('the config does not say at which shape it is used; give --shape H W')


def _pipeline(loader: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    dataset = (loader or {}).get('dataset', {})
    while 'dataset' in dataset:  # inside a wrapper that repeats it, for instance
        dataset = dataset['dataset']
    return dataset.get('pipeline', [])


def _is_pair(size: object) -> bool:
    return isinstance(size, list | tuple) and [type(v) for v in size] == [int, int]


class _Meter:
    """Counts the FLOPs of every module by forward hooks."""

    def __init__(self, model: nn.Module):
        self.counter = FlopCounterMode(display=False)
        self.flops: dict[nn.Module, int] = {}
        self.outputs: dict[nn.Module, Any] = {}
        self._model = model
        self._starts: list[int] = []  # totals at the start of the calls that are running

    def __enter__(self) -> _Meter:
        self._handles = [
            handle
            for module in self._model.modules()
            for handle in (
                module.register_forward_pre_hook(self._begin),
                module.register_forward_hook(self._end),
            )
        ]
        self.counter.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.counter.__exit__(*error)
        for handle in self._handles:
            handle.remove()

    def total(self) -> int:
        """Return the FLOPs counted so far."""
        return self.counter.get_total_flops() // PER_MULTIPLY_ADD

    def of(self, module: nn.Module) -> int:
        """Return the FLOPs of a module; a container that is not called has its children's."""
        if module in self.flops:
            return self.flops[module]
        return sum(self.of(child) for child in module.children())

    def _begin(self, module: nn.Module, args: tuple) -> None:  # noqa: ARG002
        self._starts.append(self.total())

    def _end(self, module: nn.Module, args: tuple, output: Any) -> None:  # noqa: ARG002
        self.flops[module] = self.flops.get(module, 0) + self.total() - self._starts.pop()
        self.outputs[module] = output


@torch.no_grad()
def measure(model: nn.Module, shape: tuple[int, int]) -> Complexity:
    """Count parameters and FLOPs for one image of ``shape`` (height, width, in pixels).

    The model runs on its own device. A whole model of the MM family runs without post-processing:
    backbone, neck and heads. The heads of a second stage process as many regions as ``test_cfg``
    allows.

    Raises:
        UserError: the model does not run at that shape.
    """
    if min(shape) < 1:
        raise UserError(f'shape {shape[0]} {shape[1]}: height and width must be at least 1')
    training = model.training
    model.eval()
    try:
        with named_run_errors(model, shape), _Meter(model) as meter:
            image = torch.empty(1, 3, *shape, device=next(model.parameters()).device)
            _, regions = run_network(model, image)
    finally:
        model.train(training)
    return _summary(model, meter, tuple(shape), regions)


def _summary(
    model: nn.Module, meter: _Meter, shape: tuple[int, int], regions: dict[str, int]
) -> Complexity:
    modules = {name: _count(module, meter) for name, module in model.named_modules()}
    modules[''] = modules['']._replace(flops=meter.total())
    modules = {name: count for name, count in modules.items() if any(count)}
    parts = [name for name in _parts(model) if name in modules]
    return Complexity(
        shape=shape,
        modules=modules,
        parts=parts,
        unused=[
            p for p in parts if meter.flops.keys().isdisjoint(model.get_submodule(p).modules())
        ],
        maps=_maps(model, meter),
        regions=regions,
    )


def _count(module: nn.Module, meter: _Meter) -> Count:
    params = list(module.parameters())
    learnable = sum(p.numel() for p in params if p.requires_grad)
    return Count(sum(p.numel() for p in params), learnable, meter.of(module))


def _parts(module: nn.Module, prefix: str = '') -> Iterator[str]:
    """Yield the names of the parts; lists and a second stage are split into their modules."""
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList) or name == 'roi_head':
            yield from _parts(child, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}'


def _maps(model: nn.Module, meter: _Meter) -> dict[str, list[tuple[int, ...]]]:
    whole = isinstance(model, BaseModel)
    sources = {n: getattr(model, n, None) for n in ('backbone', 'neck')} if whole else {'': model}
    maps = {}
    for name, source in sources.items():
        output = meter.outputs.get(source)
        output = [output] if isinstance(output, Tensor) else output or []
        maps[name or 'backbone'] = [tuple(m.shape[1:]) for m in output if m.dim() == 4]
    return {name: shapes for name, shapes in maps.items() if shapes}
