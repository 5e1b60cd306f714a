"""Count all models of the zoo. Write metafiles, page and picture, or name the stale files."""

from __future__ import annotations

import argparse
import contextlib
import sys

from ..errors import UserError
from ..files import write_file

HELP = 'Write counts into the metafiles, and docs/model_zoo.md with its picture'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        '--check', action='store_true', help='write nothing; exit status 2 if a file is out of date'
    )


def run(args: argparse.Namespace) -> None:
    """Count, and write or check."""
    from ..analysis.zoo import metafiles, update

    root, index = metafiles.ROOT, metafiles.INDEX
    if not (root / index).is_file():
        raise UserError(f'zoo works in a checkout only: {root} has no {index}')
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
