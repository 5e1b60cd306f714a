"""The sections of a segmenter: IoU of each class, confusion, worst and best images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...data.checks.messages import first_few
from .confusion import confusion_blocks
from .examples import example_blocks, label_pictures
from .intervals import draw_weights, interval_of, mean_of, ratio_samples
from .page import NAMED, Section, Table, Text, interval, measured


class SegmentationResults:
    """The results of one segmenter: samples of its metrics, and the sections about it.

    Args:
        record: its predictions.
        score_thr: without effect; label maps have no scores.
    """

    def __init__(self, record: Mapping[str, Any], score_thr: float):  # noqa: ARG002
        self.record = record
        self.classes: list[str] = list(record['classes'])
        size = len(self.classes)
        self.total = np.zeros((size, size))
        hits, truth, predicted = (np.zeros((len(record['images']), size)) for _ in range(3))
        for index, image in enumerate(record['images']):
            matrix = np.zeros(size * size)
            matrix[image['cells']] = image['counts']
            matrix = matrix.reshape(size, size)
            self.total += matrix
            hits[index], truth[index] = matrix.diagonal(), matrix.sum(1)
            predicted[index] = matrix.sum(0)
        self.hits, self.truth, self.predicted = hits, truth, predicted
        weights = draw_weights(len(record['images']))
        self.iou = ratio_samples(hits, truth + predicted - hits, weights)
        accuracy = ratio_samples(hits, truth, weights)
        self.samples = {
            'mIoU': mean_of([self.iou.T], len(weights)),
            'mAcc': mean_of([accuracy.T], len(weights)),
            'aAcc': ratio_samples(hits.sum(1), truth.sum(1), weights),
        }

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the test."""
        return dict(self.record['metrics'])

    def sample_of(self, name: str) -> np.ndarray | None:
        """Return the samples of a metric, in the unit of the test (fractions or per cent)."""
        short = name.rpartition('/')[2]
        samples = self.samples.get(short)
        # MMSegmentation's own metric gives per cent.
        return (
            samples * 100 if samples is not None and self.record['metrics'][name] > 1 else samples
        )

    def doubts(self) -> list[str]:
        """Return what the reader has to know about the numbers."""
        absent = [
            n for n, pixels in zip(self.classes, self.truth.sum(0), strict=True) if not pixels
        ]
        if not absent:
            return []
        return [f'The label maps have no pixel of: {first_few(absent, NAMED)}.']

    def parts(self, folder: Path, start: str) -> list[Callable[[], list[Section]]]:
        """Return the parts of the work, in their order; pictures go to ``folder / start``."""
        return [self._numbers, lambda: [self._examples(folder, start)]]

    def _numbers(self) -> list[Section]:
        hits, truth, predicted = (part.sum(0) for part in (self.hits, self.truth, self.predicted))
        with np.errstate(invalid='ignore', divide='ignore'):
            iou, accuracy = hits / (truth + predicted - hits), hits / truth
        rows = [
            [
                name,
                measured(iou[k]),
                interval(interval_of(self.iou[:, k])),
                measured(accuracy[k]),
                f'{100 * truth[k] / max(truth.sum(), 1):.2f} %',
            ]
            for k, name in enumerate(self.classes)
        ]
        header = ['class', 'IoU', '95 % interval', 'accuracy', 'share of the pixels']
        confusion = confusion_blocks(self.total, self.classes, self.classes, 'pixels')
        return [
            Section('Classes', 'classes', [Table(header, rows)]),
            Section('Confusion', 'confusion', confusion),
        ]

    def _examples(self, folder: Path, start: str) -> Section:
        pixels = self.truth.sum(1)
        ranked = [
            (share, index, f'{100 * share:.1f} % of the pixels right')
            for index, image in enumerate(self.record['images'])
            if 'maps' in image
            for share in [float(self.hits[index].sum() / pixels[index])]
        ]
        draw = label_pictures(self.record)
        blocks = example_blocks(ranked, self.record['images'], draw, folder, start)
        text = Text('Ordered by the share of the pixels that are right.')
        return Section('Worst and best images', 'images', [text, *blocks])
