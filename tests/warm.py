"""Commands in processes that begin with torch and MM imported: a start costs no seconds."""

import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PARTS = ('models', 'datasets', 'evaluation', 'engine', 'visualization')
PRELOADED = [
    'rapidnet_mm.models',
    *(f'{package}.{part}' for package in ('mmdet', 'mmseg', 'mmpretrain') for part in PARTS),
    'rapidnet_mm.analysis.summary',
    'rapidnet_mm.deploy.inferencer',
    'rapidnet_mm.weights.release',
    'tests.warm',
]


class Result(NamedTuple):
    """What a command did.

    Attributes:
        status: its exit status; below 0, the signal that ended it.
        output: what it printed.
        errors: what it printed to stderr.
        in_time: whether it ended by itself.
    """

    status: int
    output: str
    errors: str
    in_time: bool


class WarmCommands:
    """Runs the command ``rapidnet`` in forks of one process that has imported everything.

    Args:
        folder: where the commands run, unless another folder is given.
        preloaded: what else the process imports before it forks.
    """

    def __init__(self, folder: Path, preloaded: Sequence[str] = ()):
        self.folder = folder
        # What one command remembers, the next one knows, also in the next test.
        self.cache = tempfile.TemporaryDirectory(prefix='cache-of-tests-')
        self.context = multiprocessing.get_context('forkserver')
        self.context.set_forkserver_preload([*PRELOADED, *preloaded])

    def __call__(self, arguments: list[str], timeout: float = 300) -> tuple[int, str]:
        """Run ``rapidnet ARGUMENTS``; returns the exit status and all that was printed."""
        result = self.run(arguments, timeout=timeout)
        return result.status, result.output + result.errors

    def run(
        self,
        arguments: list[str],
        folder: Path | None = None,
        timeout: float = 300,
        environment: Mapping[str, str] = {},
    ) -> Result:
        """Run ``rapidnet ARGUMENTS`` in a folder, with a limit in seconds."""
        with tempfile.TemporaryDirectory() as place:
            logs = Path(place, 'output'), Path(place, 'errors')
            process = self.context.Process(
                target=_run,
                args=(arguments, folder or self.folder, logs, self._environment(environment)),
            )
            process.start()
            process.join(timeout)
            in_time = not process.is_alive()
            if not in_time:
                os.killpg(process.pid, signal.SIGKILL)  # with the workers of its data loaders
                process.join()
            texts = [log.read_text(errors='replace') for log in logs]
        return Result(process.exitcode, *texts, in_time)

    def _environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, 'XDG_CACHE_HOME': self.cache.name, **changes}


def _run(arguments: list[str], folder: Path, logs: Sequence[Path], environment: dict) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()  # that of the first test, in which the process began that this is a fork of
    os.environ.update(environment)
    for number, log in enumerate(logs, 1):
        with log.open('w') as file:
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = os.fdopen(1, 'w'), os.fdopen(2, 'w')
    sys.argv = ['rapidnet', *arguments]
    from rapidnet_mm.commands.main import main

    try:
        main(arguments)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
