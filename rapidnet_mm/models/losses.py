"""Losses that give the same value with every supported version of the MM packages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class WeightedCrossEntropy(nn.Module):
    """Cross entropy of label maps: the mean over labelled pixels, weighted by their class.

    MMSegmentation's CrossEntropyLoss has class weights too, but version 1.2 of it fails if some
    pixels are ignored.

    Example:
        >>> loss = WeightedCrossEntropy(class_weight=(1.0, 2.0))
        >>> labels = torch.tensor([[[0, 1], [1, 255]]])  # 255: not labelled
        >>> round(loss(torch.zeros(1, 2, 2, 2), labels).item(), 4)
        0.6931

    Args:
        class_weight: one weight for each class; None gives all classes the weight 1.
        loss_weight: factor on the loss.
        loss_name: name of the loss in the log.
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
        """Return the loss, a scalar, of scores ``(N, C, H, W)`` for labels ``(N, H, W)``.

        ``weight`` ``(N, H, W)`` is a factor on the loss of each pixel; a pixel sampler gives it. If
        all pixels are ignored, the loss is 0.
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
