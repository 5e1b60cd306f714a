"""Run a trained model on images; write pictures of the results, json files and label maps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import UserError
from ..files import writable_folder, write_output
from . import arguments

HELP = 'Run a trained model on images'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
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
    if len(set(targets)) < len(targets):
        raise UserError('two inputs have the same name; give their common folder instead')
    if any(t.resolve() == image.resolve() for t, (image, _) in zip(targets, images, strict=True)):
        raise UserError(f'--out-dir {out_dir} holds the images themselves; choose another folder')
    writable_folder(out_dir, '--out-dir')
    model = Inferencer(args.config, args.checkpoint, args.device, parse_options(args.cfg_options))
    skipped = 0
    for (image, _), target in zip(track(images, 'images'), targets, strict=True):
        try:
            result = model.draw(image, target, args.score_thr)
        except UserError as error:
            print(f'skipped: {error}', file=sys.stderr)
            skipped += 1
            continue
        for ending, data in result.files(str(image), args.score_thr).items():
            write_output(data, target.with_name(target.name + ending))
    print(f'{len(images) - skipped} of {len(images)} images done, results in {out_dir}')
    return 1 if skipped else 0
