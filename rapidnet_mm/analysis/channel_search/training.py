"""Train one network for a short time, and evaluate it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .images import Images

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
WARM_UP = 0.15  # share of the training with a rising learning rate; then a cosine
SHIFT = 8  # images are shifted by up to 1/8 of their size
EVALUATION_BATCH = 256


class Recipe(NamedTuple):
    """The recipe of all trainings."""

    epochs: int = 5
    batch: int = 64
    lr: float = 0.1
    seed: int = 0


class Scale(NamedTuple):
    """Mean and standard deviation of the training images, by channel."""

    mean: Tensor
    std: Tensor

    def __call__(self, pixels: Tensor, device: str) -> Tensor:
        """Return normalised pixels for the network: (N, H, W, 3) to (N, 3, H, W), channels last."""
        scaled = (pixels.float() - self.mean) / self.std
        return scaled.to(device).permute(0, 3, 1, 2)


def scale_of(images: Images) -> Scale:
    """Return mean and standard deviation of images; of a large data set, from a part of them."""
    some = images.pixels[:: max(1, len(images.pixels) // 1000)].double()
    return Scale(some.mean((0, 1, 2)).float(), some.std((0, 1, 2)).clamp(min=1).float())


def train(network: nn.Module, images: Images, recipe: Recipe, device: str) -> None:
    """Train a network with SGD. All networks get the same batches with the same augmentation."""
    batch = min(recipe.batch, len(images.labels))
    steps = (
        len(images.labels) // batch
    )  # per epoch; the remaining images are left out of this epoch
    scale = scale_of(images)
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.lr, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    total = recipe.epochs * steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total + 1, pct_start=WARM_UP, cycle_momentum=False
    )
    network.train()
    for pixels, labels in _batches(images, recipe, batch, steps):
        loss = F.cross_entropy(network(scale(pixels, device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _batches(
    images: Images, recipe: Recipe, batch: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    numbers = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images.labels), generator=numbers)
        for indices in order[: steps * batch].split(batch):
            yield _moved(images.pixels[indices], numbers), images.labels[indices]


def _moved(pixels: Tensor, numbers: torch.Generator) -> Tensor:
    """Shift each image by a few pixels, repeating its border, and mirror half of the images."""
    count, size = pixels.shape[:2]
    most = size // SHIFT
    offsets = torch.randint(-most, most + 1, (2, count, 1), generator=numbers)
    rows, columns = (torch.arange(size) + offsets).clamp(0, size - 1)
    mirrored = torch.rand(count, 1, generator=numbers) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(count)[:, None, None]
    return pixels[image, rows[:, :, None], columns[:, None, :]]


@torch.no_grad()
def accuracy(network: nn.Module, images: Images, scale: Scale, device: str) -> float:
    """Return the top-1 accuracy in percent."""
    network.eval()
    right = 0
    pairs = zip(*(part.split(EVALUATION_BATCH) for part in images), strict=True)
    for pixels, labels in pairs:
        guesses = network(scale(pixels, device)).argmax(1).cpu()
        right += int((guesses == labels).sum())
    return 100 * right / len(images.labels)
