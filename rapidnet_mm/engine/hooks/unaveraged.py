"""Validate the model itself, not only the average of its weights."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class UnaveragedMetricsHook(Hook):
    """Validates the trained weights too, after every validation of the averaged weights.

    MMEngine's ``EMAHook`` validates the average. This hook adds the metrics of the model itself
    with the prefix ``model/``, such as ``model/accuracy/top1``. They are in the log, in the curves
    and in the metrics that other hooks get. Without an ``EMAHook`` this hook does nothing. It must
    run after the ``EMAHook``, which restores the model's own weights.
    """

    priority = 'NORMAL'

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Validate once more and add the metrics."""
        if metrics is None or not any(isinstance(hook, EMAHook) for hook in runner.hooks):
            return
        loader, evaluator = runner.val_loop.dataloader, runner.val_loop.evaluator
        runner.model.eval()
        with torch.no_grad():
            for batch in loader:
                evaluator.process(data_samples=runner.model.val_step(batch), data_batch=batch)
        for name, value in evaluator.evaluate(len(loader.dataset)).items():
            metrics[f'model/{name}'] = value
            runner.message_hub.update_scalar(f'val/model/{name}', value)
