"""Arguments that several commands share. Needs neither torch nor MM."""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config


class OptionsAction(argparse.Action):
    """Reads ``KEY=VALUE ...`` into a dict of texts; the option may be given several times."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add the pairs, or end with one line about a text without ``=``."""
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


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add ``--verbose``."""
    parser.add_argument(
        '--verbose', action='store_true', help='show all output, logs and warnings of libraries'
    )


def quietly(run: Callable[[argparse.Namespace], Any]) -> Callable[[argparse.Namespace], Any]:
    """Make a command keep libraries off the screen, unless ``--verbose`` is given.

    What the command itself imports comes after that, and is quiet too.
    """

    @functools.wraps(run)
    def run_quietly(args: argparse.Namespace) -> Any:
        from ..engine.console import quiet

        with quiet(args.verbose):
            return run(args)

    return run_quietly


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that train and test share."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where results go (default: work_dirs/CONFIG_NAME)')
    add_verbose(parser)
    add_options(parser)
    parser.add_argument('--seed', type=seed, help='seed of all random numbers')
    parser.add_argument(
        '--deterministic',
        action='store_true',
        help='use only algorithms that give the same result every time; slower',
    )
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
    """Add the arguments of a time measurement; ``shape`` is the default as a text for the help."""
    parser.add_argument(
        '--batch', type=positive, default=batch, help=f'images in a step (default: {batch})'
    )
    parser.add_argument(
        '--shape',
        type=positive,
        nargs=2,
        metavar=('H', 'W'),
        help=f'image size in pixels (default: {shape})',
    )
    parser.add_argument('--steps', type=positive, default=steps, help=f'timed steps ({steps})')
    parser.add_argument('--threads', type=positive, help='number of PyTorch threads')


def program() -> list[str]:
    """Return the words that start a command in this shell, such as ``['rapidnet']``."""
    installed = shutil.which('rapidnet')
    if installed and Path(installed).parent == Path(sys.executable).parent:
        return ['rapidnet']
    return [sys.executable, '-m', __package__.partition('.')[0]]


def score(text: str) -> float:
    """Parse a score threshold, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def seed(text: str) -> int:
    """Parse the seed of random numbers, for argparse."""
    value = int(text)
    if not 0 <= value < 2**32:  # as NumPy takes them
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 2**32 - 1')
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


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about one model: a config that may be left out, ``--backbone``, options."""
    parser.add_argument('config', nargs='?', help='config file')
    add_backbone(parser)
    add_options(parser)


def add_backbone(parser: argparse.ArgumentParser) -> None:
    """Add ``--backbone``."""
    parser.add_argument('--backbone', action='store_true', help='use only the backbone')


def read_config(path: str, args: argparse.Namespace) -> Config:
    """Read a config and apply ``--cfg-options``.

    Raises:
        UserError: the config cannot be read, or an option does not exist.
    """
    from ..engine.config import load_config
    from ..engine.options import parse_options

    return load_config(path, parse_options(args.cfg_options))


def image_shape(cfg: Config, args: argparse.Namespace) -> tuple[tuple[int, int], str]:
    """Return (height, width) in pixels from ``--shape``, else from the config, and their source.

    Raises:
        UserError: neither gives a size.
    """
    from ..analysis.complexity import default_shape

    return (tuple(args.shape), '--shape') if args.shape else default_shape(cfg)


def as_json(content: Mapping[str, Any]) -> str:
    """Return results as json, as all commands print and write them."""
    return json.dumps(content, indent=2)
