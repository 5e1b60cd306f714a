"""Memory that validation and tests no longer need."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..cpu import glibc


@HOOKS.register_module()
class TrimMemoryHook(Hook):
    """Gives freed memory back to the system during validation and tests.

    The C library keeps the freed memory of large maps in its heap. The holes fit the next image
    worse and worse, and the memory of the process would grow with every image.

    Args:
        interval: after how many batches of a process memory is given back.
    """

    def __init__(self, interval: int = 1):
        self.interval = interval
        self._trim = glibc('malloc_trim')

    def after_val_iter(self, runner: Any, batch_idx: int, *_: Any, **__: Any) -> None:  # noqa: ARG002
        """Give memory back."""
        if self._trim is not None and (batch_idx + 1) % self.interval == 0:
            self._trim(0)

    after_test_iter = after_val_iter
