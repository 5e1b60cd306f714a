"""Every image that is drawn gets random numbers of its own, whichever worker loads it.

The sampler numbers its draws. The number travels with the index through batch samplers and into
the workers. There the data set seeds the generators with it, for the time of one image.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.dist import get_rank, sync_random_seed
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import BatchSampler, DataLoader, Sampler

from .states import seeded

# A pass over the data has fewer draws than this, so that draws of two passes differ.
DRAWS_PER_PASS = 1 << 40


class DrawnIndex(int):
    """The index of an image, with the number of its draw."""

    draw: int

    def __new__(cls, index: int, draw: int) -> DrawnIndex:
        """Return the index with its number."""
        drawn = super().__new__(cls, index)
        drawn.draw = draw
        return drawn

    def __reduce__(self) -> tuple:
        """Keep the number on the way to a worker."""
        return DrawnIndex, (int(self), self.draw)


class CountedSampler(Sampler):
    """A sampler that numbers the draws of another, and that starts each pass afresh.

    Args:
        sampler: the config of the other.
        dataset: its data set.
        seed: its seed; None if processes have different ones.
    """

    def __init__(self, sampler: Mapping[str, Any], dataset: Any, seed: int | None):
        seed = sync_random_seed() if seed is None else seed
        self.config, self.arguments = sampler, dict(dataset=dataset, seed=seed)
        self.epoch = 0
        self.sampler = self._build()

    def _build(self) -> Any:
        return DATA_SAMPLERS.build(dict(self.config), default_args=self.arguments)

    def __getattr__(self, name: str) -> Any:
        """Be like the other sampler in everything else."""
        if name.startswith('__') or 'sampler' not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.__dict__['sampler'], name)

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass over the data that is drawn next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[DrawnIndex]:
        # A new sampler, because some go on where they stopped, and a data loader draws ahead.
        self.sampler = self._build()
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(self.epoch)
        first = self.epoch * DRAWS_PER_PASS
        for number, index in enumerate(self.sampler, first):
            yield DrawnIndex(index, number)


class SeededDataset:
    """A data set whose images depend on the number of their draw, not on earlier images.

    Args:
        dataset: the config of the data set, or itself.
        seed: of the run.
    """

    def __init__(self, dataset: Any, seed: int):
        inner = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.__dict__.update(inner=inner, numbers=(seed, get_rank()))

    def __getattr__(self, name: str) -> Any:
        """Be like the inner data set in everything else."""
        # torch asks for __getitems__, which would pass this class by.
        if name.startswith('__') or 'inner' not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.__dict__['inner'], name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Change the inner data set: hooks give it other pipelines."""
        setattr(self.__dict__['inner'], name, value)

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, DrawnIndex):
            return self.inner[index]
        with seeded(*self.numbers, index.draw):
            return self.inner[int(index)]


class SkippingBatchSampler:
    """Batches of another sampler, without the first ``skip`` of the next pass."""

    def __init__(self, batches: BatchSampler):
        self.batches, self.skip = batches, 0

    def __getattr__(self, name: str) -> Any:
        """Be like the other sampler in everything else."""
        if name.startswith('__') or 'batches' not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.__dict__['batches'], name)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        skip, self.skip = self.skip, 0
        for number, batch in enumerate(self.batches):
            if number >= skip:
                yield batch


def exact_config(loader: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the config of a data loader whose images depend on their draws alone."""
    config = dict(loader)
    if isinstance(config.get('dataset'), dict):
        config['dataset'] = dict(type=SeededDataset, dataset=config['dataset'], seed=seed)
    if isinstance(config.get('sampler'), dict):
        config['sampler'] = dict(type=CountedSampler, sampler=config['sampler'])
    return config


def prepare(loader: DataLoader, seed: int) -> None:
    """Let a data loader skip batches without loading them, and not use torch's own generator."""
    loader.generator = torch.Generator().manual_seed(seed % (1 << 63))
    if loader.batch_sampler is not None:
        # torch forbids another batch sampler, because workers may run; here none does yet.
        object.__setattr__(loader, 'batch_sampler', SkippingBatchSampler(loader.batch_sampler))


def batches_from(loader: DataLoader, epoch: int, skip: int) -> Iterator[Any]:
    """Yield the batches of one pass over the data, without the first ``skip``."""
    batches = loader.batch_sampler
    sampler = getattr(batches, 'sampler', None) or loader.sampler
    if hasattr(sampler, 'set_epoch'):
        sampler.set_epoch(epoch)
    if batches is None:
        yield from itertools.islice(loader, skip, None)
    else:
        batches.skip = skip
        yield from loader
