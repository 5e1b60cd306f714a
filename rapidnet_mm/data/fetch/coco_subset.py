"""A small part of COCO: its annotations, and single images instead of the large archives."""

from __future__ import annotations

import json
import random
import re
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...display.progress import progress
from ...errors import UserError
from ...files import write_output
from ...transfer.archives import check_space
from ...transfer.download import DownloadError, fetch_patiently
from ..checks.image_files import look_at
from .run import ask_for_space, fetch_archive
from .sources import COCO_IMAGES, Source

SPLITS = ('val2017', 'train2017')
PLAIN = re.compile(r'[\w.-]+')
IMAGE_BYTES = 300_000  # of a large one


def fetch_subset(
    source: Source, number: int, out: Path, seed: int = 0, images: str = COCO_IMAGES
) -> Path:
    """Download annotations and ``number`` images of each split; return the folder.

    The folder is laid out like the whole data set, with json files of these images only.

    Args:
        source: COCO, of the table.
        number: of images of each split.
        out: the folder of all data sets, such as ``data``.
        seed: another seed draws other images.
        images: where the images are published.

    Raises:
        UserError: the disk has too little room, or something cannot be downloaded.
    """
    archive = source.archives[0]
    folder = out / f'{source.folder}_{number}'
    # The annotations are read out of their archive, which stays for the next subset.
    ask_for_space(source, [archive._replace(unpacked=2 * number * IMAGE_BYTES)], out, keep=True)
    path = fetch_archive(archive, out)
    for split in SPLITS:
        content = _part_of(_annotations(path, split), number, seed)
        check_space(folder, len(content['images']) * IMAGE_BYTES, f'{number} images')
        _fetch_images(content['images'], f'{images}/{split}', folder / split)
        target = folder / 'annotations' / f'instances_{split}.json'
        write_output((json.dumps(content) + '\n').encode(), target)
        objects = len(content['annotations'])
        print(f'{target}: {len(content["images"])} images, {objects} objects')
    return folder


def _annotations(archive: Path, split: str) -> dict[str, Any]:
    name = f'annotations/instances_{split}.json'
    try:
        with zipfile.ZipFile(archive) as file, file.open(name) as content:
            return json.load(content)
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f'{archive} is damaged: {name} cannot be read; delete it') from error


def _part_of(content: Mapping[str, Any], number: int, seed: int) -> dict[str, Any]:
    """Return the annotations of some images, in the order of the file."""
    order = list(range(len(content['images'])))
    random.Random(seed).shuffle(order)
    images = [content['images'][index] for index in sorted(order[:number])]
    ids = {image['id'] for image in images}
    objects = [one for one in content['annotations'] if one['image_id'] in ids]
    return {**content, 'images': images, 'annotations': objects}


def _fetch_images(images: list[dict[str, Any]], url: str, folder: Path) -> None:
    with progress(f'images of {folder.name}', len(images)) as advance:
        for image in images:
            name = image['file_name']
            if not PLAIN.fullmatch(name) or name.startswith('.'):
                raise UserError(f'the annotations name an image {name!r}, which is no file name')
            try:
                fetch_patiently(
                    f'{url}/{name}', folder / name, partial(_fault_of, image), show=False
                )
            except DownloadError as error:
                raise UserError(
                    f'{url}/{name} cannot be downloaded: {error}; run again to go on from there'
                ) from error
            (folder / f'{name}.lock').unlink(missing_ok=True)
            advance()


def _fault_of(image: Mapping[str, Any], path: Path) -> str | None:
    """Return what is wrong with a downloaded image, None if nothing is."""
    file = look_at(str(path))
    if file.fault or file.header is None:
        return f'is {file.fault or "not an image"}'
    size, expected = (file.header.width, file.header.height), (image['width'], image['height'])
    if size == expected:
        return None
    sizes = [f'{width}x{height}' for width, height in (size, expected)]
    return f'has {sizes[0]} pixels, but the annotations say {sizes[1]}'
