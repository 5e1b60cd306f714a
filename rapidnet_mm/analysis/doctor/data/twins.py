"""The same image in several places: in two splits, twice in a split, in two classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ....data.checks.messages import first_few
from ..finding import ODD, SPOILS, Finding
from .images import Look
from .samples import Sample, Split

MOST_BITS = 10  # different bits, of 64, of the hashes of two images that may be the same
FLAT = 8.0  # a small picture with less spread has no hash that says anything
NEAR = 10.0  # mean difference of brightness, 0 to 255, of pictures that look the same
CHUNK = 1000  # images that are compared with all others at a time
MANY = 0.05  # share of the validation images


class Entry(NamedTuple):
    """An image with the small picture of it."""

    split: Split
    sample: Sample
    look: Look

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.sample.path.rpartition('/')[2]


class Twins(NamedTuple):
    """Two images that look the same, and whether all their pixels are equal."""

    one: Entry
    other: Entry
    is_exact: bool


def bits_of(small: np.ndarray) -> np.ndarray:
    """Return 64 times 1 or -1: whether a picture of 9x8 becomes brighter from pixel to pixel."""
    tiny = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    return np.where(tiny[:, 1:] > tiny[:, :-1], 1, -1).astype(np.float32).flatten()


def find_twins(entries: Sequence[Entry]) -> list[Twins]:
    """Return all pairs of images that look the same."""
    entries = [entry for entry in entries if entry.look.small.std() > FLAT]
    if not entries:
        return []
    bits = np.stack([bits_of(entry.look.small) for entry in entries])
    twins = []
    for start in range(0, len(bits), CHUNK):
        # Equal bits give 1, different ones -1.
        different = (bits.shape[1] - bits[start : start + CHUNK] @ bits.T) / 2
        for i, j in np.argwhere(different <= MOST_BITS):
            if start + i < j and (pair := _twins(entries[start + i], entries[j])):
                twins.append(pair)
    return twins


def _twins(one: Entry, other: Entry) -> Twins | None:
    difference = np.abs(one.look.small.astype(int) - other.look.small).mean()
    if one.sample.path == other.sample.path or difference > NEAR:
        return None
    return Twins(one, other, bool(difference < 1) and _equal(one, other))


def _equal(one: Entry, other: Entry) -> bool:
    if one.look.size != other.look.size:
        return False
    pixels = [cv2.imread(entry.sample.path) for entry in (one, other)]
    return all(p is not None for p in pixels) and np.array_equal(*pixels)


def twin_findings(
    splits: Sequence[Split], samples: Sequence[Sequence[Sample]], looks: Sequence[Sequence]
) -> Iterator[Finding]:
    """Yield images that are in several places, by their content."""
    entries = [
        Entry(split, sample, seen)
        for split, own, row in zip(splits, samples, looks, strict=True)
        for sample, seen in zip(own, row, strict=True)
        if seen is not None
    ]
    twins = find_twins(entries)
    yield from _same_path(splits)
    for first, second in _split_pairs(splits):
        across = [t for t in twins if {t.one.split.name, t.other.split.name} == {first, second}]
        yield from _across(splits, across, first, second)
    for split in splits:
        inside = [
            t for t in twins if t.one.split is split and t.other.split is split and t.is_exact
        ]
        differ = [t for t in inside if t.one.sample.label != t.other.sample.label]
        if inside:
            yield Finding(
                ODD,
                split.where,
                f'{len(inside)} images are there twice, with equal pixels: {_names(inside)}',
                'remove one of each two',
            )
        if differ:
            yield Finding(
                SPOILS,
                split.where,
                f'{len(differ)} images are in two classes at once: {_names(differ)}',
                'one of the two classes is wrong: remove the image from it',
            )


def _split_pairs(splits: Sequence[Split]) -> Iterator[tuple[str, str]]:
    names = list(dict.fromkeys(split.name for split in splits))
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            yield first, second


def _same_path(splits: Sequence[Split]) -> Iterator[Finding]:
    """Yield splits that share files."""
    paths = defaultdict(set)
    for split in splits:
        paths[split.name] |= {sample.path for sample in split.samples}
    for first, second in _split_pairs(splits):
        if common := sorted(paths[first] & paths[second]):
            names = first_few([path.rpartition('/')[2] for path in common])
            yield Finding(
                SPOILS,
                f'{second}_dataloader.dataset',
                f'{len(common)} of {len(paths[second])} image files are in {first} too: {names}',
                'results on known images say little: split the data',
            )


def _across(
    splits: Sequence[Split], twins: Sequence[Twins], first: str, second: str
) -> Iterator[Finding]:
    """Yield images of one split that are, by their content, in another."""
    total = sum(len(split.samples) for split in splits if split.name == second)
    for is_exact, what in ((True, 'with equal pixels'), (False, 'nearly the same')):
        pairs = [t for t in twins if t.is_exact is is_exact]
        here = {(t.other if t.other.split.name == second else t.one).sample.path for t in pairs}
        if not here:
            continue
        grade = SPOILS if is_exact or len(here) > MANY * total else ODD
        yield Finding(
            grade,
            f'{second}_dataloader.dataset',
            f'{len(here)} of {total} images are in {first} too, {what}: {_names(pairs)}',
            'results on known images say little: keep all pictures of a scene in one split',
        )


def _names(twins: Sequence[Twins]) -> str:
    return first_few([f'{t.one.name} = {t.other.name}' for t in twins])
