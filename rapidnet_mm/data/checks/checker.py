"""What all checkers of data sets have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from ...errors import UserError
from .messages import warn


class DatasetChecker(ABC):
    """Checks one data set of a config. Each kind of data set has a subclass.

    For a new kind, write a subclass and add it to ``KINDS`` in ``check_config.py``.

    A checker keeps nothing of what it reads: the annotations of a large data set are freed after
    each check.

    Example:
        >>> checker = CocoChecker(cfg.train_dataloader.dataset, 'train_dataloader.dataset')
        >>> checker.check()  # raises UserError if something is wrong
        >>> checker.class_names()
        ('disc', 'square')

    Args:
        config: the config of the data set.
        where: its place in the whole config, such as 'train_dataloader.dataset'. Messages name it.

    Attributes:
        types: names of the data set classes that the checker is for, without a package before them.
        one_weight_per_class: whether a loss needs one weight for each class of the data set, no
            more and no less.
        faults: None while the first fault ends the check. :meth:`findings` makes it a list.
    """

    types: ClassVar[tuple[str, ...]]
    one_weight_per_class: ClassVar[bool] = True
    faults: list[str] | None = None
    _doubts: list[str] | None = None

    def __init__(self, config: Mapping[str, Any], where: str):
        self.config = config
        self.where = where

    def check(self) -> None:
        """Check the files of the data set and what they hold.

        Files that were good before and have not changed are not read again. Files behind a URL or
        in another storage backend are not checked.

        Raises:
            UserError: the first fault, in one line, with its place and what to do.
        """
        if self.is_remote():
            return
        try:
            self.check_files()
        except UserError as error:
            raise UserError(f'{self.where}: {_printable(str(error))}') from error
        except OSError as error:
            reason = f'{error.filename}: {error.strerror}' if error.filename else str(error)
            raise UserError(f'{self.where}: {_printable(reason)}') from error

    def findings(self) -> tuple[list[str], list[str]]:
        """Check everything, and return the faults of all parts of the check, and the doubts.

        :meth:`check` ends at the first fault. Both are without the place in the config.
        """
        self.faults, self._doubts = [], []
        try:
            self.check()
        except UserError as error:
            self.faults.append(str(error).removeprefix(f'{self.where}: '))
        return self.faults, self._doubts

    @contextmanager
    def part(self) -> Iterator[None]:
        """Run a part of the check. If all faults are collected, the check goes on after one."""
        try:
            yield
        except UserError as error:
            if self.faults is None:
                raise
            self.faults.append(_printable(str(error)))

    def doubt(self, line: str) -> None:
        """Warn of something that is odd but no fault."""
        if self._doubts is None:
            warn(f'{self.where}: {line}')
        else:
            self._doubts.append(line)

    @abstractmethod
    def check_files(self) -> None:
        """Check the files of the data set, which are on this machine.

        Raises:
            UserError: the first fault, without the place in the config.
        """

    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of their numbers; () if nothing names them.

        Raises:
            UserError: the config of the data set is not valid.
        """

    def highest_class(self) -> int | None:
        """Return the highest class number that :meth:`check` found; None for named classes."""
        return None

    def is_remote(self) -> bool:
        """Return whether the files are behind a URL or in another storage backend."""
        return bool(self.config.get('backend_args')) or '://' in str(self.config.get('data_root'))

    def annotation_file(self) -> str | None:
        """Return the file that the evaluator has to read too; None if there is none."""
        return None

    def check_same_classes(self, first: DatasetChecker) -> None:  # noqa: B027  (nothing by default)
        """Check that this data set gives its classes the same numbers as ``first``.

        Both are of the same kind. If the config names the classes, there is nothing to compare.

        Raises:
            UserError: the numbers differ.
        """

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that build the data set without reading its annotations."""
        ours = ('type', 'pipeline', 'lazy_init')
        given = {key: value for key, value in self.config.items() if key not in ours}
        return {**given, 'pipeline': [], 'lazy_init': True}


def subset_of(dataset: Any) -> list[Any]:
    """Return the entries of a data set that its ``indices`` choose.

    Raises:
        UserError: there are not so many.
    """
    try:
        return dataset._get_unserialized_subset(dataset._indices)
    except (AttributeError, IndexError, TypeError) as error:
        raise UserError(
            f'indices must be a number, or a list of numbers below {len(dataset.data_list)}, which '
            f'is how many images there are; it is {dataset._indices!r:.80}'
        ) from error


def _printable(line: str) -> str:
    """Return a text on one line: names of files can hold line breaks and bytes that are no text."""
    return line.replace('\n', ' ').encode(errors='backslashreplace').decode()
