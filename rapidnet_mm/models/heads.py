"""The published classifiers as heads of MMPretrain's ImageClassifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.registry import MODELS
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from ..errors import UserError
from .classifiers import HiddenClassifier, LinearClassifier, TwoClassifiers

CROSS_ENTROPY = dict(type='CrossEntropyLoss', loss_weight=1.0)
# As MMPretrain starts its own linear heads.
LINEAR_INIT = dict(type='Normal', layer='Linear', std=0.01)


class _Head(ClsHead):
    """A classifier on the last of the backbone's maps, with MMPretrain's losses and predictions.

    Args:
        classifier: from ``(N, C, H, W)`` to ``(N, classes)``.
        loss: config of the loss.
        init_cfg: how to start.
    """

    def __init__(self, classifier: nn.Module, loss: dict, init_cfg: dict | None):
        super().__init__(loss=loss, init_cfg=init_cfg or LINEAR_INIT)
        self.classifier = classifier

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """What the last layer sees: ``(N, channels)``."""
        return self.classifier.features(feats[-1])

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Logits ``(N, classes)`` of the last map of the backbone."""
        return self.classifier(feats[-1])


def _checked(head: str, num_classes: Any, dropout: float = 0.0) -> None:
    if not isinstance(num_classes, int) or num_classes < 1:
        raise UserError(f'{head}: num_classes={num_classes!r} must be a whole number from 1')
    if not 0 <= dropout < 1:
        raise UserError(f'{head}: dropout={dropout} must be in [0, 1)')


@MODELS.register_module()
class PooledLinearHead(_Head):
    """Pool, dropout, linear: ReXNet (dropout 0.2), ReXNet (plain), VGNet.

    Args:
        in_channels: of the backbone's last map.
        num_classes: how many.
        dropout: share of the pooled features that is zeroed in training.
        loss: config of the loss.
        init_cfg: how to start.

    Raises:
        UserError: an argument out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dropout: float = 0.0,
        loss: dict = CROSS_ENTROPY,
        init_cfg: dict | None = None,
    ):
        _checked('PooledLinearHead', num_classes, dropout)
        super().__init__(LinearClassifier(in_channels, num_classes, dropout), loss, init_cfg)
        self.in_channels = in_channels


@MODELS.register_module()
class ReXNetLiteHead(_Head):
    """Pool, 1x1, BatchNorm, ReLU6, dropout, linear.

    Args:
        in_channels: of the backbone's last map.
        num_classes: how many.
        hidden_channels: width of the layer before the last.
        dropout: share of its features that is zeroed in training.
        loss: config of the loss.
        init_cfg: how to start.

    Raises:
        UserError: an argument out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden_channels: int = 1024,
        dropout: float = 0.2,
        loss: dict = CROSS_ENTROPY,
        init_cfg: dict | None = None,
    ):
        _checked('ReXNetLiteHead', num_classes, dropout)
        classifier = HiddenClassifier(in_channels, num_classes, hidden_channels, dropout)
        super().__init__(classifier, loss, init_cfg)
        self.in_channels = in_channels


@MODELS.register_module()
class TwoClassifierHead(_Head):
    """RapidNet's and MobileViG's: a classifier for labels and one for a teacher's, averaged.

    In a :class:`DistilledClassifier` each has its own loss. Without a teacher the average is
    trained; ``distilled=False`` leaves the second classifier out.

    Args:
        in_channels: of the backbone's last map.
        num_classes: how many.
        hidden_channels: width of the layer before the classifiers.
        distilled: whether there is a second classifier.
        loss: config of the loss of the labels.
        init_cfg: how to start.

    Raises:
        UserError: an argument out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden_channels: int = 512,
        distilled: bool = True,
        loss: dict = CROSS_ENTROPY,
        init_cfg: dict | None = None,
    ):
        _checked('TwoClassifierHead', num_classes)
        classifier = TwoClassifiers(in_channels, num_classes, hidden_channels, distilled)
        super().__init__(classifier, loss, init_cfg)
        self.in_channels = in_channels
