"""A loss that is not finite is said at once, and soon ends the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import nn

from ...errors import UserError

MOST_IMAGES = 8


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Says when a loss is NaN or infinite, and ends a training that does not recover.

    Every runner of ours has one. ``custom_hooks=[dict(type='FiniteLossHook', limit=20)]`` changes
    its setting.

    Args:
        limit: so many iterations in a row end the training.
    """

    def __init__(self, limit: int = 5):
        self.limit = limit
        self._count = 0
        self._last = 'there were no finite losses before'

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,  # noqa: ARG002
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Look at the losses of an iteration.

        Raises:
            UserError: too many in a row are not finite.
        """
        losses = {k: _number(v) for k, v in (outputs or {}).items() if _is_loss(k, v)}
        iteration = runner.iter + 1
        broken = [f'{k} {v}' for k, v in losses.items() if not math.isfinite(v)]
        if not broken:
            self._count = 0
            if losses:
                text = ', '.join(f'{name} {value:.4g}' for name, value in losses.items())
                self._last = f'the last finite losses are of iteration {iteration}: {text}'
            return
        self._count += 1
        message = f'iteration {iteration}: {", ".join(broken)}'
        if self._count >= self.limit:
            raise UserError(
                f'{message}, for {self._count} iterations in a row; {self._last}; try a lower '
                'learning rate or clip_grad; --resume goes on from the last checkpoint, whose '
                'weights are finite'
            )
        images = ', '.join(image_names(data_batch)) or 'not known'
        runner.logger.warning(f'{message}; images: {images}; {self._last}')

    def after_train(self, runner: Any) -> None:
        """Refuse to call a training done whose weights are not finite.

        Raises:
            UserError: they are not.
        """
        if not has_finite_weights(runner.model):
            raise UserError(
                f'the weights are not finite at the end; {self._last}; try a lower learning rate '
                'or clip_grad; the last checkpoint has finite weights'
            )


def has_finite_weights(model: nn.Module) -> bool:
    """Return whether no weight, and no statistic of BatchNorm, is NaN or infinite."""
    statistics = (b for name, b in model.named_buffers() if '.running_' in name)
    return all(
        bool(torch.isfinite(tensor).all())
        for part in (model.parameters(), statistics)
        for tensor in part
    )


def all_have_finite_weights(model: nn.Module) -> bool:
    """Return whether the weights are finite in all processes: the same answer in each."""
    finite = torch.tensor(int(has_finite_weights(model)))
    all_reduce(finite, 'min')
    return bool(finite)


def image_names(batch: Any) -> list[str]:
    """Return the files of the images in a batch, as far as they are known, and not too many."""
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    samples = samples if isinstance(samples, list | tuple) else []
    names = [str(sample.img_path) for sample in samples if 'img_path' in sample]
    rest = len(names) - MOST_IMAGES
    return [*names[:MOST_IMAGES], *([f'and {rest} more'] if rest > 0 else [])]


def _is_loss(name: str, value: Any) -> bool:
    if 'loss' not in name:
        return False
    return isinstance(value, int | float) or (
        isinstance(value, torch.Tensor) and value.numel() == 1
    )


def _number(value: Any) -> float:
    return float(value.detach() if isinstance(value, torch.Tensor) else value)
