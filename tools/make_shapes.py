"""Write the small built-in data set, so that everything runs before anything is downloaded.

python tools/make_shapes.py --root data/shapes
"""

import argparse

from rapidnet_mm import cli
from rapidnet_mm.datasets.shapes import make_shapes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--root', default='data/shapes', help='the folder to write')
    parser.add_argument('--train', type=int, default=200, help='images to train on')
    parser.add_argument('--val', type=int, default=50, help='images to evaluate on')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(256, 192), metavar=('W', 'H'), help='about, in px'
    )
    parser.add_argument('--seed', type=int, default=0, help='another seed, other pictures')
    args = parser.parse_args()
    root = make_shapes(args.root, args.train, args.val, tuple(args.size), args.seed)
    print(f'{root}: {args.train} images to train on, {args.val} to evaluate on')


if __name__ == '__main__':
    cli.run(main)
