"""Try a few training steps of a config: how much memory and time does a step need?"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, init_default_scope

from ...errors import UserError
from ..config import build_model
from ..config_errors import step_fault
from ..cpu import tune_for_cpu
from ..device import default_device, memory, process_peak

REPEATS = 2  # the first step also sets up caches; the faster one counts
SAFE = 0.5  # a batch is not tried if so large a share of the memory is likely to be needed


class Attempt(NamedTuple):
    """A step that was tried.

    Attributes:
        batch: number of images.
        memory: bytes that the process, or its part of the GPU, needed at most.
        seconds: time of the step.
        load_seconds: time to load one image.
    """

    batch: int
    memory: float
    seconds: float
    load_seconds: float


def try_batches(cfg: Config, batches: Sequence[int], free: float) -> list[Attempt]:
    """Take steps with growing batches, and stop before the memory is full.

    Args:
        cfg: a whole config, with the data filled in.
        batches: numbers of images, ascending. The first is tried in any case.
        free: bytes that are free.

    Raises:
        UserError: not even the first step can be taken.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    if not len(dataset):
        raise UserError('none of the training images can be used: they have no objects')
    device = default_device()
    model = build_model(cfg, device=device).train()
    tune_for_cpu(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9)
    attempts: list[Attempt] = []
    for batch in batches:
        if len(attempts) and _next_memory(attempts, batch) > SAFE * (free + attempts[0].memory):
            break
        try:
            attempts.append(_attempt(model, optimizer, dataset, batch, device))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:
            raise step_fault(error, 'train', model) from error
    if not attempts:
        raise UserError('the GPU has too little memory for a step with the smallest batch')
    return attempts


def _next_memory(attempts: Sequence[Attempt], batch: int) -> float:
    """Return the memory that a batch will need, if it grows as it did."""
    last = attempts[-1]
    return last.memory * batch / last.batch


def _attempt(model: Any, optimizer: Any, dataset: Any, batch: int, device: str) -> Attempt:
    begin = time.perf_counter()
    items = [dataset[index % len(dataset)] for index in range(batch)]
    load_seconds = (time.perf_counter() - begin) / batch
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    seconds = math.inf
    for _ in range(REPEATS):
        begin = time.perf_counter()
        data = model.data_preprocessor(pseudo_collate(items), True)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device == 'cuda':
            torch.cuda.synchronize()
        seconds = min(seconds, time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() if device == 'cuda' else process_peak() or 0
    return Attempt(batch, float(peak), seconds, load_seconds)


def free_memory(device: str) -> float:
    """Return the bytes that a training may use: of the GPU, else of the system."""
    if device == 'cuda':
        return float(torch.cuda.mem_get_info()[0])
    if free := memory()[0]:
        return float(free)
    with suppress(AttributeError, OSError, ValueError):
        return float(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')) / 2
    return 4.0 * 2**30
