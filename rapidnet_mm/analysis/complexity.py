"""What a model costs: parameters, multiply-accumulates, and the shapes of its feature maps.

One multiply-accumulate is a product added to a sum, half of what PyTorch's counter counts; papers
also print it as FLOPs, MAdds or MACs. On the meta device counting takes no memory and little time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torchvision  # noqa: F401  registers its operators
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

from ..display.tables import text_table
from ..engine.config import BUILD_ERRORS
from ..errors import UserError

COUNTED = 'convolutions and matrix products'
LEFT_OUT = (
    'normalisation, activations, resizing and resampling, post-processing (NMS, RoIAlign, decoding)'
)
FLOPS_PER_MAC = 2
DEFORMABLE = torch.ops.torchvision.deform_conv2d


def _deformable_flops(
    input_shape: Sequence[int],  # noqa: ARG001
    weight_shape: Sequence[int],
    *args: Any,  # noqa: ARG001
    out_shape: Sequence[int],
    **kwargs: Any,  # noqa: ARG001
) -> int:
    """Those of a plain convolution; the one for the offsets counts by itself."""
    return FLOPS_PER_MAC * math.prod(out_shape) * math.prod(weight_shape[1:])


if DEFORMABLE not in flop_registry:  # PyTorch knows its own operators only
    register_flop_formula(DEFORMABLE)(_deformable_flops)


class Count(NamedTuple):
    """Of a module and all inside it; multiply-accumulates are for one image."""

    params: int
    learnable: int  # those that an optimizer would change
    macs: int


class Complexity(NamedTuple):
    """What a model costs at one shape of image."""

    shape: tuple[int, int]  # height and width in pixels
    modules: dict[str, Count]  # all with parameters or multiply-accumulates; '' is the model
    parts: list[str]  # names of the modules that make up the model: backbone, neck, heads
    unused: list[str]  # those of them that take no part in prediction
    maps: dict[str, list[tuple[int, ...]]]  # channels, height, width, of backbone and neck
    regions: dict[str, int]  # how many each head of a second stage is assumed to look at

    @property
    def total(self) -> Count:
        """Of the whole model."""
        return self.modules['']

    def nested(self, depth: int) -> dict[str, Count]:
        """Modules down to ``depth`` names, ``a.b.c`` being three."""
        return {k: v for k, v in self.modules.items() if k and k.count('.') < depth}

    def to_dict(self, depth: int = 0) -> dict[str, Any]:
        """What goes into a json; with a depth, also the modules down to it."""
        modules = {k: v._asdict() for k, v in self.nested(depth).items()}
        return {
            'shape': self.shape,
            **self.total._asdict(),
            'parts': {name: self.modules[name]._asdict() for name in self.parts},
            'maps': self.maps,
            'regions': self.regions,
            'unused': self.unused,
            'counted': COUNTED,
            'left_out': LEFT_OUT,
            **({'modules': modules} if depth else {}),
        }

    def to_text(self, depth: int = 0) -> str:
        """Tables for people; with a depth, also of the modules down to it."""
        header = ['parameters (M)', 'learnable (M)', 'multiply-accumulates (G)']
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
        yield 'M = 1e6, G = 1e9; multiply-accumulates of one image'
        yield f'counted: {COUNTED}; left out: {LEFT_OUT}'
        for head, number in self.regions.items():
            yield f'assumed: {number} regions for {head}, the most that test_cfg lets through'
        for name in self.unused:
            yield f'not part of prediction: {name}'


def _row(name: str, count: Count) -> tuple[str, float, float, float]:
    return name, count.params / 1e6, count.learnable / 1e6, count.macs / 1e9


def default_shape(cfg: Config) -> tuple[tuple[int, int], str]:
    """Height and width that a config works at, in pixels, and where that is written.

    The Resize of the test pipeline, for classifiers its crop; for segmenters, whose test images
    have any shape, the crop that they are trained on.

    Raises:
        UserError: the config does not say.
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
        size = (size, size) if type(size) is int else size
        if transform['type'].rpartition('.')[2] == step and _is_pair(size):
            return tuple(size)[order], where
    raise UserError('the config does not say at which shape it is used; give --shape H W')


