"""What the C library does with memory that is freed: keep it, or hand it back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

# Of glibc's mallopt: M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD (bytes).
MALLOC_OPTIONS = {-4: 0, -1: 2**31 - 1, -2: 2**26}


def glibc(function: str) -> Callable[..., int] | None:
    """A function of glibc, None on other systems and C libraries."""
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == 'linux' else None


def keep_memory() -> None:
    """Have glibc keep what is freed, which it otherwise hands back to the kernel, block by block.

    Training spends much of its time on getting the same blocks again. The process keeps what it
    needed at its peak. Elsewhere nothing is changed.
    """
    if mallopt := glibc('mallopt'):
        for option, value in MALLOC_OPTIONS.items():
            mallopt(option, value)
