"""Examine the data sets of a config: the checks before a training, and everything that is odd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mmengine.config import Config

from ....data.checks.check_config import data_faults
from ..finding import BREAKS, ODD, Finding
from .boxes import box_findings
from .classes import class_findings, counts_of, empty_findings
from .images import Look, image_findings, look_into
from .labels import map_findings, pixel_counts
from .samples import Sample, Split, read_splits, split_names
from .twins import twin_findings


class Examined(NamedTuple):
    """A split with what was seen of it.

    Attributes:
        split: the data set.
        samples: the images that were looked at.
        looks: what was seen of each, None for what cannot be read.
        pixels: of each label map, the number of pixels of each class.
    """

    split: Split
    samples: list[Sample]
    looks: list[Look | None]
    pixels: list


def data_report(cfg: Config, most: int) -> tuple[dict[str, str], list[Finding], list[Examined]]:
    """Return facts about the data of a config, findings, and what was seen, to draw it.

    Args:
        cfg: the config.
        most: images of a split that are looked at.
    """
    names = split_names(cfg)
    found = [
        Finding(ODD if fault.is_doubt else BREAKS, fault.where, *_divided(fault.text))
        for fault in data_faults(cfg, names)
    ]
    found = list({finding.what: finding for finding in reversed(found)}.values())[::-1]
    examined = [_examine(split, most) for split in read_splits(cfg, names)]
    for part in examined:
        found += empty_findings(part.split)
        found += box_findings(part.split._replace(samples=part.samples))
        found += map_findings(part.split, part.samples, part.pixels)
        found += image_findings(part.split, part.samples, part.looks)
    splits = [part.split for part in examined]
    found += class_findings(splits, [counts_of(p.split, p.pixels) for p in examined])
    found += twin_findings(splits, [p.samples for p in examined], [p.looks for p in examined])
    return {part.split.name: _fact(part) for part in examined}, found, examined


def _divided(text: str) -> tuple[str, str]:
    """Return the fault and the way out of a message of the checks."""
    what, _, way_out = text.partition('; ')
    return what, way_out


def _examine(split: Split, most: int) -> Examined:
    step = max(1, -(-len(split.samples) // most))
    samples = split.samples[::step]
    return Examined(split, samples, look_into(samples), pixel_counts(split, samples))


def _fact(part: Examined) -> str:
    """Return what a split is, in a few words."""
    split, total = part.split, len(part.split.samples)
    text = f'{total} images'
    if split.kind == 'objects':
        text += f', {sum(len(sample.objects) for sample in split.samples)} objects'
    text += f', {len(split.classes)} classes'
    if len(part.samples) < total:
        text += f' (looked into {len(part.samples)}; --images says how many)'
    return text


def training_images(examined: Sequence[Examined]) -> int | None:
    """Return how many images a training has, None if there are none that can be read."""
    counts = [
        sum(1 for s in part.split.samples if s.objects or not part.split.leaves_out_empty)
        for part in examined
        if part.split.name == 'train'
    ]
    return sum(counts) or None
