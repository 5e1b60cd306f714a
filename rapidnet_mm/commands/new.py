"""Make a config for a folder of annotated images: model, recipe and data fit each other."""

from __future__ import annotations

import argparse
import math
import shlex

from ..data.importers.dataset import TASKS
from . import arguments

HELP = 'Make a config for your own annotated images'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        'data', nargs='+', metavar='FOLDER_OR_FILE', help='annotated images, in any usual format'
    )
    parser.add_argument(
        '--task',
        choices=TASKS,
        help='boxes; instance: boxes and masks; semantic: label maps; classes: of whole images '
        '(default: what the data have)',
    )
    parser.add_argument(
        '--model', help='one of our configs, such as maskrcnn_rapidnet_m (default: a small one)'
    )
    parser.add_argument('--out', metavar='DIR', help='the new folder (default: DATA_TASK, here)')
    parser.add_argument(
        '--from-scratch', action='store_true', help='start from random weights, not from ImageNet'
    )
    parser.add_argument(
        '--val',
        type=share,
        default=0.2,
        help='share of the images to validate on if the data are not divided (default: 0.2)',
    )
    parser.add_argument('--format', help='of the data, if it is not recognised')
    parser.add_argument(
        '--minutes',
        type=minutes,
        help='how long the training may take here (default: 5 on a CPU, else what the data want)',
    )
    parser.add_argument('--seed', type=arguments.seed, default=0, help='of the division (0)')
    arguments.add_verbose(parser)


@arguments.quietly
def run(args: argparse.Namespace) -> None:
    """Write the config, and print what comes next."""
    from ..engine.recipe.new import Request, write_new

    program = shlex.join(arguments.program())
    options = [*args.data, *(['--from-scratch'] if args.from_scratch else [])]
    for name in ('model', 'task', 'minutes', 'format'):
        value = getattr(args, name)
        options += (
            [] if value is None else [f'--{name}', f'{value:g}' if name == 'minutes' else value]
        )
    new = write_new(
        Request(
            *(args.data, args.out, args.task, args.model, args.from_scratch, args.val, args.seed),
            *(args.format, args.minutes, f'rapidnet new {shlex.join(options)}'),
        )
    )
    print(new.summary)
    for note in new.notes:
        print(f'  {note}')
    config = shlex.quote(str(new.config))
    print('Next:')
    for name, purpose in (
        ('doctor', 'what is wrong or odd in data and config'),
        ('browse', 'what the model will see'),
        ('train', 'train it'),
    ):
        print(f'  {program} {name} {config}  # {purpose}')


def share(text: str) -> float:
    """Parse the share of images to validate on, for argparse."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def minutes(text: str) -> float:
    """Parse a time, for argparse."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not a number of minutes')
    return value
