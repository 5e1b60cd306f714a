"""Time functions in turns, and describe the machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from rich.progress import track

from ...data.checks.messages import counted
from ...engine.device import device_name, wait_for_gpu


class Speed(NamedTuple):
    """The times of one step in seconds, and the number of images in a step."""

    seconds: list[float]
    batch: int

    @property
    def median(self) -> float:
        """The median time in seconds."""
        return statistics.median(self.seconds)

    @property
    def images_per_second(self) -> float:
        """Images a second at the median time."""
        return self.batch / self.median

    def percentile(self, percent: float) -> float:
        """Return a percentile of the times, in seconds."""
        return float(np.percentile(self.seconds, percent))


def in_turns(
    steps: Sequence[Callable[[], Any]], rounds: int, description: str = ''
) -> list[list[float]]:
    """Time each step ``rounds`` times, in turns, so that a busy machine slows all of them alike.

    Every round begins with another step, because the caches hold what ran before. The first round
    warms up and is not counted. With a description there is a progress bar.

    Returns:
        The seconds of each step.
    """
    times: list[list[float]] = [[] for _ in steps]
    for number in track(range(rounds + 1), description, disable=not description):
        for place in range(len(steps)):
            index = (number + place) % len(steps)
            wait_for_gpu()
            start = time.perf_counter()
            steps[index]()
            wait_for_gpu()
            if number > 0:
                times[index].append(time.perf_counter() - start)
    return times


def bind(function: Callable, *args: Any) -> Callable[[], Any]:
    """Return a function without arguments that calls ``function(*args)``."""
    return lambda: function(*args)


def environment() -> dict[str, Any]:
    """Return device, threads and versions, on which the times depend."""
    return dict(
        device=device_name(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        torchvision=torchvision.__version__,
        python=platform.python_version(),
    )


def environment_text() -> str:
    """Return device, threads and version of torch in one line."""
    setting = environment()
    threads = counted(setting['threads'], 'thread')
    return f'{setting["device"]}, {threads}, torch {setting["torch"]}'
