"""Count all models of the zoo and write its files, or draw accuracy against latency."""

from __future__ import annotations

import argparse
import contextlib
import sys

from ..errors import UserError
from ..files import writable_file, write_file, write_output
from . import arguments

HELP = 'Write counts into the metafiles, and docs/model_zoo.md with its pictures'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        '--check', action='store_true', help='write nothing; exit status 2 if a file is out of date'
    )
    parser.add_argument(
        '--latency',
        metavar='FILE',
        help='time the ImageNet models here, draw printed accuracies against the times (PNG)',
    )
    parser.add_argument(
        '--models', nargs='+', default=[], metavar='NAME', help='with --latency: only these models'
    )
    parser.add_argument('--steps', type=arguments.positive, help='with --latency: timed steps (20)')
    parser.add_argument(
        '--threads', type=arguments.positive, help='with --latency: PyTorch threads'
    )


def run(args: argparse.Namespace) -> None:
    """Count, and write or check; or time and draw."""
    if args.latency and args.check:
        raise UserError('--check does not go with --latency')
    if not args.latency and (args.models or args.steps or args.threads):
        raise UserError('--models, --steps and --threads go with --latency')
    from ..analysis.zoo import metafiles

    root, index = metafiles.ROOT, metafiles.INDEX
    if not (root / index).is_file():
        raise UserError(f'zoo works in a checkout only: {root} has no {index}')
    if args.latency:
        _draw_latencies(args)
    else:
        _update(args)


def _update(args: argparse.Namespace) -> None:
    from ..analysis.zoo import metafiles, update

    root = metafiles.ROOT
    models = metafiles.load()
    with contextlib.redirect_stdout(sys.stderr):  # libraries print while they are built
        changed = update.recount(models)
    stale = update.stale(models)
    if args.check and stale:
        files = ', '.join(path.relative_to(root).as_posix() for path in stale)
        counts = f' (other counts: {", ".join(changed)})' if changed else ''
        raise UserError(f'{files} stale{counts}; run rapidnet zoo')
    for path, content in stale.items():
        write_file(content, path)
        print(f'wrote {path.relative_to(root)}')
    print(f'{len(models.entries)} models, {len(stale)} files written')


def _draw_latencies(args: argparse.Namespace) -> None:
    from ..analysis.speed.several import compare_speeds, to_text
    from ..analysis.speed.timing import environment_text
    from ..analysis.zoo import latency, metafiles, pictures

    target = writable_file(args.latency, '--latency')
    arguments.set_threads(args)
    zoo = metafiles.load()
    with contextlib.redirect_stdout(sys.stderr):  # libraries print while they are built
        timed = compare_speeds(latency.models(zoo, args.models), 1, args.steps or 20)
    print(to_text(timed, f'models as built, one image, {environment_text()}'))
    write_output(pictures.draw(latency.picture(zoo, timed, environment_text())), target)
    print(f'wrote {target}')
