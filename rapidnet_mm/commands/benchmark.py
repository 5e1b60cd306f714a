"""Time a model in its variants: training and inference form, memory layouts, compiled."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..files import writable_file, write_output
from . import arguments

if TYPE_CHECKING:
    from ..analysis.speed.prediction import Prediction

HELP = 'Time a model in its variants: training and inference form, memory layouts, compiled'
HEADER = ['variant', 'p50 (ms)', 'p95 (ms)', 'images/s', 'speed against the first']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    arguments.add_model_arguments(parser)
    arguments.add_speed_arguments(parser, batch=1, shape='what the config says', steps=20)
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to this file')


def run(args: argparse.Namespace) -> None:
    """Time, print a table and write the numbers."""
    from ..analysis.speed.prediction import prediction_speed
    from ..analysis.speed.timing import environment, environment_text

    arguments.set_threads(args)
    target = writable_file(args.json, '--json') if args.json else None
    cfg = arguments.read_config(args.config, args)
    shape, _ = arguments.image_shape(cfg, args)
    prediction = prediction_speed(cfg, args.batch, shape, args.steps, args.backbone)
    images = f'{args.batch} of {shape[0]}x{shape[1]}'
    title = f'{args.config}: {images}, {environment_text()}, {args.steps} rounds'
    print(_to_text(prediction, title))
    if target:
        setting = dict(
            config=args.config,
            backbone_only=args.backbone,
            batch=args.batch,
            shape=shape,
            rounds=args.steps,
            environment=environment(),
        )
        text = arguments.as_json({**setting, **prediction.to_dict()})
        write_output(f'{text}\n'.encode(), target)


def _to_text(prediction: Prediction, title: str) -> str:
    from ..display.tables import text_table

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
    lines = [
        text_table(HEADER, rows, title),
        f'timed: {prediction.timed}',
        f'peak memory: {peaks or "not known on this system"}',
        *(f'skipped: {name} ({reason})' for name, reason in prediction.skipped.items()),
    ]
    return '\n'.join(lines)
