"""A learning rate that does not fit optimizer, batch or start; layers that never learn."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config

from ....data.checks.check_config import nested_dicts
from ....engine.options import argument_names, find_class
from ....engine.start import LAYER_SCALE, pretrained_entries
from ..finding import ODD, SPOILS, Finding

LR = 'optim_wrapper.optimizer.lr'


class Range(NamedTuple):
    """Learning rates of an optimizer that trainings in the literature and here use."""

    lowest: float
    highest: float
    highest_for_16: float  # at a batch of 16 images; a larger batch may have more, in proportion


# Our recipes: SGD 0.005 to 0.016 for 16 images; Adam and its relatives 2e-4 to 2e-3 in all.
RANGES = {
    'SGD': Range(1e-5, 5.0, 0.3),
    **dict.fromkeys(('Adam', 'AdamW', 'NAdam', 'RAdam'), Range(1e-7, 2e-2, 0.1)),
}
FEW_PROCESSES = 16  # more GPUs than these are rare
FACTOR = 8  # a batch so many times off spoils a training
SMALL_SCALE = 1e-3  # a block with a smaller layer scale begins as if it was not there
SHORT = 20_000  # iterations in which such blocks do not become large enough


def rate_findings(cfg: Config, iterations: int | None) -> Iterator[Finding]:
    """Yield what is wrong or odd about the learning rate and the start.

    Args:
        cfg: the config.
        iterations: the length of the training, None if it is not known.
    """
    yield from _rate(cfg)
    yield from _start(cfg, iterations)


def images_per_step(cfg: Config) -> int | None:
    """Return the number of images in a step of all processes; None if the config has none."""
    loader, wrapper = cfg.get('train_dataloader'), cfg.get('optim_wrapper')
    batch = loader.get('batch_size') if isinstance(loader, Mapping) else None
    if not isinstance(batch, int):
        return None
    counts = wrapper.get('accumulative_counts', 1) if isinstance(wrapper, Mapping) else 1
    return batch * counts * int(os.environ.get('WORLD_SIZE') or 1)


def _rate(cfg: Config) -> Iterator[Finding]:
    wrapper = cfg.get('optim_wrapper')
    optimizer = wrapper.get('optimizer') if isinstance(wrapper, Mapping) else None
    if not isinstance(optimizer, Mapping):
        return
    rate, kind = optimizer.get('lr'), str(optimizer.get('type')).rpartition('.')[2]
    images = images_per_step(cfg)
    if rate is None or images is None:
        return
    scaling = cfg.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    scaled = rate * images / base if base and scaling.get('enable') else rate
    if limits := RANGES.get(kind):
        highest = min(limits.highest, limits.highest_for_16 * max(images, 1) / 16)
        if scaled > highest:
            yield Finding(
                SPOILS,
                LR,
                f'{scaled:g} is very high for {kind} with {images} images in a step: the loss '
                'may become NaN',
                f'recipes stay below {highest:.2g}',
            )
        elif scaled < limits.lowest:
            yield Finding(
                SPOILS,
                LR,
                f'{scaled:g} is very low for {kind}: the model hardly changes',
                f'recipes stay above {limits.lowest:g}',
            )
    if base and not scaling.get('enable') and images != base:
        yield _batch(rate, images, base)


def _batch(rate: float, images: int, base: int) -> Finding:
    """Return the finding about a batch that is not the one of the learning rate."""
    ratio = images / base
    processes = base / images
    is_recipe = processes == int(processes) and 1 < processes <= FEW_PROCESSES
    grade = ODD if is_recipe or 1 / FACTOR <= ratio <= FACTOR else SPOILS
    advice = f'--auto-scale-lr makes it {rate * ratio:.3g}'
    if is_recipe:
        advice += f', or train with {int(processes)} processes'
    return Finding(
        grade, LR, f'{rate:g} is for {base} images in a step, and here are {images}', advice
    )


def _start(cfg: Config, iterations: int | None) -> Iterator[Finding]:
    """Yield parts of a model with random weights that are frozen or cannot learn."""
    if cfg.get('load_from') or not isinstance(cfg.get('model'), Mapping):
        return
    for node, path in nested_dicts(cfg.model, 'model'):
        if not _is_backbone(node, path) or _has_file(node):
            continue
        advice = 'name weights in its init_cfg or in load_from, or set it to '
        if node.get('frozen_stages', -1) >= 0:
            yield Finding(
                SPOILS,
                f'{path}.frozen_stages',
                f'{node["frozen_stages"]} freezes stages that start from random weights, so they '
                'never learn',
                f'{advice}-1',
            )
        if node.get('norm_eval'):
            yield Finding(
                SPOILS,
                f'{path}.norm_eval',
                'statistics of BatchNorm stay at 0 and 1, because no weights are loaded',
                f'{advice}False',
            )
        if (node.get('norm_cfg') or {}).get('requires_grad') is False:
            yield Finding(
                SPOILS,
                f'{path}.norm_cfg.requires_grad',
                'normalization that starts from random weights never learns',
                f'{advice}True',
            )
        scale = _argument(cfg, node, path, 'layer_scale_init')
        if isinstance(scale, float) and scale < SMALL_SCALE and (iterations or SHORT) < SHORT:
            yield Finding(
                SPOILS,
                f'{path}.layer_scale_init',
                f'{scale:g} keeps the blocks nearly switched off for most of {iterations} '
                'iterations from random weights',
                f'train --from-scratch, or set it to {LAYER_SCALE}',
            )


def _is_backbone(node: Mapping[str, Any], path: str) -> bool:
    return 'type' in node and path.rpartition('.')[2] == 'backbone' and 'backbone' not in node


def _has_file(node: Mapping[str, Any]) -> bool:
    """Return whether a dict or one inside it names weights."""
    inner = [inside for inside, _ in nested_dicts(node, '')]
    return bool(node.get('pretrained')) or any(
        pretrained_entries(inside.get('init_cfg')) for inside in inner
    )


def _argument(cfg: Config, node: Mapping[str, Any], path: str, name: str) -> Any:
    """Return an argument of the class of a dict: given, or the default; None if it has none."""
    if name in node or name not in (argument_names(cfg, node, path.split('.')) or ()):
        return node.get(name)
    for cls in inspect.getmro(find_class(cfg, node['type'])):
        parameters = inspect.signature(cls.__init__).parameters
        if name in parameters:
            return parameters[name].default
    return None
