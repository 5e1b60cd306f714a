"""Convert and divide data sets."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

HELP = 'Convert a data set to another format, or divide it into train and val'
FORMATS = ('coco', 'yolo', 'voc', 'labelme', 'cvat', 'labels', 'folders')
TASKS = ('instance', 'boxes', 'semantic', 'classes')


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


def _print(out: str, summary: str, notes: list[str] | tuple[str, ...]) -> None:
    print('\n'.join([f'{out}: {summary}', *(f'- {note}' for note in notes)]))


ACTIONS = {
    'convert': Action('convert a data set to another format', _add_convert, _convert),
    'split': Action('divide a data set into train and val', _add_split, _split),
}
