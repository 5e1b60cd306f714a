"""Draw the depthwise kernels of a backbone: the fixed and the learned ones.

In VGNet some kernels are Gaussians or edge filters that no training changes. The picture shows how
similar the learned kernels are to them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..weights.contract import FixedTensors

KINDS = ('fixed', 'learned')
GAP = 1  # pixels between kernels
INCHES = 0.26  # width of a kernel


class Layer(NamedTuple):
    """A depthwise convolution."""

    stage: str  # 'stem', or 'stage 1' and so on
    name: str  # name inside the stage
    kind: str  # one of KINDS
    kernels: Tensor  # (channels, height, width)


def depthwise_layers(backbone: nn.Module) -> list[Layer]:
    """Return the depthwise convolutions of a backbone, in the order of its modules.

    Raises:
        UserError: it has none.
    """
    layers = [
        Layer(*_place(name), kind, weight.detach().float().cpu()[:, 0])
        for name, module in backbone.named_modules()
        for kind, weight in _depthwise_weight(module)
    ]
    if not layers:
        raise UserError(f'{type(backbone).__name__} has no depthwise convolutions')
    return layers


def _depthwise_weight(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    if isinstance(module, FixedTensors):
        for name in module.fixed_tensors():
            yield 'fixed', getattr(module, name)
    elif isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
        yield 'learned', module.weight


def _place(name: str) -> tuple[str, str]:
    """Split the name of a module into its stage and the rest.

    Example:
        >>> _place('stages.1.0.depthwise.conv')
        ('stage 2', '0.depthwise.conv')
    """
    first, _, rest = name.partition('.')
    if first != 'stages':
        return first, rest
    number, _, rest = rest.partition('.')
    return f'stage {int(number) + 1}', rest


def mosaic(layers: Sequence[Layer], rows: int, channels: int) -> Tensor:
    """Return the kernels side by side, one row per layer, one column per channel, NaN between them.

    Each kernel is divided by its largest absolute value, so that all have the same contrast.

    Args:
        layers: the layers to show.
        rows: number of rows; the rows after the last layer stay empty.
        channels: number of kernels per layer.
    """
    side = _side(layers)
    step = side + GAP
    picture = torch.full((rows * step - GAP, channels * step - GAP), torch.nan)
    for kernel, top, left in _placed(layers, channels):
        height, width = kernel.shape
        largest = kernel.abs().max().clamp(min=torch.finfo(kernel.dtype).tiny)
        picture[top : top + height, left : left + width] = kernel / largest
    return picture


def _side(layers: Sequence[Layer]) -> int:
    return max((max(layer.kernels.shape[1:]) for layer in layers), default=1)


def _placed(layers: Sequence[Layer], channels: int) -> Iterator[tuple[Tensor, int, int]]:
    """Yield the kernels, each with its top row and left column in the mosaic."""
    side = _side(layers)
    for row, layer in enumerate(layers):
        for column, kernel in enumerate(layer.kernels[:channels]):
            height, width = kernel.shape
            top, left = (index * (side + GAP) for index in (row, column))
            yield kernel, top + (side - height) // 2, left + (side - width) // 2


def draw(layers: Sequence[Layer], title: str, channels: int) -> bytes:
    """Return a PNG: one row of panels per stage, fixed kernels left and learned kernels right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = [kind for kind in KINDS if any(layer.kind == kind for layer in layers)]
    stages = list(dict.fromkeys(layer.stage for layer in layers))
    cells = {
        (stage, kind): [layer for layer in layers if (layer.stage, layer.kind) == (stage, kind)]
        for stage in stages
        for kind in kinds
    }
    rows = [max(len(cells[stage, kind]) for kind in kinds) for stage in stages]
    width = len(kinds) * (channels * INCHES + 1.6)
    height = (sum(rows) + 1.2 * len(stages)) * INCHES + 1.6
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(stages), len(kinds), squeeze=False, height_ratios=rows)
    for line, stage, count in zip(panels, stages, rows, strict=True):
        for axes, kind in zip(line, kinds, strict=True):
            image = _draw_cell(axes, cells[stage, kind], count, channels)
            if cells[stage, kind]:
                axes.set_title(f'{stage}: {kind}', fontsize='medium', loc='left')
    bar = figure.colorbar(image, ax=panels, location='bottom', aspect=50, shrink=0.6)
    bar.set_label('weight / largest weight of the kernel')
    bar.set_ticks([-1, 0, 1])
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=110)
    return buffer.getvalue()


def _draw_cell(axes: Any, layers: Sequence[Layer], rows: int, channels: int) -> Any:
    """Draw the layers of one stage and one kind; return the image."""
    from matplotlib.patches import Rectangle

    picture = mosaic(layers, rows, channels)
    image = axes.imshow(picture, cmap='RdBu_r', vmin=-1, vmax=1, interpolation='nearest')
    for kernel, top, left in _placed(
        layers, channels
    ):  # zeros are white like the gaps, so each kernel gets a frame
        height, width = kernel.shape
        corner = (left - 0.5, top - 0.5)
        outline = dict(fill=False, color='gray', linewidth=0.5, clip_on=False)
        axes.add_patch(Rectangle(corner, width, height, **outline))
    step = _side(layers) + GAP
    labels = [f'{layer.name} ({len(layer.kernels)})' for layer in layers]
    axes.set_yticks([row * step + (step - GAP - 1) / 2 for row in range(len(layers))], labels)
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize='xx-small')
    axes.set_frame_on(False)
    return image
