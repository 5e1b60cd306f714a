"""Write the small built-in data set, so that everything runs before anything is downloaded.

python tools/make_shapes.py --root data/shapes
"""

import argparse

from rapidnet_mm import cli
from rapidnet_mm.datasets.shapes import make_classes, make_shapes

SCENES = dict(root='data/shapes', train=200, val=50, size=(256, 192))
CLASSES = dict(root='data/shapes_classes', train=1000, val=100, size=(64, 64))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='defaults: {root}, {train}, {val}, {size}; '.format(**SCENES)
        + 'with --classes {root}, {train}, {val}, {size}'.format(**CLASSES),
    )
    parser.add_argument(
        '--classes', action='store_true', help='one object a picture, in class folders'
    )
    parser.add_argument('--root', help='the folder to write')
    parser.add_argument('--train', type=int, help='images to train on')
    parser.add_argument('--val', type=int, help='images to evaluate on')
    parser.add_argument('--size', type=int, nargs=2, metavar=('W', 'H'), help='about, in px')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other pictures')
    args = parser.parse_args()
    given = {key: getattr(args, key) for key in SCENES if getattr(args, key) is not None}
    wanted = {**(CLASSES if args.classes else SCENES), **given}
    make = make_classes if args.classes else make_shapes
    root = make(**wanted, seed=args.seed)
    print(f'{root}: {wanted["train"]} images to train on, {wanted["val"]} to evaluate on')


if __name__ == '__main__':
    cli.run(main)
