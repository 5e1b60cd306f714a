"""Classes that are rare, or that a split does not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ....data.checks.messages import first_few
from ..finding import ODD, SPOILS, Finding
from .samples import Split

RARE = 10  # objects or images of a class in the training data
UNEVEN = 50  # factor between the most and the least frequent class of class folders
NAMED = 8


def counts_of(split: Split, maps: Sequence[Counter] | None = None) -> Counter:
    """Return how many objects, images or label maps a split has of each class.

    Args:
        split: the data set.
        maps: of each label map, the number of pixels of each class.
    """
    if split.kind == 'classes':
        return Counter(sample.label for sample in split.samples)
    if split.kind == 'maps':
        return Counter(label for pixels in maps or () for label in pixels)
    objects = [o for sample in split.samples for o in sample.objects if not o.is_crowd]
    return Counter(o.label for o in objects)


def class_findings(splits: Sequence[Split], counts: Sequence[Counter]) -> Iterator[Finding]:
    """Yield the classes that a split lacks, or of which it has few."""
    numbers = dict(zip([split.name for split in splits], counts, strict=True))
    for split, own in zip(splits, counts, strict=True):
        noun = {'objects': 'object', 'maps': 'label map', 'classes': 'image'}[split.kind]
        absent = [label for label in range(len(split.classes)) if not own[label]]
        if not own:
            continue
        if split.name == 'train':
            yield from _absent_in_training(split, absent, noun, numbers)
            rare = [i for i in range(len(split.classes)) if 0 < own[i] < RARE]
            if rare:
                rare.sort(key=own.__getitem__)
                names = [f'{_short(split.classes[i])} ({own[i]})' for i in rare]
                yield Finding(
                    ODD,
                    split.where,
                    f'{len(rare)} of {len(split.classes)} classes have less than {RARE} {noun}s: '
                    f'{first_few(names, NAMED)}',
                    'annotate more of them, or leave these classes out',
                )
            if split.kind == 'classes' and max(own.values()) > UNEVEN * min(own.values()):
                yield Finding(
                    ODD,
                    split.where,
                    f'the largest class has {max(own.values())} images, the smallest '
                    f'{min(own.values())}',
                    'more images of the small ones, or a sampler such as ClassBalancedDataset',
                )
        elif absent:
            yield Finding(
                ODD,
                split.where,
                f'{len(absent)} of {len(split.classes)} classes have no {noun}: '
                f'{_first(split, absent)}',
                'nothing is measured for them; the mean is over the others',
            )


def _absent_in_training(
    split: Split, absent: Sequence[int], noun: str, numbers: dict[str, Counter]
) -> Iterator[Finding]:
    if not absent:
        return
    others = numbers.get('val') or numbers.get('test') or Counter()
    measured = sum(1 for label in absent if others[label])
    also = f' (the validation data have {measured} of them)' if measured else ''
    yield Finding(
        SPOILS,
        split.where,
        f'{len(absent)} of {len(split.classes)} classes have no {noun}, so a model cannot learn '
        f'them: {_first(split, absent)}{also}',
        'annotate some, leave the classes out, or split the data anew',
    )


def _first(split: Split, labels: Sequence[int]) -> str:
    return first_few([_short(split.classes[label]) for label in labels], NAMED)


def _short(name: str) -> str:
    """Return the first of several words for a class, as ADE20K has them."""
    return name.partition(',')[0]


def empty_findings(split: Split) -> Iterator[Finding]:
    """Yield images without annotations."""
    if split.kind != 'objects':
        return
    names = [s.path.rpartition('/')[2] for s in split.samples if not s.objects]
    if names:
        fate = 'they are left out' if split.leaves_out_empty else 'they are background'
        yield Finding(
            ODD,
            split.where,
            f'{len(names)} of {len(split.samples)} images have no objects ({fate}): '
            f'{first_few(names)}',
            'fine if nothing is to be found in them; otherwise annotate them',
        )
