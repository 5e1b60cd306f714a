"""Memory that validation does not need any more."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..cpu import glibc


@HOOKS.register_module()
class TrimMemoryHook(Hook):
    """Gives freed memory back to the system during validation and tests.

    The C library keeps what large maps leave behind in its heap, in holes that fit the next image
    less and less, so that resident memory would creep up with the number of images.

    Args:
        interval: images, per process, from one time to the next.
    """

    def __init__(self, interval: int = 1):
        self.interval = interval
        self._trim = glibc('malloc_trim')

    def after_val_iter(self, runner: Any, batch_idx: int, *_: Any, **__: Any) -> None:  # noqa: ARG002
        """See the class."""
        if self._trim is not None and (batch_idx + 1) % self.interval == 0:
            self._trim(0)

    after_test_iter = after_val_iter
