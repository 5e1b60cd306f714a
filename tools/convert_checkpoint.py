"""Write a checkpoint as safetensors, under this package's names where they are known.

No tool needs it, every known file goes in as it is. It is the way for files that hold code.
"""

import argparse

from rapidnet_mm import cli
from rapidnet_mm.publishing import convert


def main() -> None:
    parser = argparse.ArgumentParser(
        description='Write a checkpoint as safetensors, under our names where they are known'
    )
    parser.add_argument('source', metavar='IN', help='checkpoint file or URL')
    parser.add_argument('target', metavar='OUT.safetensors', help='the file to write')
    parser.add_argument(
        '--trust',
        action='store_true',
        help='read IN even if that runs code from it; only for files of people you trust',
    )
    args = parser.parse_args()
    print(convert(args.source, args.target, args.trust))


if __name__ == '__main__':
    cli.run(main)
