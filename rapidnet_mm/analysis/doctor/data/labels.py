"""Label maps: how many pixels each class has, and maps that say little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from PIL import Image

from ....data.checks.image_files import read_in_threads
from ....data.checks.messages import first_few
from ..finding import ODD, Finding
from .samples import Sample, Split

UNLABELLED = 0.5  # share of all pixels without a class that is worth a word
RARE_PIXELS = 1e-5  # share of a class
BATCH = 16


def pixel_counts(split: Split, samples: Sequence[Sample]) -> list[Counter]:
    """Return of each label map how many pixels each class has; -1 are those without a class."""
    if split.kind != 'maps':
        return []
    paths = [sample.label_map for sample in samples]
    count = partial(_count, split)
    return read_in_threads(count, paths, BATCH, f'counting pixels of {len(paths)} label maps')


def _count(split: Split, path: str) -> Counter:
    try:
        with Image.open(path) as file:
            pixels = np.asarray(file)
    except Exception:  # a damaged file can raise almost anything in PIL; the check names it
        return Counter()
    if pixels.ndim != 2:
        return Counter()
    values, numbers = np.unique(pixels, return_counts=True)
    counts: Counter = Counter()
    for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
        label = int(value) - split.zero_is_ignored
        has_class = value != split.ignored and 0 <= label < len(split.classes)
        counts[label if has_class else -1] += number
    return counts


def map_findings(
    split: Split, samples: Sequence[Sample], counts: Sequence[Counter]
) -> Iterator[Finding]:
    """Yield what is odd about the label maps of a split."""
    if not counts:
        return
    yield from _poor_maps(split, samples, counts)
    total: Counter = sum(counts, Counter())
    pixels = sum(total.values()) or 1
    if total[-1] > UNLABELLED * pixels:
        yield Finding(
            ODD,
            split.where,
            f'{total[-1] / pixels:.0%} of the pixels are not labelled',
            'they are left out of the loss; label more, or check ignore_index',
        )
    small = [
        f'{split.classes[label]} ({number / pixels:.4%})'
        for label, number in total.items()
        if label >= 0 and number < RARE_PIXELS * pixels
    ]
    if small and split.name == 'train':
        yield Finding(
            ODD,
            split.where,
            f'{len(small)} classes have less than {RARE_PIXELS:.3%} of the pixels: '
            f'{first_few(small)}',
            'a class_weight in the loss, or more images with them',
        )


def _poor_maps(
    split: Split, samples: Sequence[Sample], counts: Sequence[Counter]
) -> Iterator[Finding]:
    """Yield label maps without a class, and those with one only."""
    names = [sample.label_map.rpartition('/')[2] for sample in samples]
    classes = [[label for label in pixels if label >= 0] for pixels in counts]
    for number, what, advice in (
        (0, 'have no labelled pixel', 'remove them: nothing can be learned from them'),
        (1, 'have one class only', 'fine if that is so; look at them'),
    ):
        few = [name for name, own in zip(names, classes, strict=True) if len(own) == number]
        few = [n for n in few if number or counts[names.index(n)]]  # a damaged one is a fault
        if few:
            yield Finding(
                ODD,
                split.where,
                f'{len(few)} of {len(names)} label maps {what}: {first_few(few)}',
                advice,
            )
