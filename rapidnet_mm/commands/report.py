"""Write a report about one or more trainings, as a folder that opens in a browser."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from ..errors import UserError
from . import arguments

HELP = 'Write a report about trainings, as a page with curves, errors and images'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        'work_dirs',
        nargs='+',
        metavar='WORK_DIR',
        help='work directory of a training; several of the same task are compared',
    )
    parser.add_argument(
        '--out', metavar='DIR', help='folder of the report (default: report in the first WORK_DIR)'
    )
    parser.add_argument(
        '--checkpoint',
        metavar='FILE',
        help='the checkpoint to look at (default: the best of the training, else the last)',
    )
    parser.add_argument(
        '--score-thr',
        type=arguments.score,
        default=0.3,
        help='least score of detections in pictures and in the confusion matrix (default: 0.3)',
    )
    parser.add_argument(
        '--retest',
        action='store_true',
        help='test again, and use no predictions of an earlier report',
    )
    arguments.add_verbose(parser)
    arguments.add_options(parser)


@arguments.quietly
def run(args: argparse.Namespace) -> None:
    """Write the report."""
    from rich.progress import track

    from ..analysis.report import build, predict, work_dir
    from ..engine.options import parse_options
    from ..files import writable_folder
    from .main import __version__

    if args.checkpoint and len(args.work_dirs) > 1:
        raise UserError('--checkpoint goes with one WORK_DIR only')
    works = [work_dir.open_work_dir(folder, args.checkpoint) for folder in args.work_dirs]
    names = build.names_of(works)
    out = Path(args.out or works[0].folder / 'report')
    writable_folder(out, '--out')
    build.check_free(out)
    options = parse_options(args.cfg_options)
    plans = [
        predict.plan_test(work, out / 'test' / str(number), options)
        for number, work in enumerate(works, 1)
    ]
    build.check_tasks(plans)
    runs = []
    for name, plan in zip(names, plans, strict=True):
        record, origin = predict.predictions_of(plan, args.retest)
        print(origin)
        runs.append(build.Run(name, plan.work, record, origin))
        build.check_same(runs)
    command = shlex.join([*arguments.program(), *_words()])
    for line in build.write_report(
        runs,
        out,
        args.score_thr,
        (command, __version__),
        lambda parts: track(parts, 'report'),
    ):
        print(f'warning: {line}', file=sys.stderr)
    print(f'the report is in {out / build.PAGE}')


def _words() -> list[str]:
    """Return the arguments of this process, with the name of the command."""
    words = sys.argv[1:]
    return words if words[:1] == ['report'] else ['report', *words]
