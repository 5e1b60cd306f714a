"""Time a model in its variants, or several models in turns, and show the papers' ratios."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import writable_file, write_output
from . import arguments

if TYPE_CHECKING:
    from ..analysis.speed.prediction import Prediction

HELP = 'Time a model in its variants, or several models in turns'
HEADER = ['variant', 'p50 (ms)', 'p95 (ms)', 'images/s', 'speed against the first']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        'configs',
        nargs='+',
        metavar='CONFIG',
        help='one config: time its variants; several: time them in turns, compare with the first',
    )
    arguments.add_backbone(parser)
    arguments.add_options(parser)
    arguments.add_speed_arguments(parser, batch=1, shape='what the config says', steps=20)
    parser.add_argument(
        '--form',
        choices=['training', 'inference'],
        help='with several configs: as built (training, the default) or with folded layers',
    )
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to this file')


def run(args: argparse.Namespace) -> None:
    """Time, print a table and write the numbers."""
    if args.form and len(args.configs) == 1:
        raise UserError('--form goes with several configs; of one config all forms are timed')
    arguments.set_threads(args)
    target = writable_file(args.json, '--json') if args.json else None
    several = len(args.configs) > 1
    text, content = _several(args) if several else _variants(args, args.configs[0])
    print(text)
    if target:
        write_output(f'{arguments.as_json(content)}\n'.encode(), target)


def _variants(args: argparse.Namespace, config: str) -> tuple[str, dict[str, Any]]:
    from ..analysis.speed.prediction import prediction_speed
    from ..analysis.speed.timing import environment_text

    cfg = arguments.read_config(config, args)
    shape, _ = arguments.image_shape(cfg, args)
    prediction = prediction_speed(cfg, args.batch, shape, args.steps, args.backbone)
    images = f'{args.batch} of {shape[0]}x{shape[1]}'
    title = f'{config}: {images}, {environment_text()}, {args.steps} rounds'
    setting = dict(config=config, **_setting(args), shape=shape)
    return _to_text(prediction, title), {**setting, **prediction.to_dict()}


def _setting(args: argparse.Namespace) -> dict[str, Any]:
    from ..analysis.speed.timing import environment

    return dict(
        backbone_only=args.backbone,
        batch=args.batch,
        rounds=args.steps,
        environment=environment(),
    )


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


def _several(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    from ..analysis.speed.several import FORMS, Model, compare_speeds, to_text
    from ..analysis.speed.timing import environment_text

    models = []
    for config in args.configs:
        cfg = arguments.read_config(config, args)
        models.append(Model(Path(config).stem, cfg, arguments.image_shape(cfg, args)[0]))
    form = args.form or FORMS[0]
    timed = compare_speeds(models, args.batch, args.steps, form, args.backbone)
    part = 'backbones' if args.backbone else 'models'
    title = (
        f'{part} in {form} form, {args.batch} of each shape, {environment_text()}, '
        f'{args.steps} rounds in turns'
    )
    content = dict(**_setting(args), form=form, models=[one.to_dict() for one in timed])
    return to_text(timed, title), content
