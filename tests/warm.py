"""Commands in processes that begin with torch and MM imported: a start costs no seconds."""

import multiprocessing
import os
import sys
import traceback
from pathlib import Path

PRELOADED = ['rapidnet_mm', 'mmdet.models', 'mmseg.models', 'mmpretrain.models', 'tests.warm']


class WarmCommands:
    """Runs the command ``rapidnet`` in forks of one process that has imported everything.

    Args:
        folder: where the commands run, and where their output goes.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = folder / 'output.log'
        self.context = multiprocessing.get_context('forkserver')
        self.context.set_forkserver_preload(PRELOADED)

    def __call__(self, arguments: list[str], timeout: float = 300) -> tuple[int, str]:
        """Run ``rapidnet ARGUMENTS``; returns the exit status and all that was printed."""
        process = self.context.Process(target=_run, args=(arguments, self.folder, self.log))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode, self.log.read_text()


def _run(arguments: list[str], folder: Path, log: Path) -> None:
    os.chdir(folder)
    with log.open('w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
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
