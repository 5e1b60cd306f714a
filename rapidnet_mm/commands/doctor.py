"""Say what is wrong or odd in the environment, a config, data or a checkpoint."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from . import arguments

HELP = 'Say what is wrong or odd in the environment, a config, data or a checkpoint'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        'patients',
        nargs='*',
        metavar='CONFIG|FOLDER|FILE.pth',
        help='what to examine (default: the environment); a config together with a checkpoint '
        'also says how much of the model the file fills',
    )
    parser.add_argument('--json', action='store_true', help='print the findings as json')
    parser.add_argument('--picture', metavar='FILE.png', help='draw the data into this file')
    parser.add_argument(
        '--quick', action='store_true', help='read no images and make no step of a training'
    )
    parser.add_argument(
        '--format', help='format of the data, if a folder has several: coco, yolo, voc, labels, ...'
    )
    parser.add_argument(
        '--images',
        type=arguments.positive,
        default=5000,
        metavar='N',
        help='look into at most N images of a split (default: 5000)',
    )
    arguments.add_verbose(parser)
    arguments.add_options(parser)


@arguments.quietly
def run(args: argparse.Namespace) -> int:
    """Examine, and return 1 if something would break or spoil a training."""
    from ..analysis.doctor.finding import exit_status
    from ..analysis.doctor.visit import Limits, visit
    from ..engine.options import parse_options
    from ..errors import UserError
    from ..files import writable_file

    if args.picture:
        if not args.picture.lower().endswith('.png'):
            raise UserError(f'--picture {args.picture}: the file must end with .png')
        if args.quick or not args.patients:
            raise UserError('--picture draws data: give a config or a folder, without --quick')
        writable_file(args.picture, '--picture')
    options = parse_options(args.cfg_options)
    with tempfile.TemporaryDirectory(prefix='rapidnet-doctor-') as scratch:
        limits = Limits(args.quick, args.images, args.format, Path(scratch))
        reports, splits = visit(args.patients, options, limits)
        if args.picture:
            _draw(args, splits)
    findings = [finding for report in reports for finding in report.findings]
    if args.json:
        content = {'reports': [report.as_dict() for report in reports]}
        print(arguments.as_json({**content, 'status': exit_status(findings)}))
    else:
        print('\n\n'.join(map(_text, reports)))
    return exit_status(findings)


def _draw(args: argparse.Namespace, splits: Any) -> None:
    import sys

    from ..analysis.doctor.picture import draw_data
    from ..errors import UserError
    from ..files import write_output

    if not splits:
        raise UserError(f'--picture: {", ".join(args.patients)} has no data that can be read')
    write_output(draw_data(splits), args.picture)
    print(f'picture: {args.picture}', file=sys.stderr if args.json else sys.stdout)


def _text(report: Any) -> str:
    from ..analysis.doctor.finding import as_text

    width = max(map(len, report.facts), default=0)
    indent = '\n' + ' ' * (width + 4)  # of the further lines of a fact
    facts = [
        f'  {name:<{width}}  ' + value.replace('\n', indent) for name, value in report.facts.items()
    ]
    return '\n'.join([report.patient, *facts, as_text(report.findings)])
