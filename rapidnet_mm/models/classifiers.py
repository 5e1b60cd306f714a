"""The published classifiers of the backbones, from a feature map to logits.

These are plain modules. :mod:`.heads` wraps them for MMPretrain, and
:mod:`rapidnet_mm.analysis` counts their parameters. Published files have 1x1 convolutions
on the pooled map instead of these linear layers, which compute the same.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

IMAGENET_CLASSES = 1000


def pooled(x: Tensor) -> Tensor:
    """Return the mean over the map: ``(N, C, H, W) -> (N, C)``."""
    return x.mean((2, 3))


class Hidden(nn.Sequential):
    """The layers between pooling and classifiers: linear, BatchNorm, activation.

    Shape: ``(N, C_in) -> (N, C_out)``.
    """

    def __init__(self, in_channels: int, out_channels: int, act: Callable[[], nn.Module]):
        super().__init__()
        self.fc = nn.Linear(in_channels, out_channels)
        self.norm = nn.BatchNorm1d(out_channels)
        self.act = act()


class LinearClassifier(nn.Module):
    """Pool, dropout, linear: ReXNet (dropout 0.2), ReXNet (plain) and VGNet.

    Shape: ``(N, C, H, W) -> (N, classes)``.
    """

    def __init__(self, in_channels: int, num_classes: int = IMAGENET_CLASSES, dropout: float = 0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the last layer: ``(N, C, H, W) -> (N, C)``."""
        return pooled(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(x)))


class HiddenClassifier(nn.Module):
    """Pool, 1x1 to 1024, BatchNorm, ReLU6, dropout, linear: ReXNet-lite.

    Shape: ``(N, C, H, W) -> (N, classes)``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int = IMAGENET_CLASSES,
        hidden_channels: int = 1024,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.hidden = Hidden(in_channels, hidden_channels, nn.ReLU6)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_channels, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the last layer: ``(N, C, H, W) -> (N, hidden_channels)``."""
        return self.hidden(pooled(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(x)))


class TwoClassifiers(nn.Module):
    """Pool, 1x1, BatchNorm, GELU, two linear classifiers: RapidNet and MobileViG.

    The first learns the labels, the second learns from a teacher. The output is their average.
    ``distilled=False`` leaves the second out.

    Shape: ``(N, C, H, W) -> (N, classes)``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int = IMAGENET_CLASSES,
        hidden_channels: int = 512,
        distilled: bool = True,
    ):
        super().__init__()
        self.hidden = Hidden(in_channels, hidden_channels, nn.GELU)
        self.label = nn.Linear(hidden_channels, num_classes)
        self.distilled = nn.Linear(hidden_channels, num_classes) if distilled else None

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the classifiers: ``(N, C, H, W) -> (N, hidden_channels)``."""
        return self.hidden(pooled(x))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the first and of the second classifier, for the two losses."""
        features = self.features(x)
        return self.label(features), self.distilled(features)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        if self.distilled is None:
            return self.label(features)
        return (self.label(features) + self.distilled(features)) / 2
