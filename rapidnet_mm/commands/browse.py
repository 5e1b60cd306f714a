"""Show what the model of a config really sees: its images after augmentation, with their labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..files import writable_folder
from . import arguments

HELP = 'Show what the model really sees: images after augmentation, with their labels'
ON_A_PAGE = 16  # pictures
COLUMNS = 4
WIDE_COLUMNS = 2  # of label maps, which stand beside their images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='train', help='default: train'
    )
    parser.add_argument(
        '--number', type=arguments.positive, default=16, help='number of images (default: 16)'
    )
    parser.add_argument(
        '--epochs',
        type=arguments.positive,
        default=1,
        metavar='K',
        help='show each image K times, as the training draws it again and again',
    )
    parser.add_argument('--out-dir', help='where the pages go (default: WORK_DIR/browse)')
    parser.add_argument('--seed', type=arguments.seed, help='seed of the training')
    arguments.add_verbose(parser)
    arguments.add_options(parser)


@arguments.quietly
def run(args: argparse.Namespace) -> None:
    """Write the pages."""
    from ..analysis.browse import Browser
    from ..display.progress import progress
    from ..engine.config import set_randomness
    from ..errors import UserError

    if args.epochs > 1 and args.split != 'train':
        raise UserError('--epochs: only a training changes its images; leave it out, or --split')
    cfg = arguments.read_config(args.config, args)
    set_randomness(cfg, args.seed, deterministic=False)
    folder = Path(args.out_dir or Path(cfg.work_dir) / 'browse')
    writable_folder(folder, '--out-dir')
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is None and args.split == 'train':
        print('the config has no seed, so a training draws others than these (--seed)')
    browser = Browser(cfg, args.split, seed or 0)
    with progress('images', args.number * args.epochs) as advance:
        views = browser.views(args.number, args.epochs, advance)
    paths = _write_pages(views, browser.meta, args, folder)
    count = f'{len(views)} images of {args.split}'
    times = f', each {args.epochs} times' if args.epochs > 1 else ''
    print(f'{count}{times}: {paths[0]}{f" to {paths[-1].name}" if len(paths) > 1 else ""}')


def _write_pages(
    views: list[list[Any]], meta: dict[str, Any], args: argparse.Namespace, folder: Path
) -> list[Path]:
    """Write contact sheets, and return their paths."""
    from ..display.images import write_image
    from ..display.sheets import contact_sheet

    most = WIDE_COLUMNS if views[0][0].labels is not None else COLUMNS
    # The draws of an image stand side by side, if there is room.
    columns = most // args.epochs * args.epochs or most
    places = args.epochs if args.epochs <= most else -(-args.epochs // most) * most
    cells = []
    for draws in views:
        cells += [*draws, *[None] * (places - len(draws))]
    on_a_page = ON_A_PAGE // most * columns
    pages = [cells[start : start + on_a_page] for start in range(0, len(cells), on_a_page)]
    paths = [folder / f'{args.split}_{number:02d}.jpg' for number in range(1, len(pages) + 1)]
    for page, path in zip(pages, paths, strict=True):
        write_image(contact_sheet(page, meta, columns)[..., ::-1], path)
    return paths
