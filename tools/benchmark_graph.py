"""Time MobileViG's static graph, without its convolutions, against plain cyclic shifts."""

import argparse

import torch

from rapidnet_mm import cli
from rapidnet_mm.benchmark import environment_text, graph_speed
from rapidnet_mm.report import text_table

CHANNELS = 256  # of MobileViG's last stage
SHAPES = [(7, 7), (16, 16), (25, 42)]  # that stage's maps at 224x224, 512x512 and 800x1333
HEADER = ['map', 'what', 'shifts (ms)', 'ours (ms)', 'times as fast']


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_speed_options(parser, batch=8, shape='7 7, 16 16 and 25 42', steps=20)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
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


if __name__ == '__main__':
    cli.run(main)
