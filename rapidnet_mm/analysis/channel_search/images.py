"""Read small images for the search into memory: class folders or CIFAR-10."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from ...data.checks.class_folders import ClassFolderChecker, list_classes
from ...data.checks.sources import how_to_get
from ...display.images import read_image
from ...errors import UserError, one_line

SPLITS = ('train', 'val')


class Images(NamedTuple):
    """Images of one split: RGB, uint8, (N, size, size, 3), and their class numbers."""

    pixels: Tensor
    labels: Tensor


class Data(NamedTuple):
    """The images to train on and to evaluate on."""

    name: str
    classes: int
    train: Images
    val: Images

    def fingerprint(self) -> str:
        """Return a hash of all images and classes."""
        content = hashlib.sha256()
        for tensor in (*self.train, *self.val):
            content.update(np.ascontiguousarray(tensor.numpy()))
        return content.hexdigest()[:16]


def read_class_folders(root: str, size: int) -> Data:
    """Read ``root/train/CLASS/*.jpg`` and ``root/val/CLASS/*.jpg``.

    The middle square of each image is scaled to ``size``.

    Raises:
        UserError: a folder or an image is missing or wrong.
    """
    _check_folders(root)
    checkers = [
        ClassFolderChecker(
            dict(type='CustomDataset', data_root=root, data_prefix=split), f'--data {root}/{split}'
        )
        for split in SPLITS
    ]
    for checker in checkers:
        checker.check()
    train, val = checkers
    val.check_same_classes(train)
    extensions = train.build().extensions
    images = [_read_split(Path(root, split), extensions, size) for split in SPLITS]
    return Data(Path(root).resolve().name, _checked_count(train.folder_names(), root), *images)


def _check_folders(root: str) -> None:
    missing = [split for split in SPLITS if not Path(root, split).is_dir()]
    if not missing:
        return
    if not Path(root).exists() and 'shapes_classes' in root:
        raise UserError(f'--data {root} does not exist; {how_to_get(root)}')
    raise UserError(
        f'--data {root} has no folder {" and no folder ".join(missing)}; it needs train and val, '
        'with one folder per class in each'
    )


def _checked_count(names: tuple[str, ...], root: str) -> int:
    if len(names) < 2:
        raise UserError(f'--data {root} has one class only; a classifier needs at least two')
    return len(names)


def _read_split(folder: Path, extensions: tuple[str, ...], size: int) -> Images:
    classes = list_classes(str(folder), extensions).images.values()
    files = [(path, number) for number, paths in enumerate(classes) for path in sorted(paths)]
    pixels = np.empty((len(files), size, size, 3), np.uint8)
    hidden = not sys.stdout.isatty()
    shown = track(files, f'reading {folder}', transient=True, disable=hidden)
    for target, (path, _) in zip(pixels, shown, strict=True):
        target[:] = _small(read_image(path)[..., ::-1], size)
    return Images(torch.from_numpy(pixels), torch.tensor([number for _, number in files]))


def _small(pixels: np.ndarray, size: int) -> np.ndarray:
    """Scale the middle square of an image to a size."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=interpolation)


def read_cifar10(folder: str, download: bool, size: int) -> Data:
    """Read CIFAR-10 from its Python archive, or from the unpacked archive.

    Its files are pickles, so torchvision first compares their checksums with the original.

    Args:
        folder: the folder with ``cifar-10-python.tar.gz`` or ``cifar-10-batches-py``.
        download: fetch the archive if neither is there.
        size: side of the images in pixels.

    Raises:
        UserError: there is no archive, it is damaged, or it cannot be fetched.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    archive = Path(folder, CIFAR10.filename)
    has_archive = archive.is_file()
    if has_archive and not check_integrity(str(archive), CIFAR10.tgz_md5):
        raise UserError(f'--cifar10: {archive} is damaged or incomplete; delete it')
    try:
        # With the archive in place torchvision unpacks it, and needs no network.
        splits = [CIFAR10(folder, train, download=download or has_archive) for train in (True, 0)]
    except (OSError, RuntimeError) as error:
        reason = one_line(error).replace('You can use download=True to download it', '').strip()
        raise UserError(
            f'--cifar10 {folder}: {reason} put {CIFAR10.filename} there, or use --download'
        ) from error
    return Data('CIFAR-10', 10, *(_scaled(split.data, split.targets, size) for split in splits))


def _scaled(pixels: np.ndarray, labels: list[int], size: int) -> Images:
    if size != pixels.shape[1]:
        pixels = np.stack([_small(image, size) for image in pixels])
    return Images(torch.from_numpy(pixels), torch.tensor(labels))
