"""Compare how fast detectors train, on random images; the configs take turns in one run."""

from __future__ import annotations

import argparse

from . import arguments

HELP = 'Compare how fast detectors train, on random images, in turns'
HEADER = ['config', 'ms', 'images/s', 'speed against the first']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='the others are compared with the first'
    )
    arguments.add_speed_arguments(parser, batch=8, shape='320 320', steps=10)
    arguments.add_options(parser)
    parser.set_defaults(shape=(320, 320))


def run(args: argparse.Namespace) -> None:
    """Time, and print a table."""
    from ..analysis.speed.timing import environment_text
    from ..analysis.speed.training import training_speed
    from ..display.tables import text_table

    arguments.set_threads(args)
    configs = [arguments.read_config(path, args) for path in args.configs]
    speeds = training_speed(configs, args.batch, tuple(args.shape), args.steps)
    rows = [
        (
            path,
            f'{speed.median * 1000:.0f}',
            f'{speed.images_per_second:.2f}',
            f'{speeds[0].median / speed.median:.2f}',
        )
        for path, speed in zip(args.configs, speeds, strict=True)
    ]
    title = (
        f'training step, {args.batch} images of {args.shape[0]}x{args.shape[1]}, '
        f'{environment_text()}, median of {args.steps}'
    )
    print(text_table(HEADER, rows, title))
