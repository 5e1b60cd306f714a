"""Read the frames of a video or a camera one by one, and write a video. OpenCV does the coding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..errors import UserError
from .images import quiet_opencv

# FFmpeg reads this when OpenCV loads it, with the first video: it must not write to stderr.
QUIET_FFMPEG = 'OPENCV_FFMPEG_LOGLEVEL', '-8'
WRITTEN_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi', '.mkv')
CODEC = 'mp4v'  # MPEG-4: the one that OpenCV's wheels write into all of these
RATE = 30.0  # frames a second, where a file or a camera does not say
RATES = (0.1, 1000.0)  # what is outside is no rate
COUNTED = ('.mp4', '.m4v', '.mov', '.avi', '.3gp')  # the file says exactly how many frames it has
MOST_FAILURES = 500  # frames in a row that cannot be read, after which nothing is expected
SPARE_SECONDS = 0.5  # of other files OpenCV computes the number from the length, sound included


class VideoReader:
    """The frames of a video file or a camera, rotated as the file says.

    Iterate over it once. Damaged frames are left out, and ``fault`` says afterwards that there were
    some.

    Args:
        path: the file, or the name of the camera for messages.
        camera: number of the camera; None for a file.

    Attributes:
        rate: frames a second.
        count: number of frames that the file is said to have; 0 if it is unknown.
        fault: what is wrong with the file; None if all frames could be read.

    Raises:
        UserError: it cannot be opened.
    """

    def __init__(self, path: Path, camera: int | None = None):
        os.environ.setdefault(*QUIET_FFMPEG)
        self.path, self.camera = path, camera
        with quiet_opencv():
            source = camera if camera is not None else str(path)
            self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            self._capture.release()
            if camera is not None:
                raise UserError(f'{path} cannot be opened; there is no such camera, or it is busy')
            state = 'is damaged, cut off or not a video' if path.stat().st_size else 'is empty'
            raise UserError(f'video {path} {state}')
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if RATES[0] <= rate <= RATES[1] else RATE
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if camera is None else 0
        self.count = int(max(count, 0))
        self.fault: str | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield ``(H, W, 3)`` uint8 BGR."""
        number = failures = 0
        try:
            # After a damaged place, there may be frames that can be read.
            while failures < MOST_FAILURES and (not failures or number + failures < self.count):
                with quiet_opencv():
                    success, frame = self._capture.read()
                if success:
                    yield frame
                    number, failures = number + 1, 0
                else:
                    failures += 1
        finally:
            self._capture.release()
        spare = 1 if self.path.suffix.lower() in COUNTED else max(1, SPARE_SECONDS * self.rate)
        if self.camera is not None:
            self.fault = f'{self.path} gives no more frames'
        elif self.count - number > spare or (not number and self.count):
            self.fault = (
                f'video {self.path} is damaged: {number} of {self.count} frames can be read'
            )
        elif not number:
            self.fault = f'video {self.path} has no frames'


class VideoWriter:
    """Writes frames of one size to a file, whose ending is one of ``WRITTEN_SUFFIXES``.

    The codec needs an even width and height. Where a side is odd, the last row or column is
    repeated.

    Args:
        path: the file.
        rate: frames a second.
        shape: height and width of the frames.

    Raises:
        UserError: OpenCV cannot write such a file.
    """

    def __init__(self, path: Path, rate: float, shape: tuple[int, int]):
        self.path, self.shape, self.count = path, tuple(shape), 0
        height, width = (side + side % 2 for side in shape)
        os.environ.setdefault(*QUIET_FFMPEG)
        with quiet_opencv():
            code = cv2.VideoWriter_fourcc(*CODEC)
            self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, (width, height))
        if not self._writer.isOpened():
            raise UserError(
                f'a video of {width} x {height} at {rate:g} frames a second cannot be written '
                f'as {path.suffix}'
            )

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, ``(H, W, 3)`` uint8 BGR. One of another size is resized."""
        height, width = self.shape
        if frame.shape[:2] != self.shape:
            frame = cv2.resize(frame, (width, height))
        if height % 2 or width % 2:
            frame = cv2.copyMakeBorder(
                frame, 0, height % 2, 0, width % 2, borderType=cv2.BORDER_REPLICATE
            )
        self._writer.write(frame)
        self.count += 1

    def close(self) -> None:
        """End the file.

        Raises:
            UserError: the file is not whole. OpenCV does not say when a disk is full.
        """
        self._writer.release()
        with quiet_opencv():
            written = cv2.VideoCapture(str(self.path))
            whole = written.isOpened()
            count = written.get(cv2.CAP_PROP_FRAME_COUNT)
            written.release()
        if not whole or abs(count - self.count) > 1:
            raise UserError(
                f'only {int(max(count, 0))} of {self.count} frames could be written to the folder '
                f'{self.path.parent}; is its disk full?'
            )


def video_name(name: Path) -> Path:
    """Return the name of a video's result: the same, with ``.mp4`` added if it cannot be written.

    Example:
        >>> video_name(Path('a.mov')).name, video_name(Path('a.webm')).name
        ('a.mov', 'a.webm.mp4')
    """
    if name.suffix.lower() in WRITTEN_SUFFIXES:
        return name
    return name.with_name(f'{name.name}.mp4')
