"""Images as people have them: reading, finding and naming them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import UserError
from ..files import write_output

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


def read_image(image: str | Path | np.ndarray) -> np.ndarray:
    """An image as ``(H, W, 3)`` uint8 BGR, turned as its EXIF orientation says.

    Raises:
        UserError: the file is missing, empty or no image, or the array does not fit.
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
        reason = ' '.join(str(error).split())
        raise UserError(f'image {path} cannot be read: {reason}') from error
    if pixels is None:
        state = 'is damaged or not an image' if data.size else 'is empty'
        raise UserError(f'image {path} {state}')
    return pixels


def find_images(inputs: list[str], leave_out: Path | None = None) -> list[tuple[Path, Path]]:
    """Files and folders to (image, name relative to what was given), folders searched through.

    ``leave_out`` is a folder inside them that is not searched: that of earlier results.

    Raises:
        UserError: an input does not exist, or a folder holds no images.
    """
    found: dict[Path, Path] = {}
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
            found |= {file: file.relative_to(item) for file in files}
        elif item.exists():
            found[item] = Path(item.name)
        else:
            raise UserError(f'{item} does not exist')
    return list(found.items())


def picture_name(name: Path) -> Path:
    """The name of an image's result: its own, or with ``.png`` where it is no image format."""
    known = name.suffix.lower() in IMAGE_SUFFIXES
    return name if known else name.with_name(f'{name.name}.png')


def write_image(pixels: np.ndarray, target: str | Path) -> None:
    """Write ``(H, W, 3)`` uint8 BGR, or ``(H, W)``, in the format that the name says.

    Raises:
        UserError: no such format, or the file cannot be written.
    """
    suffix = Path(target).suffix
    try:
        whole, data = cv2.imencode(suffix, pixels)
    except cv2.error:
        whole = False
    if not whole:
        size = f'{pixels.shape[1]} x {pixels.shape[0]}'
        raise UserError(f'a picture of {size} cannot be written as {suffix}')
    write_output(data.tobytes(), target)
