"""Time a model in its variants: training and inference form, memory layouts, compiled."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ..display.tables import text_table
from ..files import writable_file, write_output
from . import arguments

if TYPE_CHECKING:
    from ..analysis.speed import Prediction

HELP = 'Time a model in its variants: training and inference form, memory layouts, compiled'
HEADER = ['variant', 'p50 (ms)', 'p95 (ms)', 'images/s', 'speed against the first']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--backbone', action='store_true', help='the backbone alone')
    arguments.add_speed_arguments(parser, batch=1, shape='what the config says', steps=20)
    parser.add_argument('--json', metavar='FILE', help='write the numbers here, too')
    arguments.add_options(parser)


def run(args: argparse.Namespace) -> None:
    """Time, print a table and write the numbers."""
    from ..analysis import complexity, speed
    from ..engine.config import load_config
    from ..engine.options import parse_options

    arguments.set_threads(args)
    target = writable_file(args.json, '--json') if args.json else None
    cfg = load_config(args.config, parse_options(args.cfg_options))
    shape = tuple(args.shape or complexity.default_shape(cfg)[0])
    prediction = speed.prediction_speed(cfg, args.batch, shape, args.steps, args.backbone)
    title = (
        f'{args.config}: {args.batch} of {shape[0]}x{shape[1]}, {speed.environment_text()}, '
        f'{args.steps} rounds'
    )
    print(_to_text(prediction, title))
    if target:
        setting = dict(
            config=args.config,
            backbone_only=args.backbone,
            batch=args.batch,
            shape=shape,
            rounds=args.steps,
            environment=speed.environment(),
        )
        text = json.dumps({**setting, **prediction.to_dict()}, indent=2)
        write_output(f'{text}\n'.encode(), target)


def _to_text(prediction: Prediction, title: str) -> str:
    rows = [
        (
            name,
            f'{speed.percentile(50) * 1000:.1f}',
            f'{speed.percentile(95) * 1000:.1f}',
            f'{speed.images_per_second:.2f}',
            f'{prediction.ratio(name):.2f}',
        )
        for name, speed in prediction.speeds.items()
    ]
    peaks = ', '.join(f'{name} {peak:.0f} MiB' for name, peak in prediction.memory.items())
    skipped = (f'skipped: {name} ({reason})' for name, reason in prediction.skipped.items())
    lines = [text_table(HEADER, rows, title), f'timed: {prediction.timed}', f'peak memory: {peaks}']
    return '\n'.join([*lines, *skipped])
