"""Choose the settings of a training, each with its reason. Pure functions of measured numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...data.checks.messages import first_few
from .statistics import Statistics
from .trial import Attempt

STEP = 32  # image sides are multiples of this, the largest stride of a backbone
LEAST = 64  # of a classifier's images
SIDES = (320, 416, 512, 640, 800, 1024, 1344)
LEAST_ON_GPU = 512  # there, smaller photos save little time
SMALL = 16  # a tenth of the objects may be smaller than this after resizing, in pixels
MEMORY = 0.6  # share of the free memory that a step may need
STEPS_A_PASS = 48  # a batch is small enough for so many steps in a pass over the images
BATCHES = {'boxes': 16, 'instance': 16, 'semantic': 16, 'classes': 128}  # the largest
# On a CPU time is short, and many steps with few images learn more in it than few steps.
CPU_BATCHES = {'boxes': 2, 'instance': 2, 'semantic': 4, 'classes': 32}
FLOORS = {'boxes': 500, 'instance': 500, 'semantic': 400, 'classes': 300}
# Of steps, without --minutes. A classifier's small images need less.
CPU_MINUTES = {'boxes': 5.0, 'instance': 5.0, 'semantic': 5.0, 'classes': 1.5}
FULL_SET = 100_000  # images; the published recipes for so many have about 12 passes
PASSES = (12, 100)  # over the images, from ImageNet weights, for large and for small sets
FROM_RANDOM = 3  # so many times as long from random weights
MOST_ITERATIONS = 90_000  # as the usual recipe for COCO
VALIDATION_SHARE = 0.15  # of the time of a training
MANY_VALIDATIONS = 10
WARM_UP_SHARE = 0.05
LONGEST_WARM_UP = 500


class Machine(NamedTuple):
    """What the training runs on.

    Attributes:
        device: 'cuda', 'mps' or 'cpu'.
        cores: number of CPU cores.
        memory: free bytes for a training, of the GPU if there is one.
    """

    device: str
    cores: int
    memory: float

    @property
    def is_cpu(self) -> bool:
        """Return whether there is no GPU."""
        return self.device == 'cpu'


class Choice(NamedTuple):
    """A setting and the sentence that says why."""

    value: Any
    reason: str

    @property
    def sentence(self) -> str:
        """Return the reason as a sentence of its own."""
        return f'{self.reason[:1].upper()}{self.reason[1:]}.'


def detector_side(statistics: Statistics, machine: Machine) -> Choice:
    """Choose the longer side of a detector's images: small, but with objects to be seen."""
    own = _multiple(statistics.long_side)
    most = min(own, SIDES[-1] if not machine.is_cpu else 800)
    least = 0 if machine.is_cpu else LEAST_ON_GPU
    sides = [side for side in SIDES if least <= side < most] + [most]
    tenths = [float(np.quantile(statistics.object_sizes(side), 0.1)) for side in sides]
    index = next((i for i, tenth in enumerate(tenths) if tenth >= SMALL), len(sides) - 1)
    side, tenth = sides[index], tenths[index]
    size = 'their own size' if side == own else f'usually they have {statistics.long_side}'
    if tenth >= SMALL:
        why = f'nine of ten objects are then {tenth:.0f} px or larger'
    else:
        why = f'a tenth of the objects is smaller than {max(1, tenth):.0f} px, which is hard to see'
    return Choice(side, f'{size}: {why}')


def label_side(statistics: Statistics, machine: Machine) -> Choice:
    """Choose the longer side of a segmenter's images."""
    most = 640 if machine.is_cpu else 2048
    side = min(_multiple(statistics.long_side), most)
    why = 'their own size' if side < most else 'larger ones would take too long here'
    return Choice(side, f'usually they have {statistics.long_side}: {why}')


def crop_side(statistics: Statistics, side: int, machine: Machine) -> Choice:
    """Choose the side of the square crops that a segmenter is trained on."""
    short = statistics.short_side * side / statistics.long_side
    crop = int(min(_floor(short), 320 if machine.is_cpu else 512))
    return Choice(max(STEP, crop), f'square, inside images of {side}x{short:.0f}')


