"""List known weights, fetch them, and show what a file holds."""

from __future__ import annotations

import argparse

HELP = 'List known weights, fetch them, or show what a file holds'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    actions = parser.add_subparsers(dest='action', metavar='list|fetch|show', required=True)
    listing = actions.add_parser(
        'list', help='list all weights with a name, or show all facts about some'
    )
    listing.add_argument(
        'names', nargs='*', metavar='NAME', help='show all facts about these weights'
    )
    fetching = actions.add_parser('fetch', help='fetch weights into the cache, or into a folder')
    fetching.add_argument('names', nargs='+', metavar='NAME', help='name, hf://... or URL')
    fetching.add_argument('--out-dir', help='copy the files into this folder, such as checkpoints')
    showing = actions.add_parser('show', help='show what a file holds')
    showing.add_argument('file', metavar='FILE', help='checkpoint: file, name or URL')
    showing.add_argument('--keys', action='store_true', help='list all tensors with their shapes')


def run(args: argparse.Namespace) -> None:
    """List, fetch or show."""
    from ..engine.console import quiet

    with quiet():
        {'list': _list, 'fetch': _fetch, 'show': _show}[args.action](args)


def _list(args: argparse.Namespace) -> None:
    from ..analysis import weights_report
    from ..display.tables import text_table

    if not args.names:
        print(text_table(weights_report.COLUMNS, weights_report.rows()))
        print('rapidnet weights list NAME shows all facts about one')
    for name in args.names:
        print(_lines(weights_report.facts_of_name(name)))


def _fetch(args: argparse.Namespace) -> None:
    from ..files import writable_folder
    from ..weights.locate import copy_into, locate

    if args.out_dir:
        writable_folder(args.out_dir, '--out-dir')
    for name in args.names:
        path = locate(name)
        if args.out_dir:
            path = copy_into(name, path, args.out_dir)
        print(f'{name}: {path}')


def _show(args: argparse.Namespace) -> None:
    from ..analysis import weights_report

    facts, keys = weights_report.facts_of_file(args.file)
    print(_lines(facts))
    if args.keys:
        print('\n'.join(keys))


def _lines(facts: dict[str, str]) -> str:
    width = max(map(len, facts))
    return '\n'.join(f'{name:<{width}}  {value}' for name, value in facts.items())
