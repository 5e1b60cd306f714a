"""Count parameters, FLOPs and feature maps of a config, or of all published rows."""

from __future__ import annotations

import argparse
import contextlib
import sys

from ..errors import UserError
from . import arguments

HELP = 'Count parameters, FLOPs and feature maps of a config'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    arguments.add_model_arguments(parser)
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='height and width of the image in pixels (default: what the config says)',
    )
    parser.add_argument('--per-module', action='store_true', help='also list the modules')
    parser.add_argument(
        '--depth', type=int, default=3, help='how deep --per-module goes (default: 3)'
    )
    parser.add_argument('--json', action='store_true', help='print json instead of tables')
    parser.add_argument(
        '--table',
        action='store_true',
        help='compare with all published numbers; exit status 1 if one of ours differs',
    )


def run(args: argparse.Namespace) -> int:
    """Print the counts; return 1 if one differs from the published number."""
    if bool(args.config) == args.table:
        raise UserError('give either a config or --table')
    if args.table and (args.shape or args.backbone or args.per_module or args.cfg_options):
        raise UserError('--table goes with --json only')
    if args.depth < 1:
        raise UserError(f'--depth {args.depth} must be at least 1')
    # Libraries print while they are imported and built; standard output is for the result.
    with contextlib.redirect_stdout(sys.stderr):
        text, off = _compare_published(args) if args.table else (_count_config(args), False)
    print(text)
    return int(off)


def _count_config(args: argparse.Namespace) -> str:
    from ..analysis.complexity import measure
    from ..engine.config import build_model

    cfg = arguments.read_config(args.config, args)
    model = build_model(cfg, args.backbone)
    shape, source = arguments.image_shape(cfg, args)
    result = measure(model, shape)
    depth = args.depth if args.per_module else 0
    name = type(model).__name__
    if args.json:
        return arguments.as_json({'config': args.config, 'model': name, **result.to_dict(depth)})
    title = f'{args.config}: {name}, input {shape[0]}x{shape[1]} (HxW; {source})'
    return f'{title}\n{result.to_text(depth)}'


def _compare_published(args: argparse.Namespace) -> tuple[str, bool]:
    from ..analysis import compare, papers

    results = [compare.compare(row) for row in papers.ROWS]
    off = sum(not result.within for result in results)
    if args.json:
        rows = [result.to_dict() for result in results]
        return arguments.as_json({'rows': rows, 'off': off}), bool(off)
    summary = (
        'M = 1e6, G = B = 1e9; FLOPs are multiply-adds of one image\n'
        f'{papers.FPN_FLOPS}\n'
        f'{len(results) - off} of {len(results)} rows are within their tolerance'
    )
    return f'{compare.to_text(results)}\n{summary}', bool(off)
