"""Arguments that several commands share. Needs neither torch nor MM."""

from __future__ import annotations

import argparse
from typing import Any


class OptionsAction(argparse.Action):
    """``KEY=VALUE ...`` as a dict of texts; the option may be given several times."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add the pairs, or end with a line where there is no ``=``."""
        options = dict(getattr(namespace, self.dest) or {})
        for text in values:
            key, mark, value = text.partition('=')
            if not mark:
                parser.error(f'{option_string} takes KEY=VALUE, not {text!r} (put it last)')
            options[key] = value
        setattr(namespace, self.dest, options)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. train_dataloader.batch_size=4',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what train and test both take."""
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


def add_speed_arguments(
    parser: argparse.ArgumentParser, batch: int, shape: str, steps: int
) -> None:
    """Add how speed is measured, with these defaults; ``shape`` is a text for the help only."""
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


def score(text: str) -> float:
    """Parse a score threshold, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def positive(text: str) -> int:
    """Parse a count of at least one, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not positive')
    return value


def set_threads(args: Any) -> None:
    """Apply ``--threads``."""
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
