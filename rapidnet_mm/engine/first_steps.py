"""Explain an error in the first step: the parts of the config do not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..errors import UserError
from .config_errors import step_fault


class FirstSteps:
    """Turns an error in the first step of a training, a validation or a test into one line.

    Every runner of ours has one. An error in a later step is not a fault of the config, so it
    keeps its traceback.
    """

    def __init__(self) -> None:
        self._phases: list[str] = []  # the running phases, the innermost last
        self._good: set[str] = set()

    @contextmanager
    def named_errors(self, model: Any) -> Iterator[None]:
        """Turn an error of the first step into one line.

        Raises:
            UserError: the first step failed.
        """
        try:
            yield
        except (UserError, OSError, MemoryError, torch.cuda.OutOfMemoryError):
            raise
        except Exception as error:
            phase = self._phases[-1] if self._phases else ''
            if phase in self._good or (self._good and not phase):
                raise
            raise step_fault(error, phase, model) from error

    def before(self, function: str) -> None:
        """Note that a phase begins, by the name of the hooks' method."""
        if function in ('before_train', 'before_val', 'before_test'):
            self._phases.append(function.removeprefix('before_'))

    def after(self, function: str) -> None:
        """Note that a phase or its step is over, by the name of the hooks' method."""
        phase = function.removeprefix('after_')
        if phase.removesuffix('_iter') in self._phases:
            if phase.endswith('_iter'):
                self._good.add(phase.removesuffix('_iter'))
            else:
                self._phases.remove(phase)
