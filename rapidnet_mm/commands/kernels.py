"""Draw the depthwise kernels of a backbone: fixed and learned side by side, stage by stage."""

from __future__ import annotations

import argparse

from ..files import writable_file, write_output
from . import arguments

HELP = 'Draw the depthwise kernels of a backbone: fixed and learned, stage by stage'
CHANNELS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='trained weights (default: random weights)')
    parser.add_argument(
        '--out', default='kernels.png', metavar='FILE', help='PNG to write (default: kernels.png)'
    )
    parser.add_argument(
        '--channels',
        type=arguments.positive,
        default=CHANNELS,
        help=f'draw the first kernels of each layer, so many (default: {CHANNELS})',
    )
    arguments.add_options(parser)


def run(args: argparse.Namespace) -> None:
    """Draw the picture, and print how many layers are fixed and learned."""
    from ..engine.console import quiet

    target = writable_file(args.out, '--out')
    with quiet():
        import torch

        from ..analysis.kernels import KINDS, depthwise_layers, draw
        from ..engine.config import build_model
        from ..weights.contract import WeightsContract
        from ..weights.load import load_pretrained

        cfg = arguments.read_config(args.config, args)
        torch.manual_seed(0)  # the same picture each time
        model = build_model(cfg, backbone_only=True, device='cpu')
        backbone = model.inner_backbone() if isinstance(model, WeightsContract) else model
        if args.checkpoint:
            load_pretrained(backbone, args.checkpoint)
        layers = depthwise_layers(backbone)
        source = args.checkpoint or 'NOT TRAINED: random initial weights'
        title = f'{args.config}\n{source}'
        write_output(draw(layers, title, args.channels), target)
    counts = [sum(layer.kind == kind for layer in layers) for kind in KINDS]
    print(f'{counts[0]} fixed and {counts[1]} learned depthwise layers, wrote {target}')
