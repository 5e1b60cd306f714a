"""What the command line tools share: how they fail, and the options they have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from mmengine.config import DictAction

from .errors import UserError
from .reading import forbid_unpickling


def run(main: Callable[[], int | None]) -> None:
    """Run a tool's ``main`` and exit: one line for the user's errors, a traceback for ours.

    With ``RAPIDNET_MM_DEBUG=1`` in the environment the user's errors come with a traceback too.
    """
    forbid_unpickling()
    try:
        sys.exit(main())
    except UserError as error:
        if os.environ.get('RAPIDNET_MM_DEBUG'):
            raise
        rank = os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or '0'
        print(f'error: {"" if rank == "0" else f"[rank {rank}] "}{error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


class OptionsAction(DictAction):
    """``KEY=VALUE ...``, with a line instead of a traceback where there is no ``=``."""

    def __call__(self, parser, namespace, values, option_string=None):
        wrong = [value for value in values if '=' not in value]
        if wrong:
            parser.error(f'{option_string} takes KEY=VALUE, not {wrong[0]!r} (put it last)')
        super().__call__(parser, namespace, values, option_string)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_dataloader.batch_size=4',
    )


def score(text: str) -> float:
    """A score threshold, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def positive(text: str) -> int:
    """A count of at least one, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not positive')
    return value


def add_speed_options(parser: argparse.ArgumentParser, batch: int, shape: str, steps: int) -> None:
    """Add what says how speed is measured, with these defaults; ``shape`` is told, not set."""
    parser.add_argument(
        '--batch', type=positive, default=batch, help=f'images in a step (default: {batch})'
    )
    parser.add_argument(
        '--shape',
        type=positive,
        nargs=2,
        metavar=('H', 'W'),
        help=f'of the images in pixels (default: {shape})',
    )
    parser.add_argument('--steps', type=positive, default=steps, help=f'timed (default: {steps})')
    parser.add_argument('--threads', type=positive, help="PyTorch's threads")


def common_parser(description: str) -> argparse.ArgumentParser:
    """A parser with what train.py and test.py both take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where results go (default: work_dirs/CONFIG_NAME)')
    add_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='job launcher (tools/dist_train.sh and the like set it)',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    return parser
