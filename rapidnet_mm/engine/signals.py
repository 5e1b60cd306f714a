"""A training that is told to stop: it finishes the iteration, and its workers never outlive it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What a terminal (Ctrl-C), a cluster (preemption, time limit) and a terminal that is closed send.
NAMES = ('SIGINT', 'SIGTERM', 'SIGHUP')  # Windows has no SIGHUP
STOPPING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
WATCH_SECONDS = 2.0


class Stopped(SystemExit):
    """The training was told to stop, and has saved where it is.

    The exit status is the usual one of a process that a signal ends: 130 for Ctrl-C, 143 for
    SIGTERM.
    """

    def __init__(self, signum: int):
        super().__init__(128 + signum)


class StopRequest:
    """Remembers the signal that asked a training to stop.

    Args:
        announce: called with the name of the first signal.
    """

    def __init__(self, announce: Callable[[str], None]):
        self.signum = 0
        self._announce = announce

    def __call__(self, signum: int, frame: Any) -> None:  # noqa: ARG002
        """Handle a signal. The second ends the process at once."""
        if self.signum:
            os._exit(128 + signum)
        self.signum = signum
        self._announce(signal.Signals(signum).name)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals inside. In a thread, where Python allows no handlers, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.getsignal(number) for number in STOPPING}
        # What the caller ignores, as nohup does, stays ignored.
        ours = [number for number in STOPPING if earlier[number] is not signal.SIG_IGN]
        for number in ours:
            signal.signal(number, self)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, earlier[number] or signal.SIG_DFL)


def init_worker(worker_id: int, inner: Callable[[int], None] | None, parent: int) -> None:
    """Prepare a worker of a data loader: only the training ends it, and it ends with the training.

    A terminal and a cluster send their signals to all processes. A worker that ended by itself
    would be an error of the training, which still needs the data of its last iteration.

    Args:
        worker_id: number of the worker.
        inner: what else is to be done.
        parent: process id of the training.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    can_wait = hasattr(signal, 'sigtimedwait')  # not on macOS and Windows
    if can_wait:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    arguments = (os.getppid(), parent, can_wait)
    threading.Thread(target=_watch, args=arguments, daemon=True).start()
    if inner is not None:
        inner(worker_id)


def _watch(starter: int, parent: int, can_wait: bool) -> None:
    """End this process when its parent has died, or tells it to end."""
    while os.getppid() == starter:
        if not can_wait:
            time.sleep(WATCH_SECONDS)
            continue
        received = signal.sigtimedwait({signal.SIGTERM}, WATCH_SECONDS)
        if received is not None and received.si_pid in (starter, parent):
            break
    os._exit(0)  # as torch's own workers do: another status is an error of the training
