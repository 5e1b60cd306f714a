"""Run a trained model on a video or a camera, with a memory that does not grow."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from ..display.videos import VideoReader, VideoWriter
from ..engine.signals import StopRequest
from ..errors import UserError
from ..files import whole_output
from .inferencer import Inferencer

MEASURED = 10  # frames of a camera that show how many a second the model manages


class VideoReport(NamedTuple):
    """What became of a video.

    Attributes:
        frames: how many have results.
        seconds: how long they took.
        fault: why there are not more; None if the video is over.
    """

    frames: int
    seconds: float
    fault: str | None


def infer_video(
    model: Inferencer,
    video: VideoReader,
    target: Path,
    *,
    batch_size: int = 1,
    score_thr: float = 0.3,
    limit: int | None = None,
    on_frame: Callable[[], Any] = lambda: None,
) -> VideoReport:
    """Write a video with the results drawn on it, and ``target.jsonl`` with a line for each frame.

    Both are written whole or not at all. If the end of a video is damaged, they hold the frames
    before it. Of a camera, they end with the first Ctrl-C.

    Args:
        model: the model.
        video: where the frames come from.
        target: the new video.
        batch_size: frames that go through the model together.
        score_thr: the least score of the detections to write and draw.
        limit: the most frames.
        on_frame: called after each frame.

    Raises:
        UserError: the video has no frames, or a file cannot be written.
    """
    lines = target.with_name(f'{target.name}.jsonl')
    start = time.monotonic()
    with (
        whole_output(target) as video_part,
        whole_output(lines) as lines_part,
        open(lines_part, 'w', encoding='utf-8') as file,
        _stopping(video) as stop,
    ):
        sink = _Sink(video_part, file, model, video, score_thr)
        frames = itertools.islice(video, limit)
        for batch in _batches(_until(frames, stop), batch_size):
            for frame, result in zip(batch, model.batch(batch), strict=True):
                sink.add(frame, result)
                on_frame()
        sink.close()
    fault = None if stop.signum or sink.frames == limit else video.fault
    return VideoReport(sink.frames, time.monotonic() - start, fault)


class _Sink:
    """Takes frames with their results. Of a camera, it measures the rate first."""

    def __init__(
        self, path: Path, lines: TextIO, model: Inferencer, video: VideoReader, score_thr: float
    ):
        self.path, self.lines, self.model, self.video = path, lines, model, video
        self.score_thr = score_thr
        self.frames, self.start = 0, time.monotonic()
        self.times: list[float] = []
        self.waiting: list[np.ndarray] = []
        self.writer: VideoWriter | None = None

    def add(self, frame: np.ndarray, result: Any) -> None:
        """Add a frame and its result."""
        camera = self.video.camera is not None
        seconds = time.monotonic() - self.start if camera else self.frames / self.video.rate
        line = {'frame': self.frames, 'time': round(seconds, 4)} | result.to_dict(self.score_thr)
        self.lines.write(json.dumps(line) + '\n')
        self.frames += 1
        self.waiting.append(self.model.overlay(frame, result, self.score_thr))
        if camera and self.writer is None:
            self.times.append(seconds)
            if len(self.times) < MEASURED:
                return
        self._write()

    def close(self) -> None:
        """Write what waits, and end the video.

        Raises:
            UserError: there was no frame, or the video could not be written.
        """
        if not self.frames:
            raise UserError(self.video.fault or f'{self.video.path} gave no frame')
        self._write()
        self.writer.close()

    def _write(self) -> None:
        if self.writer is None:
            self.writer = VideoWriter(self.path, self._rate(), self.waiting[0].shape[:2])
        for frame in self.waiting:
            self.writer.write(frame)
        self.waiting.clear()

    def _rate(self) -> float:
        # The first frame takes longer than the others.
        if len(self.times) > 2 and self.times[-1] > self.times[1]:
            return min((len(self.times) - 2) / (self.times[-1] - self.times[1]), self.video.rate)
        return self.video.rate


@contextmanager
def _stopping(video: VideoReader) -> Iterator[StopRequest]:
    """Make Ctrl-C end the frames of a camera; that of a file ends the command."""
    stop = StopRequest(lambda name: None)  # noqa: ARG005
    if video.camera is None:
        yield stop
    else:
        with stop.installed():
            yield stop


def _until(frames: Iterable[np.ndarray], stop: StopRequest) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        if stop.signum:
            return


def _batches(frames: Iterable[Any], size: int) -> Iterator[list[Any]]:
    frames = iter(frames)
    while batch := list(itertools.islice(frames, size)):
        yield batch
