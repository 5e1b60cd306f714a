"""Compare how fast detectors train: random images, the configs taking turns in one run."""

from __future__ import annotations

import argparse

from . import arguments

HELP = 'Compare how fast detectors train, on random images, in turns'
HEADER = ['config', 'ms', 'images/s', 'speed against the first']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='the first is the measure')
    arguments.add_speed_arguments(parser, batch=8, shape='320 320', steps=10)
    arguments.add_options(parser)
    parser.set_defaults(shape=(320, 320))


def run(args: argparse.Namespace) -> None:
    """Time, and print a table."""
    from ..analysis.speed import environment_text, training_speed
    from ..display.tables import text_table
    from ..engine.config import load_config
    from ..engine.options import parse_options

    arguments.set_threads(args)
    configs = [load_config(path, parse_options(args.cfg_options)) for path in args.configs]
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
