"""Divide images into train and val: classes in proportion, images that resemble on one side.

The division is iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011), over groups of
images instead of single ones: the rarest class is dealt with first, and each group goes where
most of the class is still missing. Then single groups change sides as long as that brings the
number of images, or the classes, nearer to their shares.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import UserError
from ..checks.messages import counted, first_few
from .samples import Collection, Picture
from .similar import groups_of

SIDES = ('train', 'val')
MOST_CELLS = 50_000_000  # groups times classes for which the second step is affordable
MOST_MOVES = 1000
SIZE_WEIGHT = 4000  # 5 % too many images count as 10, one image too many of a class of 10 as 0.1
IN_TRAIN, IN_VAL = 200.0, 100.0  # the cost of a class that a side lacks: nobody learns it unseen
EMPTY = ''  # the class of images without objects: they are kept in proportion too

Group = list[int]
Classes = Mapping[int, set[str]]  # the classes of each image


def complete_splits(
    collection: Collection,
    val: float,
    seed: int,
    classes_of: Mapping[str, set[str]] | None = None,
    divide: bool = False,
) -> None:
    """Give each picture a split, if train or val is missing. A test split stays.

    Args:
        collection: its pictures are changed, and notes added.
        val: the share of images for val.
        seed: another one gives another division.
        classes_of: the classes of each label map, by the path of the image.
        divide: divide train and val anew, too.

    Raises:
        UserError: there are too few images.
    """
    if not 0 < val < 1:
        raise UserError(f'--val is {val:g}; it must be a share between 0 and 1, such as 0.2')
    there = {picture.split for picture in collection.pictures}
    if {*SIDES} <= there and not divide:
        left = [picture for picture in collection.pictures if picture.split is None]
        if left:
            collection.notes.append(f'{counted(len(left), "image")} of no split: used to train')
        for picture in left:
            picture.split = 'train'
        return
    only_test = there == {'test'}
    pictures = [picture for picture in collection.pictures if only_test or picture.split != 'test']
    pictures.sort(key=lambda picture: str(picture.path))
    if len(pictures) < 2:
        raise UserError(
            f'{counted(len(pictures), "image")} cannot be divided into train and val; annotate at '
            'least one more'
        )
    classes = {
        index: (classes_of or {}).get(str(picture.path)) or _classes(picture)
        for index, picture in enumerate(pictures)
    }
    groups = groups_of([picture.path for picture in pictures])
    notes = collection.notes
    notes.append(_reason(there, divide))
    groups = _cut_large(groups, val, notes)
    chosen = stratify(groups, classes, val, seed)
    for index, picture in enumerate(pictures):
        picture.split = 'val' if index in chosen else 'train'
    notes += _describe(pictures, groups, classes, seed)


def _classes(picture: Picture) -> set[str]:
    if picture.label is not None:
        return {picture.label}
    return {one.name for one in picture.objects} or {EMPTY}


def _reason(there: set[str | None], divide: bool) -> str:
    names = sorted(filter(None, there - {'test'} or there))
    if divide and names:
        return f'the division into {" and ".join(names)} is replaced'
    if names:
        return f'there is only {names[0]}, so it is divided'
    return 'there is no division into train and val, so one is made'


def _cut_large(groups: list[Group], val: float, notes: list[str]) -> list[Group]:
    """Cut a group that is larger than the whole of train: it cannot be on one side."""
    total = sum(map(len, groups))
    largest = max(groups, key=len)
    if len(largest) <= (1 - val) * total or len(largest) < 2:
        return groups
    count = min(max(round(val * len(largest)), 1), len(largest) - 1)
    notes.append(
        f'{len(largest)} of {total} images resemble each other, like one video: the last {count} '
        'by name can be val; results on them look too good, so collect images of other scenes'
    )
    rest = [group for group in groups if group is not largest]
    return [*rest, largest[:-count], largest[-count:]]


def stratify(groups: Sequence[Group], classes: Classes, val: float, seed: int) -> set[int]:
    """Return the indexes of the images for val.

    Args:
        groups: indexes of images that stay together; at least two groups.
        classes: the classes of each image.
        val: the share of images for val.
        seed: decides between groups that fit equally well.
    """
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    counts = [Counter(name for index in group for name in classes[index]) for group in groups]
    left: Counter[str] = Counter()
    members: dict[str, list[int]] = defaultdict(list)
    for group in order:
        left.update(counts[group])
        for name in counts[group]:
            members[name].append(group)
    share = {'train': 1 - val, 'val': val}
    wanted = {side: {name: left[name] * share[side] for name in left} for side in SIDES}
    room = {side: sum(map(len, groups)) * share[side] for side in SIDES}
    sides: dict[int, str] = {}
    while left:
        rarest = min(left, key=lambda name: (left[name], name))
        open_groups = [group for group in members[rarest] if group not in sides]
        # Large groups first: small ones can fill what is left.
        for group in sorted(open_groups, key=lambda group: -len(groups[group])):
            side = max(SIDES, key=lambda side: (wanted[side][rarest], room[side]))
            sides[group] = side
            room[side] -= len(groups[group])
            for name, count in counts[group].items():
                wanted[side][name] -= count
            left.subtract(counts[group])
        left = +left  # without the classes that are dealt with
    in_val = np.array([sides[group] == 'val' for group in range(len(groups))])
    if in_val.all() or not in_val.any():
        spread = Counter(name for count in counts for name in count if name != EMPTY)
        own = [sum(spread[name] == 1 for name in count) for count in counts]
        least = min(range(len(groups)), key=lambda group: (own[group], len(groups[group])))
        in_val[:] = False
        in_val[least] = True  # what is missed least in train
    in_val = _improve(in_val, [len(group) for group in groups], counts, val)
    return {index for group in np.flatnonzero(in_val) for index in groups[group]}


def _improve(
    in_val: np.ndarray, sizes: Sequence[int], counts: Sequence[Counter[str]], val: float
) -> np.ndarray:
    """Let groups change sides one by one, each time the one that helps most.

    The cost is the square of what is too much or too little, of images and of each class, and a
    large number for each class that a side lacks although two groups have it.
    """
    columns = {name: place for place, name in enumerate(sorted(set().union(*counts)))}
    if len(counts) * len(columns) > MOST_CELLS:
        return in_val
    table = np.zeros((len(counts), len(columns) + 1), np.float32)
    table[:, -1] = sizes
    for group, count in enumerate(counts):
        for name, number in count.items():
            table[group, columns[name]] = number
    totals = table.sum(0)
    weights = 1 / totals
    weights[-1] = SIZE_WEIGHT / totals[-1] ** 2
    has = (table > 0).astype(np.float32)
    if EMPTY in columns:
        has[:, columns[EMPTY]] = 0  # a side can do without
    own_cost = table**2 @ weights
    for _ in range(MOST_MOVES):
        pull = 2 * table @ (weights * (table[in_val].sum(0) - val * totals))
        val_has, train_has = has[in_val].sum(0), has[~in_val].sum(0)
        into_val = has @ (IN_TRAIN * (train_has == 1) - IN_VAL * (val_has == 0)) + pull
        into_train = has @ (IN_VAL * (val_has == 1) - IN_TRAIN * (train_has == 0)) - pull
        change = np.where(in_val, into_train, into_val) + own_cost
        for side in (in_val, ~in_val):
            if side.sum() == 1:
                change[side] = np.inf  # no side becomes empty
        best = int(change.argmin())
        if change[best] > -1e-3:
            break
        in_val[best] = not in_val[best]
    return in_val


def _describe(
    pictures: Sequence[Picture], groups: Sequence[Group], classes: Classes, seed: int
) -> list[str]:
    """Say how the images are divided, and what was not possible."""
    counts = Counter(picture.split for picture in pictures)
    notes = [
        f'{len(pictures)} images are divided: {counts["train"]} train, {counts["val"]} val '
        f'(seed {seed}), each class in proportion'
    ]
    alike = [group for group in groups if len(group) > 1]
    if alike:
        notes.append(
            f'{sum(map(len, alike))} images resemble others; each of these {len(alike)} groups is '
            'on one side'
        )
    for side, other in (SIDES, SIDES[::-1]):
        names: dict[str, set[str]] = {one: set() for one in SIDES}
        for index, picture in enumerate(pictures):
            names[str(picture.split)] |= classes[index] - {EMPTY}
        if absent := sorted(names[other] - names[side]):
            notes.append(f'{side} has no {first_few(absent, 8)}: too few images show it')
    return notes
