"""Training curves in the work directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...display.curves import plot_curves, read_scalars


@HOOKS.register_module()
class CurvesHook(Hook):
    """Leaves ``curves.png`` in the work directory after every validation and at the end.

    Args:
        filename: name of the picture.
    """

    priority = 'VERY_LOW'

    def __init__(self, filename: str = 'curves.png'):
        self.filename = filename

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:  # noqa: ARG002
        """Draw the run so far."""
        self._redraw(runner)

    def after_train(self, runner: Any) -> None:
        """Draw the whole run."""
        self._redraw(runner)

    @master_only
    def _redraw(self, runner: Any) -> None:
        # The folder may hold the scalars of an earlier run, which this one does not continue.
        run = '*' if runner._resume else runner.timestamp
        train, val = read_scalars(runner.work_dir, run)
        if train:
            plot_curves(train, val, Path(runner.work_dir) / self.filename)
