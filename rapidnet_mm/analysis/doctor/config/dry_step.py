"""One real step of a training on two images: is the loss finite, and what does it reach?"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn

from ....data.checks.check_config import nested_dicts
from ....engine.config import check_crops
from ....engine.config_errors import located_fault, named_config_errors
from ....engine.config_values import check_optimizer, check_parts
from ....engine.device import default_device, process_peak, wait_for_gpu
from ....engine.fit import check_channels
from ....engine.start import pretrained_entries
from ....errors import UserError, one_line
from ....weights.known import entry_of
from ....weights.locate import local_file, local_path
from ..finding import BREAKS, ODD, SPOILS, Finding

IMAGES = 2
GIB = 2**30


class Step(NamedTuple):
    """What a step took.

    Attributes:
        loss: the loss of the step.
        seconds: its time, the first step of a process is slow.
        gib: the most memory that it took beside what was there before, None if not known.
        images: images in the step.
    """

    loss: float
    seconds: float
    gib: float | None
    images: int

    def __str__(self) -> str:
        memory = '' if self.gib is None else f', {self.gib:.1f} GiB of memory'
        return f'loss {self.loss:.4g} on {self.images} images, {self.seconds:.1f} s{memory}'


def build_findings(cfg: Config) -> tuple[nn.Module | None, list[Finding]]:
    """Build the model on the CPU, without weights. Return it, None if that fails, and findings."""
    found = []
    for check in (lambda: check_parts(cfg, 'train'), lambda: check_crops(cfg)):
        try:
            check()
        except UserError as error:
            found.append(Finding(BREAKS, 'config', str(error)))
    wrapper = cfg.get('optim_wrapper')
    try:
        check_optimizer(wrapper)
    except UserError as error:
        found.append(Finding(BREAKS, 'config', str(error)))
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    try:
        with named_config_errors('model'):
            model = MODELS.build(without_files(cfg.model)) if cfg.get('model') else None
    except UserError as error:
        return None, [*found, Finding(BREAKS, 'model', str(error).removeprefix('config: model: '))]
    try:
        check_channels(model)
    except UserError as error:
        found.append(Finding(BREAKS, 'model', str(error)))
    return model, found


def without_files(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a model that starts from random weights, so that nothing is fetched."""
    model = copy.deepcopy(dict(model))
    for node, _ in list(nested_dicts(model, 'model')):
        if pretrained_entries(node.get('init_cfg')):
            node['init_cfg'] = None
        if node.get('pretrained'):
            node['pretrained'] = None
    return model


def start_findings(cfg: Config) -> Iterator[Finding]:
    """Yield the weights that a training starts from and that are not on this machine."""
    for node, path in nested_dicts(cfg.get('model') or {}, 'model'):
        for entry in pretrained_entries(node.get('init_cfg')):
            source = str(entry.get('checkpoint'))
            known = entry_of(source)
            if known is not None:
                here, can_come = local_file(source, known), known.can_be_fetched
            else:
                here, can_come = local_path(source).is_file(), '://' in source
            if here:
                continue
            if can_come:
                way_out = f'a training fetches them; rapidnet weights fetch {source} does it now'
                grade = ODD
            else:
                way_out = 'put the file there, name another one, or train --from-scratch'
                grade = BREAKS
            yield Finding(grade, f'{path}.init_cfg', f'{source} is not on this machine', way_out)


def dry_step(cfg: Config, model: nn.Module) -> tuple[Step | None, list[Finding]]:
    """Train ``model`` for one step on two images; return what it took, and findings."""
    try:
        loader = Runner.build_dataloader(_small(cfg.train_dataloader), seed=0)
        model.init_weights()
        model = model.to(default_device()).train()
        wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
        data = next(iter(loader))
    except Exception as error:  # the classes of a config raise anything
        return None, [Finding(BREAKS, 'train_dataloader', located_fault(error))]
    try:
        step, without = _step(model, wrapper, data)
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        return None, [
            Finding(
                BREAKS,
                'train_dataloader.batch_size',
                f'a step with {IMAGES} images does not fit into the memory: {one_line(error):.120}',
                'use smaller images or a smaller model',
            )
        ]
    except Exception as error:  # model and pipeline do not fit together
        what = f'the first step fails: {located_fault(error, model)}'
        return None, [Finding(BREAKS, 'model', what, 'model and pipeline have to fit together')]
    return step, list(_step_findings(model, step, without))


def _small(loader: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a data loader that loads two images in this process."""
    small = copy.deepcopy(dict(loader))
    small.update(batch_size=IMAGES, num_workers=0, persistent_workers=False, pin_memory=False)
    small.pop('prefetch_factor', None)
    return small


def _step(model: nn.Module, wrapper: Any, data: Any) -> tuple[Step, list[str]]:
    """Make a step. Return what it took, and the trainable parameters that got no gradient."""
    before, start = _peak(), time.monotonic()
    with wrapper.optim_context(model):
        data = model.data_preprocessor(data, True)
        losses = model(**data, mode='loss') if isinstance(data, dict) else model(*data, mode='loss')
        loss, _ = model.parse_losses(losses)
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    wrapper.step()
    wait_for_gpu()
    after = _peak()
    memory = (after - before) / GIB if after is not None and before is not None else None
    return Step(loss.item(), time.monotonic() - start, memory, len(data['inputs'])), without


def _peak() -> int | None:
    """Return the most bytes of memory until now: of the GPU, or of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return process_peak()


def _step_findings(model: nn.Module, step: Step, without: list[str]) -> Iterator[Finding]:
    if not torch.isfinite(torch.tensor(step.loss)):
        yield Finding(
            BREAKS,
            'model',
            f'the loss of the first step is {step.loss}',
            'lower the learning rate, look at the data and at the weights of the losses',
        )
        return
    broken = [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]
    if broken:
        yield Finding(
            BREAKS,
            'optim_wrapper',
            f'after one step {len(broken)} parameters are NaN or infinite (first {broken[0]})',
            'lower the learning rate, or set optim_wrapper.clip_grad',
        )
    trainable = sum(p.requires_grad for p in model.parameters())
    if not trainable:
        yield Finding(SPOILS, 'model', 'no parameter is trainable', 'set frozen_stages=-1')
    elif without:
        share = len(without) / trainable
        yield Finding(
            SPOILS if share > 0.1 else ODD,
            'model',
            f'{len(without)} of {trainable} trainable parameters get no gradient '
            f'(first {without[0]}): they never learn',
            'remove these layers, or use their output; several processes also need '
            'find_unused_parameters=True',
        )
