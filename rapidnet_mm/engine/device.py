"""The device of this machine: an NVIDIA GPU, an Apple GPU or the CPU."""

from __future__ import annotations

import torch


def default_device() -> str:
    """Return the best device here: 'cuda', 'mps' or 'cpu'."""
    if torch.cuda.is_available():
        return 'cuda'
    return 'mps' if torch.backends.mps.is_available() else 'cpu'


def device_name() -> str:
    """Return the name of :func:`default_device`, for people."""
    device = default_device()
    if device == 'cuda':
        return torch.cuda.get_device_name()
    if device == 'mps':
        return 'Apple GPU (mps)'
    return f'CPU, {counted(torch.get_num_threads(), "thread")}'


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it has to be.

    Example:
        >>> counted(2, 'process')
        '2 processes'
    """
    ending = 'es' if noun.endswith('s') else 's'
    return f'{number} {noun}{"" if number == 1 else ending}'
