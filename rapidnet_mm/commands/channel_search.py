"""Search for good channels of the blocks, as the appendix of ReXNet's paper does (Figure A1)."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files import writable_folder, write_output
from . import arguments

if TYPE_CHECKING:
    from ..analysis.channel_search.images import Data

HELP = "Train random channel configurations; compare the best with the others (ReXNet's Figure A1)"
DATA = 'data/shapes_classes'
MIN_MODELS = 10  # a tenth of them is one model
OUT = 'work_dirs/channel_search'
PICTURE = 'channel_search.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.epilog = 'A second call with the same arguments goes on where the first one stopped.'
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        '--data', default=DATA, help=f'folder with class folders in train and val (default: {DATA})'
    )
    source.add_argument('--cifar10', metavar='FOLDER', help='folder with CIFAR-10 for Python')
    parser.add_argument('--download', action='store_true', help='fetch CIFAR-10 if it is not there')
    parser.add_argument('--work-dir', default=OUT, help=f'where results go (default: {OUT})')
    number = partial(parser.add_argument, type=arguments.positive)
    number('--models', default=50, help='number of configurations (default: 50; the paper has 200)')
    number('--epochs', default=5, help='epochs of each training (default: 5)')
    number('--batch', default=64, help='images in a step (default: 64)')
    parser.add_argument(
        '--lr', type=float, default=0.1, help='highest learning rate (default: 0.1)'
    )
    number('--size', default=32, help='side of the square images in pixels (default: 32)')
    number('--blocks', default=9, help='inverted bottlenecks per network (default: 9)')
    number(
        '--channels', nargs=2, metavar=('MIN', 'MAX'), default=(8, 128), help='per block (8 128)'
    )
    parser.add_argument(
        '--order',
        choices=('rising', 'any'),
        default='rising',
        help='rising: no block has fewer channels than the one before (default)',
    )
    number('--max-params', default=350_000, help='budget of parameters (default: 350000)')
    number('--max-flops', default=12_000_000, help='budget of FLOPs (default: 12000000)')
    parser.add_argument(
        '--min-share',
        type=arguments.score,
        default=0.9,
        help='a configuration uses at least this share of one budget (default: 0.9)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of all random numbers (default: 0)'
    )
    parser.add_argument('--threads', type=arguments.positive, help='number of PyTorch threads')


def run(args: argparse.Namespace) -> None:
    """Train, print a table and draw the picture."""
    from ..engine.console import quiet

    _check(args)
    arguments.set_threads(args)
    with quiet():
        _search(args)


def _search(args: argparse.Namespace) -> None:
    from ..analysis.channel_search import picture
    from ..analysis.channel_search.search import search
    from ..analysis.channel_search.space import Space, check_space
    from ..analysis.channel_search.training import Recipe
    from ..engine.disk import lock

    budgets = (args.max_params, args.max_flops, args.min_share)
    space = Space(args.blocks, *args.channels, *budgets, args.order, args.size)
    check_space(space)
    folder = Path(args.work_dir)
    writable_folder(folder, '--work-dir')
    guard = lock(folder)
    data = _read(args)
    report = partial(print, flush=True)
    report(f'{data.name}: {len(data.train.labels)} images to train on, {data.classes} classes')
    results = search(
        space._replace(classes=data.classes),
        Recipe(args.epochs, args.batch, args.lr, args.seed),
        data,
        args.models,
        folder,
        report,
    )
    title = f'{data.name}: {len(results)} random configurations, {args.epochs} epochs each'
    write_output(picture.draw(results, title), folder / PICTURE)
    print(f'{picture.table(results)}\n± is one standard deviation\nwrote {folder / PICTURE}')
    if guard:
        guard.release()


def _check(args: argparse.Namespace) -> None:
    if args.models < MIN_MODELS:
        raise UserError(f'--models {args.models} must be at least {MIN_MODELS}, for tenths')
    if args.download and not args.cifar10:
        raise UserError('--download goes with --cifar10')
    if not args.lr > 0:
        raise UserError(f'--lr {args.lr} must be above 0')


def _read(args: argparse.Namespace) -> Data:
    from ..analysis.channel_search.images import read_cifar10, read_class_folders

    if args.cifar10:
        return read_cifar10(args.cifar10, args.download, args.size)
    return read_class_folders(args.data, args.size)