def class_side(statistics: Statistics, machine: Machine) -> Choice:
    """Choose the side of a classifier's images."""
    most = 128 if machine.is_cpu else 224
    own = max(LEAST, _multiple(statistics.short_side))
    usual = 'ImageNet has 224' if most == 224 else 'larger ones would take too long here'
    why = 'their own size' if own <= most else usual
    return Choice(min(own, most), f'the images have {statistics.short_side}: {why}')


def most_images(task: str, statistics: Statistics, machine: Machine) -> int:
    """Return the largest batch to try: a power of two."""
    limit = (CPU_BATCHES if machine.is_cpu else BATCHES)[task]
    by_images = max(2, statistics.images // STEPS_A_PASS)
    most = min(limit, by_images, statistics.images)
    return 2 ** int(math.log2(most))


def batch_size(attempts: Sequence[Attempt], most: int, machine: Machine) -> Choice:
    """Choose the batch from steps that were tried: the largest that fits into the memory."""
    fitting = [one for one in attempts if one.memory <= MEMORY * machine.memory]
    best = max(fitting or attempts[:1], key=lambda one: one.batch)
    used, free = best.memory / 2**30, machine.memory / 2**30
    reason = f'tried: it needs {used:.1f} of {free:.1f} GiB'
    if best.batch < most:
        return Choice(best.batch, f'{reason}, and {2 * best.batch} do not fit')
    why = 'a CPU learns faster from many small steps' if machine.is_cpu else 'enough for this data'
    return Choice(best.batch, f'{reason}; {why}')


def passes_wanted(images: int, from_scratch: bool) -> float:
    """Return how often a training should see each image: small sets more often."""
    few, many = PASSES
    passes = min(many, max(few, few * math.sqrt(FULL_SET / images)))
    return passes * (FROM_RANDOM if from_scratch else 1)


def iterations_wanted(task: str, images: int, batch: int, from_scratch: bool) -> int:
    """Return the iterations that the data want, whatever the machine is."""
    wanted = passes_wanted(images, from_scratch) * images / batch
    return _rounded(min(MOST_ITERATIONS, max(fewest_iterations(task, from_scratch), wanted)))


def fewest_iterations(task: str, from_scratch: bool) -> int:
    """Return the iterations that something is learned in, however little time there is."""
    return FLOORS[task] if from_scratch else FLOORS[task] * 3 // 5


def iterations(
    task: str,
    images: int,
    batch: int,
    seconds: float,
    machine: Machine,
    from_scratch: bool,
    minutes: float | None = None,
) -> Choice:
    """Choose the number of steps: what the data want, within the time, but not below a floor.

    Args:
        task: of the data.
        images: number of training images.
        batch: images in a step.
        seconds: that a step took.
        machine: a CPU has a limit of time by default.
        from_scratch: whether the training starts from random weights.
        minutes: that the steps may take.
    """
    wanted = iterations_wanted(task, images, batch, from_scratch)
    floor = fewest_iterations(task, from_scratch)
    usual = CPU_MINUTES[task] if machine.is_cpu else math.inf
    limit = usual if minutes is None else minutes
    affordable = limit * 60 / max(1e-3, seconds)
    value = wanted if affordable >= wanted else _rounded(max(floor, affordable))
    passes = value * batch / images
    reason = f'{_times(passes)} through {images} images, about {_duration(value * seconds)}'
    if value == wanted:
        return Choice(value, reason)
    cause = 'the least that learns something' if value <= floor else 'what fits into the time'
    if minutes is not None and value > affordable:
        cause += f', more than the {minutes:g} min of --minutes'
    return Choice(
        value,
        f'{reason}: {cause}; the data want {wanted} steps, '
        f'with --minutes {max(1, math.ceil(wanted * seconds / 60))}',
    )


def warm_up(total: int) -> Choice:
    """Choose the steps in which the learning rate rises: a twentieth of the training."""
    steps = max(1, min(LONGEST_WARM_UP, round(WARM_UP_SHARE * total)))
    return Choice(steps, 'in these the learning rate rises; at most a twentieth of the training')


def learning_rate(task: str, batch: int, from_scratch: bool) -> Choice:
    """Choose the highest learning rate of AdamW, by the start and the root of the batch."""
    usual = {'boxes': 2, 'instance': 2, 'semantic': 4, 'classes': 32}[task]
    base = {'boxes': 1e-3, 'instance': 1e-3, 'semantic': 2e-3, 'classes': 2e-3}[task]
    start = 'random weights'
    if not from_scratch:  # small steps keep what the backbone has learned
        base, start = base / 5, 'ImageNet weights'
    rate = min(base * math.sqrt(batch / usual), 4 * base)
    text = float(f'{rate:.2g}')
    return Choice(
        text,
        f'from {start}: {base:g} for {usual} images in a step; it grows with the root of the batch',
    )


def validation_interval(
    total: int, batch: int, val_images: int, step: float, largest: int = MANY_VALIDATIONS
) -> Choice:
    """Choose how many steps are between validations, so that these take little of the time."""
    one = val_images * step / batch / 2  # predicting an image takes about half of training on it
    times = int(VALIDATION_SHARE * total * step / max(one, 1e-9))
    times = max(1, min(largest, times))
    interval = math.ceil(total / times)
    count = 'once, at the end' if times == 1 else f'{math.ceil(total / interval)} times'
    return Choice(
        interval, f'it is validated {count}, because more would take too much of the time'
    )


def workers(load_seconds: float, batch: int, step: float, machine: Machine) -> Choice:
    """Choose how many processes load images: as many as keep up with the steps."""
    most = max(1, min(8, machine.cores // 2 if machine.is_cpu else machine.cores - 1))
    needed = math.ceil(1.5 * load_seconds * batch / max(step, 1e-6))
    count = max(1, min(most, needed))
    return Choice(
        count, f'an image loads in {1e3 * load_seconds:.0f} ms, a step takes {1e3 * step:.0f} ms'
    )


def class_weights(shares: Sequence[float]) -> Choice | None:
    """Choose weights of the classes of label maps if some have far more pixels than others."""
    shares = np.array(shares)
    present = shares[shares > 0]
    if len(present) < 2 or present.max() < 10 * present.min():
        return None
    usual = float(np.median(present))
    weights = np.clip(np.sqrt(usual / np.maximum(shares, 1e-6)), 0.2, 2.0)
    weights[shares == 0] = 1.0
    rounded = [round(float(weight), 2) for weight in weights]
    most, least = 100 * present.max(), 100 * present.min()
    return Choice(rounded, f'the classes have from {least:.1f} to {most:.0f} % of the pixels')


def expectation(images: int, from_scratch: bool) -> str:
    """Return what to expect of so few images; '' if there are enough."""
    if images >= 100:
        return ''
    text = f'{images} training images are few: expect the model to learn these images, and to '
    text += 'find similar objects in similar photos only'
    if from_scratch:
        return f'{text}; from random weights nearly nothing can be expected of photos'
    return f'{text}; label 100 or more for a usable model'


def gaps(classes: Sequence[str], statistics: Statistics) -> list[str]:
    """Return a sentence about classes and one about images that nothing can be learned from."""
    absent = [n for n, count in zip(classes, statistics.class_counts, strict=True) if not count]
    notes = []
    if absent:
        notes.append(f'no training image shows, so the model cannot learn: {first_few(absent)}')
    if statistics.empty:
        notes.append(
            f'{statistics.empty} of {statistics.images} training images have no objects, and the '
            'training leaves them out'
        )
    return notes


def _multiple(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)


def _floor(side: float) -> int:
    return int(side // STEP * STEP)


def _rounded(count: float) -> int:
    """Round down to two digits, such as 640 or 12000."""
    unit = 10 ** max(1, int(math.log10(max(count, 1))) - 1)
    return max(10, int(count // unit * unit))


def _times(passes: float) -> str:
    return f'{passes:.0f} times' if passes >= 1.5 else 'once'


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f'{max(1, round(seconds / 60))} min here'
    return f'{seconds / 3600:.1f} h here'
