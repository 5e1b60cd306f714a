"""Compare how fast detectors train: random images, the configs taking turns in one run."""

import argparse

import torch

from rapidnet_mm import cli
from rapidnet_mm.benchmark import environment_text, training_speed
from rapidnet_mm.engine import load_config
from rapidnet_mm.report import text_table


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='the first is the measure')
    cli.add_speed_options(parser, batch=8, shape='320 320', steps=10)
    cli.add_options(parser)
    parser.set_defaults(shape=(320, 320))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    configs = [load_config(path, args.cfg_options) for path in args.configs]
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
    print(text_table(['config', 'ms', 'images/s', 'speed against the first'], rows, title))


if __name__ == '__main__':
    cli.run(main)
