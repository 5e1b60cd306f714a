"""Make a release of a trained model: weights as safetensors, named by their hash, and a card."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import UserError, one_line
from ..files import writable_folder
from . import arguments

HELP = (
    'Make a release of a trained model: its weights (averaged if there are any), without the state '
    'of the training, and a model card'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir', default='work_dirs/published', help='where files go (%(default)s)'
    )
    parser.add_argument('--metrics', metavar='JSON', help='the file that test --out wrote')
    arguments.add_options(parser)


def run(args: argparse.Namespace) -> None:
    """Write weights and card."""
    from ..engine.config import build_model
    from ..weights.release import publish

    metrics = _read_metrics(args.metrics)
    writable_folder(args.out_dir, '--out-dir')
    cfg = arguments.read_config(args.config, args)
    weights, card = publish(
        build_model(cfg), args.config, cfg.pretty_text, args.checkpoint, args.out_dir, metrics
    )
    print(f'{weights}\n{card}')


def _read_metrics(path: str | None) -> dict:
    try:
        metrics = json.loads(Path(path).read_text()) if path else {}
    except (OSError, RecursionError, ValueError) as error:
        raise UserError(f'--metrics {path} cannot be read: {one_line(error)}') from error
    if not isinstance(metrics, dict):
        raise UserError(f'--metrics {path} holds no metrics by name; give what test --out wrote')
    return metrics
