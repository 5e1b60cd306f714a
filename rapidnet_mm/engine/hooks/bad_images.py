"""Images that turn out to be damaged only when they are decoded."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...data.checks.holes import hole_in
from ...errors import UserError, one_line
from ..exact.draws import SeededDataset

NARROW = 100  # an image of this ratio is narrow
SPARED = 3  # so many bad images never stop a training, however small the data set is


class BadImageError(UserError):
    """An image cannot be decoded. The message is one line, also when a worker process raised it.

    For an error of a worker, torch puts its traceback before the message. This class cuts it off.
    """

    def __init__(self, message: str):
        # A traceback ends with the full name of the error, and its message.
        super().__init__(one_line(ValueError(message.rpartition(f'{__name__}.BadImageError: ')[2])))


@HOOKS.register_module()
class BadImagesHook(Hook):
    """Lets a training go on when an image cannot be decoded.

    The image is named, another one takes its place, and the log says at the end how many there
    were. If there are too many, the training stops. Validation and tests stop at the first one: a
    metric must not be computed without an image.

    Args:
        share: the largest share of bad images in the training data with which a training goes on.
    """

    def __init__(self, share: float = 0.01):
        self.share = share
        self.guards: list[Guard] = []
        self.named: set[str] = set()

    def before_train(self, runner: Any) -> None:
        """Find the guards of the training data, and tell them the share."""
        datasets = _datasets(runner.train_dataloader.dataset)
        guards = [dataset.prepare_data for dataset in datasets]
        self.guards = [guard for guard in guards if isinstance(guard, Guard)]
        for guard in self.guards:
            guard.limit.fill_(max(self.share * len(guard.is_bad), SPARED))

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Name the bad images that the workers met since the last iteration."""
        for path in self._bad_images():
            if path not in self.named:
                self.named.add(path)
                line = f'{path} cannot be decoded: another image takes its place; get it again'
                if is_main_process():
                    runner.logger.warning(line)
                else:  # only the main process logs
                    print(f'warning: {line}', file=sys.stderr)

    def after_train(self, runner: Any) -> None:
        """Log how many images could not be decoded in all processes."""
        named = set().union(*all_gather_object(self.named))
        if named:
            total = sum(len(guard.is_bad) for guard in self.guards)
            runner.logger.warning(
                f'{len(named)} of {total} training images could not be decoded, and others '
                f'took their places: {", ".join(sorted(named)[:3])}'
            )

    def _bad_images(self) -> Iterator[str]:
        for guard in self.guards:
            for index in guard.is_bad.nonzero().flatten().tolist():
                yield guard.path(index)


def guard_images(dataset: Any) -> None:
    """Put a guard before each data set, also before those inside ConcatDataset and the like.

    This has to be done before the worker processes start, which have copies of the data set.
    """
    for inner in _datasets(dataset):
        inner.prepare_data = Guard(inner)


class Guard:
    """Prepares the items of a data set, and finds out which images cannot be decoded.

    Args:
        dataset: the data set whose ``prepare_data`` it replaces.
    """

    def __init__(self, dataset: BaseDataset):
        self.dataset = dataset
        self.prepare = dataset.prepare_data
        # The worker processes share the memory of these tensors with this one.
        self.is_bad = torch.zeros(len(dataset), dtype=torch.bool).share_memory_()
        self.is_whole = torch.zeros(len(dataset), dtype=torch.bool).share_memory_()
        # How many bad images are too many; 0 until the hook finds that this is training data.
        self.limit = torch.tensor(0.0).share_memory_()

    def __call__(self, index: int) -> Any:
        """Return the prepared item; None if its image is bad, which makes MMEngine take another.

        Raises:
            BadImageError: the image is bad and is needed for a metric, or there are too many.
        """
        reason = self._hole(index)
        if reason is None:
            try:
                return self.prepare(index)
            except Exception:
                reason = self._reason(index)
                if reason is None:  # the image is fine; a later step failed
                    raise
        if not self.limit:
            raise BadImageError(
                f'{self.path(index)} cannot be decoded ({reason}); the metrics need every '
                'image: get it again'
            )
        self.is_bad[index] = True
        count = int(self.is_bad.sum())
        if count > self.limit.item() or count == len(self.is_bad):
            raise BadImageError(
                f'{count} of {len(self.is_bad)} training images cannot be decoded, such as '
                f'{self.path(index)} ({reason}); get them again'
            )
        return None

    def path(self, index: int) -> str:
        """Return the path of an image."""
        return str(self.dataset.get_data_info(index).get('img_path'))

    def _hole(self, index: int) -> str | None:
        """Return where the image has a hole, which decoders ignore. Each file is checked once."""
        if self.is_whole[index]:
            return None
        hole = None
        with suppress(
            LookupError, OSError, TypeError, ValueError
        ):  # no local file; loading will say more
            hole = hole_in(Path(self.dataset.get_data_info(index)['img_path']).read_bytes())
        self.is_whole[index] = hole is None
        return hole

    def _reason(self, index: int) -> str | None:
        """Return why the image or its labels cannot be loaded, None if they can."""
        item = self.dataset.get_data_info(index)
        for step in self.dataset.pipeline.transforms:
            if not type(step).__name__.startswith('Load'):
                return _too_narrow(item)
            try:
                item = step(item)
            except Exception as error:  # readers raise almost anything for a damaged file
                return f'{one_line(error) or type(error).__name__:.200}'
        return None


def _too_narrow(item: Any) -> str | None:
    """Return the size of an image that is so long and narrow that resizing would leave no pixel."""
    image = item.get('img') if isinstance(item, Mapping) else None
    height, width = getattr(image, 'shape', (1, 1))[:2]
    if min(height, width) * NARROW > max(height, width):
        return None
    return f'its size of {width}x{height} pixels is too narrow to be resized'


def _datasets(dataset: Any) -> Iterator[BaseDataset]:
    """Yield a data set, or those inside ConcatDataset, RepeatDataset and other wrappers."""
    if isinstance(dataset, BaseDataset):
        yield dataset
        return
    if isinstance(dataset, SeededDataset):
        yield from _datasets(dataset.inner)
        return
    for inner in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
        if inner is not None:
            yield from _datasets(inner)
