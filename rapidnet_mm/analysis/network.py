"""Run a model without its post-processing, to count or to time it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from ..engine.config_errors import BUILD_ERRORS
from ..errors import UserError, one_line


def run_network(model: nn.Module, image: Tensor) -> tuple[Any, dict[str, int]]:
    """Run all parts of a prediction except post-processing.

    The heads of a second stage process as many regions as ``test_cfg`` allows.

    Returns:
        The outputs, and the number of regions of each head of a second stage.
    """
    if not isinstance(model, BaseModel):
        return model(image), {}
    if hasattr(model, 'rpn_head') and hasattr(model, 'roi_head'):
        return _run_two_stages(model, image)
    return model(image, mode='tensor'), {}


@contextmanager
def named_run_errors(model: nn.Module, shape: tuple[int, int]) -> Iterator[None]:
    """Turn errors inside into one line that says that a model does not run at an image shape.

    Raises:
        UserError: torch or a class of the model raised an error inside.
    """
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, *BUILD_ERRORS) as error:
        reason = f'{type(error).__name__} {one_line(error)}'.strip()
        name = type(model).__name__
        raise UserError(f'{name} cannot run at {shape[0]}x{shape[1]}: {reason}') from error


def _run_two_stages(model: BaseModel, image: Tensor) -> tuple[list[Any], dict[str, int]]:
    maps = model.backbone(image)
    outputs = [model.rpn_head(model.neck(maps) if model.with_neck else maps)]
    regions = {}
    for name, config in (('bbox', model.test_cfg.rpn), ('mask', model.test_cfg.rcnn)):
        heads = getattr(model.roi_head, f'{name}_head', None)
        if heads is None:
            continue
        extractors = getattr(model.roi_head, f'{name}_roi_extractor')
        for head, extractor in zip(_as_list(heads), _as_list(extractors), strict=True):
            size = extractor.roi_layers[0].output_size
            shape = (config.max_per_img, extractor.out_channels, *size)
            outputs.append(head(image.new_zeros(shape)))
        regions[f'roi_head.{name}_head'] = config.max_per_img
    return outputs, regions


def _as_list(modules: nn.Module) -> Iterable[nn.Module]:
    return modules if isinstance(modules, nn.ModuleList) else [modules]  # a cascade has lists
