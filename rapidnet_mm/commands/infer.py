"""Run a trained model on images; write pictures of the results, json files and label maps."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files import is_foreign, same_name, writable_folder, write_output
from . import arguments

# Endings of the other result files of an image, after the name of its picture.
ENDINGS = ('.json', '.labels.png')
HELP = 'Run a trained model on images'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint: file, URL or name (rapidnet weights list)')
    parser.add_argument('inputs', nargs='+', metavar='IMAGE_OR_FOLDER')
    parser.add_argument(
        '--out-dir', required=True, help='where pictures, json files and label maps go'
    )
    parser.add_argument(
        '--score-thr', type=arguments.score, default=0.3, help='least score (default: 0.3)'
    )
    parser.add_argument(
        '--device', help='cuda, cuda:1, mps, cpu, ... (default: a GPU if there is one)'
    )
    arguments.add_verbose(parser)
    arguments.add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the results of every image; return 1 if an image was skipped."""
    from ..engine.console import quiet

    with quiet(args.verbose):
        return _infer(args)


def _infer(args: argparse.Namespace) -> int:
    from rich.progress import track

    from ..deploy.inferencer import Inferencer
    from ..display.images import find_images, picture_name
    from ..engine.options import parse_options

    out_dir = Path(args.out_dir)
    images = find_images(args.inputs, leave_out=out_dir)
    targets = [out_dir / picture_name(name) for _, name in images]
    writable_folder(out_dir, '--out-dir')
    _check_free(out_dir, [image for image, _ in images], targets)
    model = Inferencer(args.config, args.checkpoint, args.device, parse_options(args.cfg_options))
    skipped = 0
    for (image, _), target in zip(track(images, 'images'), targets, strict=True):
        try:
            result = model.draw(image, target, args.score_thr)
            for ending, data in result.files(str(image), args.score_thr).items():
                write_output(data, target.with_name(target.name + ending))
        except UserError as error:
            print(f'skipped: {error}', file=sys.stderr)
            skipped += 1
    print(f'{len(images) - skipped} of {len(images)} images done, results in {out_dir}')
    return 1 if skipped else 0


def _check_free(out_dir: Path, images: Sequence[Path], targets: Sequence[Path]) -> None:
    """Raise an error if a target is an input, a file that is not ours, or there twice."""
    inputs = {os.path.realpath(image) for image in images}
    files = [t.with_name(t.name + ending) for t in targets for ending in ('', *ENDINGS)]
    if any(os.path.realpath(file) in inputs for file in files):
        raise UserError(f'--out-dir {out_dir} holds the images themselves; choose another folder')
    if twice := same_name(files, out_dir):
        raise UserError(
            f'two inputs have the same name: both would be {twice}; give their common folder '
            'instead, or rename one'
        )
    if foreign := next(filter(is_foreign, files), None):
        raise UserError(
            f'--out-dir {out_dir}: {foreign.relative_to(out_dir)} is there already, and this '
            'command has not written it, or it was changed since; choose another folder'
        )
