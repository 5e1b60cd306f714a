"""The classifiers that the backbones were published with, from a feature map to logits.

Plain modules: MMPretrain's heads are built around them in :mod:`rapidnet_mm.models`, and
:mod:`rapidnet_mm.published` counts with them. Published files have 1x1 convolutions on the pooled
map in the place of these linear layers, which is the same.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

IMAGENET_CLASSES = 1000


def pooled(x: Tensor) -> Tensor:
    """The mean over the map: ``(N, C, H, W) -> (N, C)``."""
    return x.mean((2, 3))


class Hidden(nn.Sequential):
    """Linear layer, BatchNorm, activation: what comes between pooling and classifiers.

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
        """What the last layer sees: ``(N, C, H, W) -> (N, C)``."""
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
        """What the last layer sees: ``(N, C, H, W) -> (N, hidden_channels)``."""
        return self.hidden(pooled(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(x)))


class TwoClassifiers(nn.Module):
    """Pool, 1x1, BatchNorm, GELU, then a classifier for labels and one for a teacher's: RapidNet.

    At inference the two are averaged. ``distilled=False`` leaves the second out.

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
        """What the classifiers see: ``(N, C, H, W) -> (N, hidden_channels)``."""
        return self.hidden(pooled(x))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the label classifier and of the distilled one, for the loss."""
        features = self.features(x)
        return self.label(features), self.distilled(features)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        if self.distilled is None:
            return self.label(features)
        return (self.label(features) + self.distilled(features)) / 2
