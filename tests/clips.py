"""Short videos for tests."""

import struct
from pathlib import Path

import numpy as np

from rapidnet_mm.display.videos import VideoWriter

CORNER = np.s_[:16, :16]  # white in every frame


def frame(number, shape=(48, 64)):
    """Grey, lighter from frame to frame, with some structure, and a white corner."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(5 * number, 5 * number + 20, (*shape, 3)).astype(np.uint8)
    pixels[CORNER] = 255
    return pixels


def write_clip(path, count=12, rate=12.5, shape=(48, 64)):
    """A video of that many frames."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = VideoWriter(path, rate, shape)
    for number in range(count):
        writer.write(frame(number, shape))
    writer.close()
    return path


def turn(path):
    """Mark an mp4 as taken with a camera turned by 90 degrees, as telephones do."""
    data = bytearray(path.read_bytes())
    place = data.find(b'tkhd') + 44  # the matrix of the track
    data[place : place + 36] = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def cut(path, share=0.6):
    """Leave out the end of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
