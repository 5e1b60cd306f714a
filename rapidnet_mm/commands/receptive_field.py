"""Compute the receptive fields of backbones, and show which pixels matter to them."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import writable_file, write_output
from . import arguments

if TYPE_CHECKING:
    from torch import Tensor

HELP = 'Compute the receptive fields of backbones, and show which pixels matter'
OUT = 'work_dirs/receptive_field.png'
HEADER = ['backbone', 'output', 'stride', 'theoretical (px)', 'effective (px)']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument(
        '--checkpoint',
        nargs='+',
        metavar='FILE',
        help='trained weights, one file for each config (default: random weights)',
    )
    parser.add_argument(
        '--images', nargs='+', metavar='IMAGE_OR_FOLDER', help='default: built-in scenes'
    )
    parser.add_argument(
        '--count', type=arguments.positive, default=8, help='number of images (default: 8)'
    )
    parser.add_argument(
        '--size', type=arguments.positive, default=512, help='side in pixels (default: 512)'
    )
    parser.add_argument('--out', default=OUT, help=f'PNG to write (default: {OUT})')
    parser.add_argument('--json', action='store_true', help='print json instead of a table')
    arguments.add_verbose(parser)
    arguments.add_options(parser)


def run(args: argparse.Namespace) -> None:
    """Print a table and write a picture."""
    target = writable_file(args.out, '--out')
    if args.checkpoint and len(args.checkpoint) != len(args.configs):
        raise UserError(
            f'--checkpoint has {len(args.checkpoint)} files for {len(args.configs)} configs; '
            'give one for each'
        )
    if args.size < 64:
        raise UserError(f'--size {args.size} must be at least 64')
    from ..engine.console import quiet

    # Libraries print while they are imported; standard output is only for the result.
    with quiet(args.verbose), contextlib.redirect_stdout(sys.stderr):
        results, note = _measure(args)
        _write_picture(results, note, target)
    print(_as_json(results) if args.json else _as_table(results))
    print(f'{note}\npicture: {target}', file=sys.stderr)


def _measure(args: argparse.Namespace) -> tuple[list[tuple[str, list]], str]:
    """Return the name and the outputs of every backbone, and a note about weights and images."""
    import torch
    from rich.progress import track

    from ..analysis import receptive_field as fields
    from ..display.receptive_fields import Square

    pixels = _images(args)
    results, switched_on = [], False
    for index, path in enumerate(track(args.configs, 'backbones', transient=True)):
        cfg = arguments.read_config(path, args)
        torch.manual_seed(0)
        backbone = _backbone(cfg, args.checkpoint[index] if args.checkpoint else None)
        if not args.checkpoint:
            switched_on |= fields.switch_blocks_on(backbone)
        theoretical = fields.theoretical_fields(backbone)
        gradients = fields.effective_fields(backbone, _normalised(pixels, cfg))
        squares = [
            (field, Square(field.stride, gradient, field.theoretical, side))
            for field, gradient in zip(theoretical, gradients, strict=True)
            for side in [fields.effective_side(gradient)]
        ]
        results.append((_name(path), squares))
    weights = 'trained weights' if args.checkpoint else 'random weights'
    scales = ' with layer scales of 1' if switched_on else ''
    return results, (
        f'{weights}{scales}, {len(pixels)} images of {args.size}x{args.size}; '
        f'effective (cyan): side of the square that holds {fields.SHARE:.0%} of the gradient\n'
        'dashed: theoretical; a field that does not fit into the images is cut off at their border'
    )


def _backbone(cfg: Any, checkpoint: str | None) -> Any:
    from ..engine.config import build_model
    from ..weights.load import load_pretrained

    if not (cfg.get('model') or {}).get('backbone'):
        raise UserError('the model of the config has no backbone')
    cfg.model.backbone.init_cfg = None
    backbone = build_model(cfg, backbone_only=True, device='cpu')
    backbone.init_weights()
    if checkpoint:
        load_pretrained(backbone, checkpoint)
    backbone.eval()
    return backbone


def _images(args: argparse.Namespace) -> list[Any]:
    """Return square images in RGB, from files or drawn."""
    import cv2

    from ..data.shapes.scenes import draw_scene
    from ..display.images import READ_SUFFIXES, read_image
    from ..display.inputs import find_inputs

    side = (args.size, args.size)
    if args.images:
        items = find_inputs(args.images, READ_SUFFIXES).items[: args.count]
        images = [read_image(item.path)[..., ::-1] for item in items]
    else:
        images = [draw_scene([index], side).image for index in range(args.count)]
    return [cv2.resize(image, side) for image in images]


def _normalised(pixels: list[Any], cfg: Any) -> list[Tensor]:
    """Return images as the model of a config gets them."""
    import torch

    settings = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    mean, std = (
        torch.tensor(settings.get(key) or default).float().view(3, 1, 1)
        for key, default in (('mean', [123.675, 116.28, 103.53]), ('std', [58.395, 57.12, 57.375]))
    )
    images = [torch.from_numpy(image.copy()).permute(2, 0, 1).float() for image in pixels]
    return [(image - mean) / std for image in images]


def _name(path: str) -> str:
    return path.replace('\\', '/').rpartition('/')[2].removesuffix('.py')


def _write_picture(results: list[tuple[str, list]], note: str, target: Any) -> None:
    from ..display.receptive_fields import draw_receptive_fields

    rows = [(name, [square for _, square in squares]) for name, squares in results]
    write_output(draw_receptive_fields(rows, note), target)


def _as_table(results: list[tuple[str, list]]) -> str:
    from ..display.tables import text_table

    rows = [
        (
            name,
            str(index),
            str(field.stride),
            field.text + (' (and gates)' if field.gated else ''),
            str(square.effective),
        )
        for name, squares in results
        for index, (field, square) in enumerate(squares)
    ]
    lines = [text_table(HEADER, rows, 'Receptive fields, height x width')]
    if any(field.gated for _, squares in results for field, _ in squares):
        lines.append(
            'gates: squeeze-and-excitation scales channels by factors from the whole image'
        )
    return '\n'.join(lines)


def _as_json(results: list[tuple[str, list]]) -> str:
    return arguments.as_json(
        {
            name: [
                {
                    'stride': field.stride,
                    'theoretical': field.theoretical,
                    'gated': field.gated,
                    'effective': square.effective,
                }
                for field, square in squares
            ]
            for name, squares in results
        }
    )
