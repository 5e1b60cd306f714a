"""Image files: read, name and write them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..errors import UserError, one_line
from ..files import write_output

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')  # read and written
READ_SUFFIXES = (*IMAGE_SUFFIXES, '.jfif', '.gif', '.avif', '.jp2', '.ppm', '.pgm')
# A JPEG of a phone can hold more pictures than its own. These can hold several equal ones.
PAGED_FORMATS = {'GIF': 'frames', 'WEBP': 'frames', 'PNG': 'frames', 'TIFF': 'pages'}
_LOG_LEVEL = threading.Lock()


def read_image(image: str | Path | np.ndarray) -> np.ndarray:
    """Return an image as ``(H, W, 3)`` uint8 BGR, as the loader of a training reads it.

    It is rotated as its EXIF orientation says. Grey becomes three equal channels, 16 bits become 8,
    transparency is left out, and of several frames or pages the first one counts.

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
        with quiet_opencv():
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:
        raise UserError(f'image {path} cannot be read: {one_line(error)}') from error
    if pixels is None:
        raise UserError(f'image {path} {_state(path) if data.size else "is empty"}')
    return pixels


def frames_note(path: str | Path) -> str | None:
    """Return that a file holds several frames or pages, of which one is read; None if it has one.

    Only the header of the file is read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about many pixels, of which none is read
            with Image.open(path) as image:
                count, unit = getattr(image, 'n_frames', 1), PAGED_FORMATS.get(image.format)
    except Exception:  # what Pillow cannot open, OpenCV may read
        return None
    if unit is None or count == 1:
        return None
    return f'{path} has {count} {unit}; only the first is used'


def _state(path: Path) -> str:
    """Return why OpenCV cannot read an image."""
    try:
        with Image.open(path) as image:
            name, mode = image.format, image.mode
    except Exception:
        return 'is damaged or not an image'
    if mode in ('F', 'I'):
        return (
            f'is a {name} with 32 bits in a channel, which data loaders cannot read either; '
            'save it with 8 or 16 bits'
        )
    return f'is damaged or not an image that OpenCV reads ({name})'


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Stop OpenCV from writing to stderr: our errors say the same in one line."""
    with _LOG_LEVEL:  # all threads share one log level
        level = cv2.getLogLevel()
        cv2.setLogLevel(0)
        try:
            yield
        finally:
            cv2.setLogLevel(level)


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
