"""Make a release of a trained model: weights as safetensors, named by their hash, and a card."""

import argparse
import json
from pathlib import Path

from rapidnet_mm import UserError, cli
from rapidnet_mm.engine import load_config
from rapidnet_mm.outputs import writable_folder
from rapidnet_mm.publishing import publish


def parse_args():
    parser = argparse.ArgumentParser(
        description='Make a release of a trained model: weights (averaged ones if there are any, '
        'and nothing of the training) and a model card'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir', default='work_dirs/published', help='where files go (%(default)s)'
    )
    parser.add_argument('--metrics', metavar='JSON', help='what tools/test.py --out wrote')
    cli.add_options(parser)
    return parser.parse_args()


def read_metrics(path: str | None) -> dict:
    try:
        metrics = json.loads(Path(path).read_text()) if path else {}
    except (OSError, ValueError) as error:
        raise UserError(f'--metrics {path} cannot be read: {error}') from error
    if not isinstance(metrics, dict):
        raise UserError(f'--metrics {path} holds no metrics by name; give what test.py --out wrote')
    return metrics


def main() -> None:
    args = parse_args()
    metrics = read_metrics(args.metrics)
    writable_folder(args.out_dir, '--out-dir')
    cfg = load_config(args.config, args.cfg_options)
    weights, card = publish(cfg, args.config, args.checkpoint, args.out_dir, metrics)
    print(f'{weights}\n{card}')


if __name__ == '__main__':
    cli.run(main)