def _pipeline(loader: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    dataset = (loader or {}).get('dataset', {})
    while 'dataset' in dataset:  # wrapped, for instance to be repeated
        dataset = dataset['dataset']
    return dataset.get('pipeline', [])


def _is_pair(size: object) -> bool:
    return isinstance(size, list | tuple) and [type(v) for v in size] == [int, int]


class _Meter:
    """Forward hooks that count what every module does, however it is called."""

    def __init__(self, model: nn.Module):
        self.counter = FlopCounterMode(display=False)
        self.macs: dict[nn.Module, int] = {}
        self.outputs: dict[nn.Module, Any] = {}
        self._model = model
        self._begun: list[int] = []

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
        """Multiply-accumulates so far."""
        return self.counter.get_total_flops() // FLOPS_PER_MAC

    def of(self, module: nn.Module) -> int:
        """Multiply-accumulates of a module; a container that is never called is what it holds."""
        if module in self.macs:
            return self.macs[module]
        return sum(self.of(child) for child in module.children())

    def _begin(self, module: nn.Module, args: tuple) -> None:  # noqa: ARG002
        self._begun.append(self.total())

    def _end(self, module: nn.Module, args: tuple, output: Any) -> None:  # noqa: ARG002
        self.macs[module] = self.macs.get(module, 0) + self.total() - self._begun.pop()
        self.outputs[module] = output


@torch.no_grad()
def measure(model: nn.Module, shape: tuple[int, int]) -> Complexity:
    """Count a model at one image of ``shape`` (height, width, in pixels), on the model's device.

    A whole model of the MM family runs without post-processing: backbone, neck and heads. The
    heads of a second stage look at as many regions as ``test_cfg`` lets through.

    Raises:
        UserError: the model does not run at that shape.
    """
    if min(shape) < 1:
        raise UserError(f'shape {shape[0]} {shape[1]}: height and width must be at least 1')
    training = model.training
    model.eval()
    try:
        with _Meter(model) as meter:
            image = torch.empty(1, 3, *shape, device=next(model.parameters()).device)
            _, regions = run_network(model, image)
    except UserError:
        raise
    except (RuntimeError, *BUILD_ERRORS) as error:
        reason = f'{type(error).__name__} {" ".join(str(error).split())}'.strip()
        name = type(model).__name__
        raise UserError(f'{name} cannot run at {shape[0]}x{shape[1]}: {reason}') from error
    finally:
        model.train(training)
    return _summary(model, meter, tuple(shape), regions)


def run_network(model: nn.Module, image: Tensor) -> tuple[Any, dict[str, int]]:
    """All that prediction computes but post-processing; outputs, and the numbers of regions."""
    if not isinstance(model, BaseModel):
        return model(image), {}
    if hasattr(model, 'rpn_head') and hasattr(model, 'roi_head'):
        return _run_two_stages(model, image)
    return model(image, mode='tensor'), {}


def _run_two_stages(model: BaseModel, image: Tensor) -> tuple[list[Any], dict[str, int]]:
    maps = model.backbone(image)
    outputs = [model.rpn_head(model.neck(maps) if model.with_neck else maps)]
    regions = {}
    for name, config in (('bbox', model.test_cfg.rpn), ('mask', model.test_cfg.rcnn)):
        heads = getattr(model.roi_head, f'{name}_head', None)
        if heads is None:
            continue
        extractors = getattr(model.roi_head, f'{name}_roi_extractor')
        for head, extractor in zip(_several(heads), _several(extractors), strict=True):
            size = extractor.roi_layers[0].output_size
            shape = (config.max_per_img, extractor.out_channels, *size)
            outputs.append(head(image.new_zeros(shape)))
        regions[f'roi_head.{name}_head'] = config.max_per_img
    return outputs, regions


def _several(modules: nn.Module) -> Iterable[nn.Module]:
    return modules if isinstance(modules, nn.ModuleList) else [modules]  # a list in a cascade


def _summary(
    model: nn.Module, meter: _Meter, shape: tuple[int, int], regions: dict[str, int]
) -> Complexity:
    modules = {name: _count(module, meter) for name, module in model.named_modules()}
    modules[''] = modules['']._replace(macs=meter.total())
    modules = {name: count for name, count in modules.items() if any(count)}
    parts = [name for name in _parts(model) if name in modules]
    return Complexity(
        shape=shape,
        modules=modules,
        parts=parts,
        unused=[p for p in parts if meter.macs.keys().isdisjoint(model.get_submodule(p).modules())],
        maps=_maps(model, meter),
        regions=regions,
    )


def _count(module: nn.Module, meter: _Meter) -> Count:
    params = list(module.parameters())
    learnable = sum(p.numel() for p in params if p.requires_grad)
    return Count(sum(p.numel() for p in params), learnable, meter.of(module))


def _parts(module: nn.Module, prefix: str = '') -> Iterator[str]:
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
