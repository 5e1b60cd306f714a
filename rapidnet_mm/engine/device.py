"""The device of this machine: an NVIDIA GPU, an Apple GPU or the CPU; and its memory."""

from __future__ import annotations

import platform
import re
import sys
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


def memory() -> tuple[int, int]:
    """Return free and total bytes of memory, (0, 0) if the system does not say."""
    file = Path('/proc/meminfo')
    if not file.is_file():
        return 0, 0
    values = dict(re.findall(r'(\w+):\s+(\d+) kB', file.read_text()))
    free, total = (1024 * int(values.get(name, 0)) for name in ('MemAvailable', 'MemTotal'))
    limit = Path('/sys/fs/cgroup/memory.max')  # of a container
    text = limit.read_text().strip() if limit.is_file() else 'max'
    if text.isdigit() and int(text) < total:
        used = int(Path('/sys/fs/cgroup/memory.current').read_text())
        free, total = min(free, max(0, int(text) - used)), int(text)
    return free, total


def process_peak() -> int | None:
    """Return the most bytes that this process has had in memory; None if it is not known."""
    try:
        import resource  # Windows has no such module
    except ImportError:
        return None
    unit = 1 if sys.platform == 'darwin' else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _processor() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    names = re.findall(r'model name\s*: (.*)', cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.machine()
