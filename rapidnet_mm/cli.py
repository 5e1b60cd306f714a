"""What the command line tools share: how they fail, and the options they have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from mmengine.config import DictAction

from .errors import UserError


def run(main: Callable[[], int | None]) -> None:
    """Run a tool's ``main`` and exit: one line for the user's errors, a traceback for ours."""
    try:
        sys.exit(main())
    except UserError as error:
        if os.environ.get('RANK', '0') == '0':  # once, not once a process
            print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def common_parser(description: str) -> argparse.ArgumentParser:
    """A parser with what train.py and test.py both take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where results go (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_dataloader.batch_size=4',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='job launcher (tools/dist_train.sh and the like set it)',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    return parser
