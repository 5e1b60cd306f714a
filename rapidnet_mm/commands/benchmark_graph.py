"""Time MobileViG's static graph, without its convolutions, against plain cyclic shifts."""

from __future__ import annotations

import argparse

from . import arguments

HELP = "Time MobileViG's static graph against plain cyclic shifts"
CHANNELS = 256  # of MobileViG's last stage
SHAPES = [(7, 7), (16, 16), (25, 42)]  # that stage's maps at 224x224, 512x512 and 800x1333
HEADER = ['map', 'what', 'shifts (ms)', 'ours (ms)', 'times as fast']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    arguments.add_speed_arguments(parser, batch=8, shape='7 7, 16 16 and 25 42', steps=20)


def run(args: argparse.Namespace) -> None:
    """Time, and print a table."""
    from ..analysis.speed.graph import graph_speed
    from ..analysis.speed.timing import environment_text
    from ..display.tables import text_table

    arguments.set_threads(args)
    rows = []
    for shape in [tuple(args.shape)] if args.shape else SHAPES:
        times = graph_speed((args.batch, CHANNELS, *shape), args.steps)
        for what, (plain, ours) in times.items():
            milliseconds = (f'{seconds * 1000:.3f}' for seconds in (plain, ours))
            rows.append(('x'.join(map(str, shape)), what, *milliseconds, f'{plain / ours:.2f}'))
    title = (
        f'{args.batch} maps of {CHANNELS} channels, {environment_text()}, median of {args.steps}'
    )
    print(text_table(HEADER, rows, title))
