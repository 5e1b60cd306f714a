"""The device of this machine: an NVIDIA GPU, an Apple GPU or the CPU."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch


def default_device() -> str:
    """Return the best device here: 'cuda', 'mps' or 'cpu'."""
    if torch.cuda.is_available():
        return 'cuda'
    return 'mps' if torch.backends.mps.is_available() else 'cpu'


def device_name() -> str:
    """Return the name of the GPU or of the processor that :func:`default_device` stands for."""
    device = default_device()
    if device == 'cuda':
        return torch.cuda.get_device_name()
    return f'{_processor()} (Apple GPU)' if device == 'mps' else _processor()


def wait_for_gpu() -> None:
    """Wait until the GPU has finished, if there is one."""
    device = default_device()
    if device == 'cuda':
        torch.cuda.synchronize()
    elif device == 'mps':
        torch.mps.synchronize()


def _processor() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    names = re.findall(r'model name\s*: (.*)', cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.machine()
