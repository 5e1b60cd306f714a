"""Losses that both stacks compute alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class WeightedCrossEntropy(nn.Module):
    """Cross entropy of label maps, averaged over the labelled pixels by the weight of their class.

    MMSegmentation's own has class weights too, but stops at ignored pixels in its version 1.2.

    Args:
        class_weight: one weight for each class; None weighs all alike.
        loss_weight: factor on the whole.
        loss_name: its name in the log.
    """

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ):
        super().__init__()
        weights = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer('class_weight', weights, persistent=False)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, score: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255
    ) -> Tensor:
        """The loss of scores ``(N, C, H, W)`` for labels ``(N, H, W)``, a scalar.

        ``weight`` ``(N, H, W)`` multiplies the loss of each pixel, as a pixel sampler has it. Where
        all pixels are ignored the loss is 0.
        """
        losses = F.cross_entropy(
            score, label, self.class_weight, ignore_index=ignore_index, reduction='none'
        )
        if weight is not None:
            losses = losses * weight
        shares = (label != ignore_index).to(losses.dtype)
        if self.class_weight is not None:
            shares = shares * self.class_weight[label.where(label != ignore_index, 0)]
        return self.loss_weight * losses.sum() / shares.sum().clamp(min=1e-6)
