"""Write the small built-in data set, so that everything runs before anything is downloaded."""

from __future__ import annotations

import argparse

HELP = 'Write the small built-in data set'
SCENES = dict(root='data/shapes', train=200, val=50, size=(256, 192))
CLASSES = dict(root='data/shapes_classes', train=1000, val=100, size=(64, 64))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.epilog = 'defaults: {root}, {train}, {val}, {size}; '.format(**SCENES)
    parser.epilog += 'with --classes {root}, {train}, {val}, {size}'.format(**CLASSES)
    parser.add_argument(
        '--classes', action='store_true', help='one object in each image; images in class folders'
    )
    parser.add_argument('--root', help='the folder to write')
    parser.add_argument('--train', type=int, help='images to train on')
    parser.add_argument('--val', type=int, help='images to evaluate on')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('W', 'H'),
        help='approximate width and height in pixels',
    )
    parser.add_argument('--seed', type=int, default=0, help='another seed gives other images')


def run(args: argparse.Namespace) -> None:
    """Write the data set."""
    from ..data.shapes.make import make_classes, make_shapes

    make, defaults = (make_classes, CLASSES) if args.classes else (make_shapes, SCENES)
    changes = {key: getattr(args, key) for key in defaults if getattr(args, key) is not None}
    settings = {**defaults, **changes}
    root = make(**settings, seed=args.seed)
    print(f'{root}: {settings["train"]} images to train on, {settings["val"]} to evaluate on')
