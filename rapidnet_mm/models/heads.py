"""The published classifiers as heads of MMPretrain's ImageClassifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.registry import MODELS
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from ..backbones.base import check_rate
from ..errors import UserError
from .classifiers import HiddenClassifier, LinearClassifier, TwoClassifiers

CROSS_ENTROPY = dict(type='CrossEntropyLoss', loss_weight=1.0)
# MMPretrain starts its own linear heads like this.
LINEAR_INIT = dict(type='Normal', layer='Linear', std=0.01)


class _Head(ClsHead):
    """A classifier on the last map of the backbone, with MMPretrain's losses and predictions.

    Args:
        classifier: a module from ``(N, C, H, W)`` to ``(N, classes)``.
        loss: config of the loss.
        init_cfg: how weights start.
    """

    def __init__(self, classifier: nn.Module, loss: dict, init_cfg: dict | None):
        super().__init__(loss=loss, init_cfg=init_cfg or LINEAR_INIT)
        self.classifier = classifier

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the input of the last layer, ``(N, channels)``."""
        return self.classifier.features(feats[-1])

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return logits ``(N, classes)`` for the last map of the backbone."""
        return self.classifier(feats[-1])


@MODELS.register_module()
class PooledLinearHead(_Head):
    """Pool, dropout, linear: ReXNet (dropout 0.2), ReXNet (plain), VGNet.

    Example:
        >>> head = PooledLinearHead(in_channels=1280, num_classes=5, dropout=0.2)
        >>> tuple(head([torch.rand(2, 1280, 7, 7)]).shape)
        (2, 5)

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: number of classes.
        dropout: share of the pooled features that is set to zero in training.
        loss: config of the loss.
        init_cfg: how weights start; by default as in MMPretrain's linear heads.

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
        _check_classes('PooledLinearHead', num_classes)
        check_rate('PooledLinearHead', 'dropout', dropout)
        super().__init__(LinearClassifier(in_channels, num_classes, dropout), loss, init_cfg)
        self.in_channels = in_channels


@MODELS.register_module()
class ReXNetLiteHead(_Head):
    """Pool, 1x1, BatchNorm, ReLU6, dropout, linear: ReXNet-lite.

    Example:
        >>> head = ReXNetLiteHead(in_channels=1280, num_classes=5)
        >>> tuple(head([torch.rand(2, 1280, 7, 7)]).shape)
        (2, 5)

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: number of classes.
        hidden_channels: width of the layer before the last.
        dropout: share of the hidden features that is set to zero in training.
        loss: config of the loss.
        init_cfg: how weights start; by default as in MMPretrain's linear heads.

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
        _check_classes('ReXNetLiteHead', num_classes)
        check_rate('ReXNetLiteHead', 'dropout', dropout)
        classifier = HiddenClassifier(in_channels, num_classes, hidden_channels, dropout)
        super().__init__(classifier, loss, init_cfg)
        self.in_channels = in_channels


@MODELS.register_module()
class TwoClassifierHead(_Head):
    """One classifier that learns labels and one that learns from a teacher: RapidNet, MobileViG.

    In a :class:`DistilledClassifier` each has its own loss. Elsewhere the loss is that of their
    average. Predictions are always the average.

    Example:
        >>> head = TwoClassifierHead(in_channels=224, num_classes=5)
        >>> tuple(head([torch.rand(2, 224, 7, 7)]).shape)
        (2, 5)

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: number of classes.
        hidden_channels: width of the layer before the classifiers.
        distilled: False leaves the second classifier out.
        loss: config of the loss on the labels.
        init_cfg: how weights start; by default as in MMPretrain's linear heads.

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
        _check_classes('TwoClassifierHead', num_classes)
        classifier = TwoClassifiers(in_channels, num_classes, hidden_channels, distilled)
        super().__init__(classifier, loss, init_cfg)
        self.in_channels = in_channels


def _check_classes(name: str, num_classes: Any) -> None:
    if not isinstance(num_classes, int) or num_classes < 1:
        raise UserError(f'{name}: num_classes={num_classes!r} must be a whole number from 1')
