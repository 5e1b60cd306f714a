"""Download, convert and divide data sets."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..data.importers.dataset import TASKS
from ..errors import UserError
from ..files import writable_folder
from . import arguments

HELP = 'Download a published data set, convert one, or divide one into train and val'
FORMATS = ('coco', 'yolo', 'voc', 'labelme', 'cvat', 'labels', 'folders')


class Action(NamedTuple):
    """A subcommand: its help, a function that adds its arguments, and one that runs it."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    actions = parser.add_subparsers(dest='action', metavar='|'.join(ACTIONS), required=True)
    for name, action in ACTIONS.items():
        action.add_arguments(actions.add_parser(name, help=action.help, description=action.help))


def run(args: argparse.Namespace) -> None:
    """Run one action."""
    ACTIONS[args.action].run(args)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'sources', nargs='+', metavar='SRC', help='folders and files with images and annotations'
    )
    parser.add_argument('--out', required=True, help='the folder to write; it must not exist yet')
    parser.add_argument(
        '--format', choices=(*FORMATS, 'imported'), help='format of SRC, if it has several'
    )
    parser.add_argument('--task', choices=TASKS, help='what the data are for, if it is not clear')


def _add_convert(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument('--to', required=True, choices=FORMATS, help='format to write')
    parser.add_argument(
        '--images',
        choices=('copy', 'link'),
        default='copy',
        help='copy the images, or make symbolic links to them (default: copy)',
    )


def _convert(args: argparse.Namespace) -> None:
    from ..data.importers.run import export_data

    export = export_data(
        args.sources, args.to, args.out, task=args.task, format=args.format, images=args.images
    )
    _print(args.out, export.summary, export.notes)


def _add_split(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument(
        '--val', type=float, default=0.2, help='share of the images for validation (default: 0.2)'
    )
    parser.add_argument('--seed', type=int, default=0, help='another seed gives another division')


def _split(args: argparse.Namespace) -> None:
    from ..data.importers.run import import_data

    dataset = import_data(
        args.sources,
        args.out,
        task=args.task,
        val=args.val,
        seed=args.seed,
        format=args.format,
        divide=True,
    )
    parts = ', '.join(f'{name} {split.images}' for name, split in dataset.splits.items())
    classes = len(dataset.classes)
    summary = f'{dataset.format}, {dataset.task}, {classes} classes, images: {parts}'
    _print(args.out, summary, dataset.notes)


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    from ..data.fetch.sources import SOURCES

    parser.add_argument('name', choices=SOURCES, metavar='NAME', help=', '.join(SOURCES))
    parser.add_argument('--out', default='data', help='folder of all data sets (default: data)')
    parser.add_argument(
        '--subset',
        type=arguments.positive,
        metavar='N',
        help='only N images of each split, into NAME_N (coco)',
    )
    parser.add_argument('--seed', type=arguments.seed, default=0, help='draws another subset')
    parser.add_argument(
        '--from',
        dest='files',
        nargs='+',
        metavar='FILE',
        help='files downloaded by hand (imagenet)',
    )
    parser.add_argument(
        '--keep-archives', action='store_true', help='keep the archives after unpacking them'
    )


def _fetch(args: argparse.Namespace) -> None:
    from ..data.fetch.coco_subset import fetch_subset
    from ..data.fetch.imagenet import by_hand, lay_out
    from ..data.fetch.run import fetch
    from ..data.fetch.sources import SOURCES, ByHand

    source, out = SOURCES[args.name], Path(args.out)
    is_by_hand = isinstance(source, ByHand)
    if args.subset and args.name != 'coco':
        raise UserError(f'--subset: {args.name} has no single images to download, only coco has')
    if args.files and not is_by_hand:
        raise UserError(f'--from: {args.name} can be downloaded; leave it out')
    print(f'{source.title}, terms of use: {source.terms}')
    if is_by_hand and not args.files:
        raise by_hand(args.name, source)
    writable_folder(out, '--out')
    if is_by_hand:
        folder = lay_out(source, args.files, out)
    elif args.subset:
        folder = fetch_subset(source, args.subset, out, args.seed)
    else:
        folder = fetch(source, out, args.keep_archives)
    print(f'{source.title} is in {folder}')


def _print(out: str, summary: str, notes: list[str] | tuple[str, ...]) -> None:
    print('\n'.join([f'{out}: {summary}', *(f'- {note}' for note in notes)]))


ACTIONS = {
    'convert': Action('convert a data set to another format', _add_convert, _convert),
    'fetch': Action('download a published data set, laid out for our configs', _add_fetch, _fetch),
    'split': Action('divide a data set into train and val', _add_split, _split),
}
