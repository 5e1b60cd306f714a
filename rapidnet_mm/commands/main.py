"""Start a command: ``rapidnet NAME``, ``python -m rapidnet_mm NAME`` and ``tools/NAME.py``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from .. import __version__
from ..errors import UserError
from ..installation import NEEDED, forbid_unpickling, mm_packages

# Commands and their modules in this folder, in the order in which people need them.
COMMANDS = {
    'new': 'new',
    'doctor': 'doctor',
    'browse': 'browse',
    'train': 'train',
    'test': 'test',
    'report': 'report',
    'infer': 'infer',
    'data': 'data',
    'make-shapes': 'make_shapes',
    'complexity': 'complexity',
    'benchmark': 'benchmark',
    'benchmark-train': 'benchmark_train',
    'benchmark-graph': 'benchmark_graph',
    'receptive-field': 'receptive_field',
    'channel-search': 'channel_search',
    'kernels': 'kernels',
    'weights': 'weights',
    'convert': 'convert',
    'publish': 'publish',
    'zoo': 'zoo',
}


INTERRUPT_SECONDS = 0.05


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name, and exit."""
    parser = argparse.ArgumentParser(
        prog='rapidnet',
        description='Mobile backbones: train, measure and use detectors, '
        'segmenters and classifiers.',
        epilog='rapidnet NAME --help explains a command',
    )
    parser.add_argument('--version', action='version', version=f'rapidnet-mm {__version__}')
    commands = parser.add_subparsers(metavar='NAME', required=True)
    for name, module in COMMANDS.items():
        command = _module(module)
        one = commands.add_parser(name, help=command.HELP, description=command.HELP)
        command.add_arguments(one)
        one.set_defaults(run=command.run)
    args = parser.parse_args(arguments)
    execute(args.run, args)


def tool(name: str) -> None:
    """Run one command with the arguments of this process. ``tools/NAME.py`` calls this."""
    command = _module(COMMANDS[name])
    parser = argparse.ArgumentParser(description=command.HELP)
    command.add_arguments(parser)
    execute(command.run, parser.parse_args())


def execute(run: Any, args: argparse.Namespace) -> None:
    """Run a command and exit: one line for the user's errors, a traceback for ours.

    With ``RAPIDNET_MM_DEBUG=1`` in the environment the user's errors come with a traceback too.
    """
    forbid_unpickling()
    sys.unraisablehook = partial(_interrupt_again, os.getpid())
    # The CPU computes operators that an Apple GPU lacks. PyTorch reads this when it is imported.
    os.environ.setdefault('PYTORCH_ENABLE_MPS_FALLBACK', '1')
    if hasattr(sys.stdout, 'reconfigure'):  # file names may contain bytes that are not text
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        with mm_packages():
            status = run(args)
        sys.exit(status)
    except UserError as error:
        if os.environ.get('RAPIDNET_MM_DEBUG'):
            raise
        _refuse(' '.join(str(error).splitlines()))
    except OSError as error:  # from the system: disk full, no permission, name too long
        if os.environ.get('RAPIDNET_MM_DEBUG') or error.strerror is None:
            raise
        _refuse(f'{error.filename}: {error.strerror}' if error.filename else error.strerror)
    except ImportError as error:
        if error.name not in NEEDED:
            raise
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(line: str) -> None:
    """Print the one line of an error, and exit."""
    rank = os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or '0'
    print(f'error: {"" if rank == "0" else f"[rank {rank}] "}{line}', file=sys.stderr)
    sys.exit(2)


def _interrupt_again(main: int, unraisable: Any) -> None:
    """Send a Ctrl-C again if it came where Python ignores errors, as while a worker starts.

    The main process ends its workers itself.
    """
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
    elif os.getpid() == main:
        again = threading.Timer(INTERRUPT_SECONDS, os.kill, (main, signal.SIGINT))
        again.daemon = True
        again.start()


def _module(name: str) -> Any:
    return import_module(f'.{name}', __package__)
