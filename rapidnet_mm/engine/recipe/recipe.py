"""All choices for a data set: what a new config says."""

from __future__ import annotations

from typing import NamedTuple

from ...data.importers.dataset import Dataset
from . import choices
from .anchors import Anchors, choose_anchors
from .choices import Choice, Machine
from .models import Base
from .statistics import Statistics
from .trial import Attempt

FEW_PASSES, MANY_PASSES = 12, 50  # over the images; more of them need more augmentation
UNTRIED = Attempt(1, 0.0, 1.0, 0.01)  # while nothing has been tried yet


class Recipe(NamedTuple):
    """The settings of a training.

    Attributes:
        side: longer side of the images in pixels.
        crop: side of a segmenter's crops.
        batch: images in a step.
        iterations: steps of the training.
        warm_up: steps with a rising learning rate.
        lr: the highest learning rate.
        interval: steps between validations.
        workers: processes that load images.
        augmentation: 0 for flips only, 1 for scales and colours too, 2 for crops too.
        anchors: of a detector with a feature pyramid.
        class_weights: of label maps.
        objects: objects in an image, usually.
    """

    side: Choice
    crop: Choice | None
    batch: Choice
    iterations: Choice
    warm_up: Choice
    lr: Choice
    interval: Choice
    workers: Choice
    augmentation: Choice
    anchors: Anchors | None
    class_weights: Choice | None
    objects: float


def make_recipe(
    data: Dataset,
    statistics: Statistics,
    base: Base,
    machine: Machine,
    from_scratch: bool,
    minutes: float | None,
    attempts: list[Attempt] | None = None,
) -> Recipe:
    """Make all choices; without ``attempts`` those for a first trial."""
    most = choices.most_images(data.task, statistics, machine)
    batch = choices.batch_size(attempts or [UNTRIED], most, machine)
    tried = next((one for one in attempts or () if one.batch == batch.value), UNTRIED)
    step = tried.seconds
    total = choices.iterations(
        data.task, statistics.images, batch.value, step, machine, from_scratch, minutes
    )
    side = _side(data, statistics, base, machine)
    crop = None
    if data.task == 'semantic':
        crop = choices.crop_side(statistics, side.value, machine)
    anchors = None
    if base.kind in ('FasterRCNN', 'MaskRCNN'):
        scale = side.value / statistics.long_sides
        anchors = choose_anchors(statistics.boxes * scale[:, None])
    return Recipe(
        side=side,
        crop=crop,
        batch=batch,
        iterations=total,
        warm_up=choices.warm_up(total.value),
        lr=choices.learning_rate(data.task, batch.value, from_scratch),
        interval=choices.validation_interval(total.value, batch.value, statistics.val_images, step),
        workers=choices.workers(tried.load_seconds, batch.value, step, machine),
        augmentation=augmentation(total.value * batch.value / statistics.images),
        anchors=anchors,
        class_weights=choices.class_weights(statistics.class_counts)
        if data.task == 'semantic'
        else None,
        objects=len(statistics.boxes) / statistics.images,
    )


def augmentation(passes: float) -> Choice:
    """Choose how much images are changed: the more often each is seen, the more."""
    seen = f'each image is seen {passes:.0f} times'
    if passes < FEW_PASSES:
        return Choice(0, f'{seen}: few changes')
    if passes < MANY_PASSES:
        return Choice(1, f'{seen}: scales and colours change too')
    return Choice(2, f'{seen}: little data, so scales, colours and crops change too')


def _side(data: Dataset, statistics: Statistics, base: Base, machine: Machine) -> Choice:
    if data.task == 'semantic':
        return choices.label_side(statistics, machine)
    if data.task == 'classes':
        return choices.class_side(statistics, machine)
    if base.kind == 'SingleStageDetector':
        return Choice(320, "SSDLite's anchors are made for this size")
    return choices.detector_side(statistics, machine)
