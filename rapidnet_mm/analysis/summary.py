"""Print a short summary before a training starts, and another one at its end."""

from __future__ import annotations

import copy
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from ..data.checks.messages import counted
from ..engine.amp import BFloat16OptimWrapper
from ..engine.console import DETAILS, wrapped
from ..engine.device import default_device, device_name
from ..engine.runner import unwrapped
from ..engine.schedule_check import schedule_doubts
from ..weights.known import entry_of
from ..weights.locate import FOLDER, local_file
from .complexity import default_shape, measure

MOST_CLASSES = 8  # the summary lists no more class names


class TrainingReport(Hook):
    """Logs a summary before the first iteration, and the results after the last.

    Args:
        program: the words that start a command, such as ``['rapidnet']``.
    """

    priority = 'LOWEST'  # the checkpoint hook comes before

    def __init__(self, program: Sequence[str]):
        self.program = program
        self._best: str | None = None
        self._metrics: Mapping[str, Any] = {}

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Log the summary, and warnings about the schedule."""
        runner.logger.info(start_text(runner))
        for doubt in schedule_doubts(runner):
            runner.logger.warning(doubt)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Remember the metrics of the best checkpoint so far."""
        best = best_checkpoint(runner)
        if best is None or best != self._best:
            self._best, self._metrics = best, dict(metrics or {})

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Log the best checkpoint and the next commands."""
        runner.logger.info(end_text(runner, self._metrics, self.program))


def start_text(runner: Runner) -> str:
    """Return the summary: model, data, schedule, weights and work directory, one a line."""
    facts = {
        'model': _model(runner),
        'data': _data(runner),
        'classes': _classes(runner),
        'schedule': _schedule(runner),
        'batch': _batch(runner),
        'optimizer': _optimizer(runner),
        'precision': _precision(runner),
        'device': _device(),
        'weights': _weights(runner),
        'results': _short(runner.work_dir),
        'log': _short(str(runner.logger.log_file)),
    }
    lines = [f'{name:<9}  {value}' for name, value in facts.items()]
    source = _short(str(runner.cfg.filename or runner.experiment_name))
    return '\n'.join([f'Training with {source}', *lines])


def end_text(runner: Runner, metrics: Mapping[str, Any], program: Sequence[str]) -> str:
    """Return the best checkpoint (else the last), its metrics, and the commands to go on.

    Args:
        runner: after its training.
        metrics: of the best checkpoint; {} if they are unknown.
        program: how the commands are called here.
    """
    best = best_checkpoint(runner)
    checkpoint = best or _info(runner, 'last_ckpt')
    if checkpoint is None:
        return f'Done. No checkpoint was written to {_short(runner.work_dir)}'
    lines = [f'Done. {"Best" if best else "Last"} checkpoint: {_short(checkpoint)}']
    shown = {name: value for name, value in metrics.items() if not DETAILS.fullmatch(name)}
    values = [f'{name}: {_number(value)}' for name, value in shown.items()]
    lines += [wrapped([f'Metrics: {values[0]}', *values[1:]])] if values else []
    lines += ['Next:', *(f'  {command}' for command in next_commands(runner, checkpoint, program))]
    return '\n'.join(lines)


def next_commands(runner: Runner, checkpoint: str, program: Sequence[str]) -> list[str]:
    """Return commands that test a checkpoint, run it on an image, and write a report."""
    # The runner's copy of the config also has the changes from the command line.
    name = os.path.basename(runner.cfg.filename or 'config.py')
    config = getattr(runner, 'config_file', None) or Path(runner.work_dir, name)
    common = [_short(str(config)), _short(checkpoint)]
    work_dir = Path(runner.work_dir)
    test = ['test', *common, '--show-dir', _short(str(work_dir / 'test/pictures'))]
    infer = ['infer', *common, _photo(runner), '--out-dir', _short(str(work_dir / 'infer'))]
    report = ['report', _short(str(work_dir))]
    return [shlex.join([*program, *words]) for words in (test, infer, report)]


def best_checkpoint(runner: Runner) -> str | None:
    """Return the best checkpoint of a training so far, None if there is none."""
    names = [name for name in runner.message_hub.runtime_info if name.startswith('best_ckpt')]
    return _info(runner, names[0]) if names else None


def flops_of(model: nn.Module, shape: tuple[int, int]) -> int:
    """Return the multiply-adds of a model for one image; the model stays as it is."""
    return measure(copy.deepcopy(model).to('meta'), shape).total.flops


def _model(runner: Runner) -> str:
    model = unwrapped(runner.model)
    backbone = runner.cfg.model.get('backbone', {})
    parts = [type(model).__name__]
    if hasattr(model, 'backbone'):
        variant = backbone.get('arch') or backbone.get('depth') or ''
        parts.append(f'backbone {type(model.backbone).__name__} {variant}'.rstrip())
    parameters = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = f' ({trained / 1e6:.2f} M are trained)' if trained < parameters else ''
    return ', '.join([*parts, f'{parameters / 1e6:.2f} M parameters{frozen}', _flops(runner)])


def _flops(runner: Runner) -> str:
    try:
        shape, _ = default_shape(runner.cfg)
        flops = flops_of(unwrapped(runner.model), shape)
    except (
        Exception
    ):  # any code of the model runs here, and a missing figure must not stop a training
        return 'FLOPs not counted'
    return f'{flops / 1e9:.2f} G FLOPs (multiply-adds) at {shape[0]}x{shape[1]}'


def _data(runner: Runner) -> str:
    train = runner.train_dataloader.dataset
    texts = [f'{counted(len(train), "image")} to train{_place(train)}']
    if runner.val_loop is not None:
        val = runner.val_dataloader.dataset
        texts.append(f'{len(val)} to validate{_place(val)}')
    return ', '.join(texts)


def _place(dataset: Any) -> str:
    """Return ' in FOLDER', '' where a data set does not say."""
    while not hasattr(dataset, 'data_root') and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    root = getattr(dataset, 'data_root', '')
    prefix = getattr(dataset, 'data_prefix', None) or {}
    folder = next((str(value) for value in prefix.values() if value), '') or str(root or '')
    return f' in {_short(folder)}' if folder else ''


def _classes(runner: Runner) -> str:
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
    names = metainfo.get('classes') or ()
    names = (names,) if isinstance(names, str) else names
    if not names:
        return 'not named'
    rest = ', ...' if len(names) > MOST_CLASSES else ''
    return f'{len(names)}: {", ".join(map(str, names[:MOST_CLASSES]))}{rest}'


def _schedule(runner: Runner) -> str:
    loop = runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    unit = 'epoch' if by_epoch else 'iteration'
    text = counted(loop.max_epochs if by_epoch else loop.max_iters, unit)
    if by_epoch:
        text += f' of {counted(len(loop.dataloader), "iteration")}'
    if runner.val_loop is not None:
        text += f', validation after every {counted(loop.val_interval, unit)}'
    if start := runner.epoch if by_epoch else runner.iter:
        text += f'; done already: {counted(start, unit)}'
    return text


def _batch(runner: Runner) -> str:
    size, processes = runner.train_dataloader.batch_size, runner.world_size
    batch = runner.train_dataloader.batch_sampler
    size = size or getattr(batch, 'batch_size', None)
    steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    if size is None:
        return f'unknown, {counted(processes, "process")}'
    text = f'{counted(size * processes * steps, "image")} for a step of the optimizer'
    parts = [f'{size} at a time', counted(processes, 'process')]
    if steps > 1:
        parts.append(f'gradients of {steps} batches added')
    return f'{text} ({", ".join(parts)})'


def _optimizer(runner: Runner) -> str:
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    if optimizer is None:  # a container of several optimizers
        return type(runner.optim_wrapper).__name__
    rates = [group.get('initial_lr', group['lr']) for group in optimizer.param_groups]
    low, high = min(rates), max(rates)
    rate = f'{high:.4g}' if low == high else f'{low:.4g} to {high:.4g}'
    schedulers = runner.param_schedulers or []
    names = dict.fromkeys(type(s).__name__ for s in schedulers if not isinstance(schedulers, dict))
    return ', '.join([type(optimizer).__name__, f'learning rate {rate}', *names])


def _precision(runner: Runner) -> str:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, BFloat16OptimWrapper):
        return 'bfloat16 where autocast allows it, else float32'
    if isinstance(wrapper, AmpOptimWrapper):
        dtype = getattr(wrapper, 'cast_dtype', None) or torch.float16
        return f'{str(dtype).removeprefix("torch.")} where autocast allows it, else float32'
    return str(next(runner.model.parameters()).dtype).removeprefix('torch.')


def _device() -> str:
    device = default_device()
    threads = f', {counted(torch.get_num_threads(), "thread")}' if device == 'cpu' else ''
    return f'{device}: {device_name()}{threads}'


def _weights(runner: Runner) -> str:
    source = runner._load_from
    if runner._resume:
        return f'resumed from {_short(str(source))}'
    sources = [_short(str(source))] if source else list(_pretrained(runner.cfg.model, 'model'))
    return ', '.join(sources) or 'random (no pretrained weights)'


def _pretrained(node: Any, path: str) -> Iterator[str]:
    """Yield ``FILE (part of the model)`` for all pretrained weights in the config of a model."""
    if isinstance(node, Mapping):
        if str(node.get('type', '')).rpartition('.')[2] == 'Pretrained':
            part = path.removesuffix('.init_cfg').removeprefix('model.')
            source = str(node.get('checkpoint'))
            yield f'{source} ({part}{_file(source)})'
        for name, value in node.items():
            yield from _pretrained(value, f'{path}.{name}')
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _pretrained(value, path)


def _file(source: str) -> str:
    """Return where weights with a name come from; '' for a file or a URL."""
    entry = entry_of(source)
    file = local_file(source, entry) if entry else None
    if file is None:
        return ''
    return f', from {file if file.parent == FOLDER else entry.place}'


def _photo(runner: Runner) -> str:
    """Return an image of the validation set, for an example of a command."""
    loader = runner.val_dataloader if runner.val_loop is not None else runner.train_dataloader
    dataset = loader.dataset
    info = dataset.get_data_info(0) if hasattr(dataset, 'get_data_info') else {}
    return _short(str(info.get('img_path') or 'IMAGE'))


def _info(runner: Runner, name: str) -> str | None:
    runtime_info = runner.message_hub.runtime_info
    return str(runtime_info[name]) if runtime_info.get(name) else None


def _number(value: Any) -> str:
    return f'{value:.4f}' if isinstance(value, float) else str(value)


def _short(path: str) -> str:
    """Return a path relative to the current folder if it lies there; else unchanged."""
    if '://' in path:
        return path
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except ValueError:
        return path
