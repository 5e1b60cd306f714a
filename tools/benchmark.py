"""Time a model in its variants: training and inference form, memory layouts, compiled."""

import argparse
import json

import torch

from rapidnet_mm import benchmark, cli, complexity
from rapidnet_mm.engine import load_config
from rapidnet_mm.outputs import writable_file, write_output
from rapidnet_mm.report import text_table

HEADER = ['variant', 'p50 (ms)', 'p95 (ms)', 'images/s', 'speed against the first']


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--backbone', action='store_true', help='the backbone alone')
    cli.add_speed_options(parser, batch=1, shape='what the config says', steps=20)
    parser.add_argument('--json', metavar='FILE', help='write the numbers here, too')
    cli.add_options(parser)
    return parser.parse_args()


def to_text(found: benchmark.Prediction, title: str) -> str:
    rows = [
        (
            name,
            f'{speed.percentile(50) * 1000:.1f}',
            f'{speed.percentile(95) * 1000:.1f}',
            f'{speed.images_per_second:.2f}',
            f'{found.ratio(name):.2f}',
        )
        for name, speed in found.speeds.items()
    ]
    peaks = ', '.join(f'{name} {peak:.0f} MiB' for name, peak in found.memory.items())
    skipped = (f'skipped: {name} ({reason})' for name, reason in found.skipped.items())
    lines = [text_table(HEADER, rows, title), f'timed: {found.timed}', f'peak memory: {peaks}']
    return '\n'.join([*lines, *skipped])


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    target = writable_file(args.json, '--json') if args.json else None
    cfg = load_config(args.config, args.cfg_options)
    shape = tuple(args.shape or complexity.default_shape(cfg)[0])
    found = benchmark.prediction_speed(cfg, args.batch, shape, args.steps, args.backbone)
    title = (
        f'{args.config}: {args.batch} of {shape[0]}x{shape[1]}, {benchmark.environment_text()}, '
        f'{args.steps} rounds'
    )
    print(to_text(found, title))
    if target:
        setting = dict(
            config=args.config,
            backbone_only=args.backbone,
            batch=args.batch,
            shape=shape,
            rounds=args.steps,
            environment=benchmark.environment(),
        )
        text = json.dumps({**setting, **found.to_dict()}, indent=2)
        write_output(f'{text}\n'.encode(), target)


if __name__ == '__main__':
    cli.run(main)
