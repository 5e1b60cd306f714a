"""Settings for training and inference without a GPU: memory and memory layout."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import torch
from torch import nn

from .device import default_device

# Of glibc's mallopt: M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD (bytes).
MALLOC_OPTIONS = {-4: 0, -1: 2**31 - 1, -2: 2**26}


def tune_for_cpu(model: nn.Module) -> None:
    """On the CPU, store the model's weights channels last, which is faster, and keep memory."""
    if default_device() == 'cpu':
        model.to(memory_format=torch.channels_last)
        keep_memory()


def keep_memory() -> None:
    """Tell glibc to keep freed memory, instead of giving it back to the kernel.

    Otherwise a training spends much of its time on getting the same blocks again. The process
    keeps as much memory as it needed at its peak. On other systems and C libraries nothing changes.
    """
    if mallopt := glibc('mallopt'):
        for option, value in MALLOC_OPTIONS.items():
            mallopt(option, value)


def glibc(function: str) -> Callable[..., int] | None:
    """Return a function of glibc, or None on other systems and C libraries."""
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == 'linux' else None
