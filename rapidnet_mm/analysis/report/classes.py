"""The sections of a classifier: accuracy of each class, confusion, calibration, worst images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hotcoco.metrics import calibration_curve, calibration_error

from ...data.checks.messages import first_few
from .calibration import BINS, calibration_blocks
from .confusion import confusion_blocks
from .examples import class_pictures, example_blocks
from .intervals import draw_weights, interval_of, ratio_samples
from .page import NAMED, Section, Table, Text, interval, measured
from .record import TOP


class ClassResults:
    """The results of one classifier: samples of its metrics, and the sections about it.

    Args:
        record: its predictions.
        score_thr: without effect; every image has one class.
    """

    def __init__(self, record: Mapping[str, Any], score_thr: float):  # noqa: ARG002
        self.record = record
        self.classes: list[str] = list(record['classes'])
        images = record['images']
        self.labels = np.array([image['label'] for image in images], int)
        self.best = np.array([image['best'] for image in images], int).reshape(len(images), -1)
        self.scores = np.array([image['scores'][0] for image in images], float)
        self.right = self.best == self.labels[:, None]
        self.weights = draw_weights(len(self.labels))
        count = np.ones(len(self.labels))
        self.samples = {
            f'top{k}': 100 * ratio_samples(self.right[:, :k].any(1), count, self.weights)
            for k in (1, TOP)
        }

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the test."""
        return dict(self.record['metrics'])

    def sample_of(self, name: str) -> np.ndarray | None:
        """Return the samples of a metric, by the name that the test gives it."""
        return self.samples.get(name.rpartition('/')[2])

    def doubts(self) -> list[str]:
        """Return what the reader has to know about the numbers."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        absent = [name for name, n in zip(self.classes, counts, strict=True) if not n]
        return [f'There is no image of: {first_few(absent, NAMED)}.'] if absent else []

    def parts(self, folder: Path, start: str) -> list[Callable[[], list[Section]]]:
        """Return the parts of the work, in their order; pictures go to ``folder / start``."""
        return [self._numbers, lambda: [self._examples(folder, start)]]

    def _numbers(self) -> list[Section]:
        size = len(self.classes)
        matrix = np.zeros((size, size))
        np.add.at(matrix, (self.labels, self.best[:, 0]), 1)
        return [
            Section('Classes', 'classes', [self._table(matrix)]),
            Section(
                'Confusion',
                'confusion',
                confusion_blocks(matrix, self.classes, self.classes, 'images'),
            ),
            Section('Calibration', 'calibration', self._calibration()),
        ]

    def _table(self, matrix: np.ndarray) -> Table:
        rows = []
        for k, name in enumerate(self.classes):
            own = self.labels == k
            samples = ratio_samples(self.right[own, 0], np.ones(own.sum()), self.weights[:, own])
            count, predicted = int(own.sum()), matrix[:, k].sum()
            recall = matrix[k, k] / count if count else None
            precision = matrix[k, k] / predicted if predicted else None
            rows.append(
                [
                    name,
                    measured(recall),
                    interval(interval_of(samples)),
                    measured(precision),
                    str(count),
                ]
            )
        header = ['class', 'accuracy', '95 % interval', 'precision', 'images']
        return Table(header, rows)

    def _calibration(self) -> list[Any]:
        best, right = self.scores, self.right[:, 0]
        errors = calibration_error(best, right, BINS)
        per_class = {}
        for k, name in enumerate(self.classes):
            chosen = self.best[:, 0] == k
            if chosen.any():
                per_class[name] = calibration_error(best[chosen], right[chosen], BINS)[0]
        bins = calibration_curve(best, right, BINS)
        return calibration_blocks(bins, errors, per_class, 'share right')

    def _examples(self, folder: Path, start: str) -> Section:
        ranked = []
        for index, label in enumerate(self.labels):
            score, guess = self.record['images'][index]['score'], self.best[index, 0]
            words = f'{self.classes[label]}, score {score:.2f}'
            if guess != label:
                words += f'; predicted {self.classes[guess]}, {self.scores[index]:.2f}'
            ranked.append((score, index, words))
        draw = class_pictures(self.record)
        blocks = example_blocks(ranked, self.record['images'], draw, folder, start, small=True)
        text = Text('Ordered by the score of the true class.')
        return Section('Worst and best images', 'images', [text, *blocks])
