"""Write a checkpoint as safetensors, under our names if its family is known.

Files of known families need no conversion: every command reads them. Files that contain code do.
"""

from __future__ import annotations

import argparse

HELP = 'Write a checkpoint as safetensors, under our names if its family is known'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('source', metavar='IN', help='checkpoint file or URL')
    parser.add_argument('target', metavar='OUT.safetensors', help='the file to write')
    parser.add_argument(
        '--trust',
        action='store_true',
        help='read IN even if that runs code from it; only for files from people you trust',
    )


def run(args: argparse.Namespace) -> None:
    """Convert."""
    from ..weights.release import convert

    print(convert(args.source, args.target, args.trust))
