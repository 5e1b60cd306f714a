"""Image files: read, find, name and write them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import UserError, one_line
from ..files import write_output

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


def read_image(image: str | Path | np.ndarray) -> np.ndarray:
    """Return an image as ``(H, W, 3)`` uint8 BGR, rotated as its EXIF orientation says.

    Raises:
        UserError: the file is missing, empty or not an image; or the array has another shape or
            type.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise UserError(
                f'image array has shape {image.shape} and type {image.dtype}; '
                'expected (height, width, 3) and uint8, channels in the order blue, green, red'
            )
        return image
    path = Path(image)
    if not path.is_file():
        raise UserError(f'image {path} does not exist')
    try:
        data = np.fromfile(path, np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:
        raise UserError(f'image {path} cannot be read: {one_line(error)}') from error
    if pixels is None:
        state = 'is damaged or not an image' if data.size else 'is empty'
        raise UserError(f'image {path} {state}')
    return pixels


def find_images(inputs: list[str], leave_out: Path | None = None) -> list[tuple[Path, Path]]:
    """Return all images of some files and folders, each with its name inside the input.

    Args:
        inputs: files, and folders whose subfolders are searched too.
        leave_out: a folder that is not searched, because earlier results are in it.

    Raises:
        UserError: an input does not exist, or a folder holds no images.
    """
    names: dict[Path, Path] = {}
    for item in map(Path, inputs):
        if item.is_dir():
            inside = leave_out is not None and item.resolve() in leave_out.resolve().parents
            files = sorted(
                file
                for file in item.rglob('*')
                if file.suffix.lower() in IMAGE_SUFFIXES
                and file.is_file()
                and not (inside and leave_out.resolve() in file.resolve().parents)
            )
            if not files:
                raise UserError(f'folder {item} holds no images ({", ".join(IMAGE_SUFFIXES)})')
            names |= {file: file.relative_to(item) for file in files}
        elif item.exists():
            names[item] = Path(item.name)
        else:
            raise UserError(f'{item} does not exist')
    return list(names.items())


def picture_name(name: Path) -> Path:
    """Return the name of an image's result: the same, with ``.png`` added if it is no image name.

    Example:
        >>> picture_name(Path('street.jpg')).name, picture_name(Path('scan')).name
        ('street.jpg', 'scan.png')
    """
    if name.suffix.lower() in IMAGE_SUFFIXES:
        return name
    return name.with_name(f'{name.name}.png')


def write_image(pixels: np.ndarray, target: str | Path) -> None:
    """Write ``(H, W, 3)`` uint8 BGR, or ``(H, W)``, in the format that the name's ending says.

    Raises:
        UserError: the format is unknown, or the file cannot be written.
    """
    suffix = Path(target).suffix
    try:
        success, data = cv2.imencode(suffix, pixels)
    except cv2.error:
        success = False
    if not success:
        size = f'{pixels.shape[1]} x {pixels.shape[0]}'
        raise UserError(f'a picture of {size} cannot be written as {suffix}')
    write_output(data.tobytes(), target)
