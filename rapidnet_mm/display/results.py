"""The results of a model for one image: detections, a label map, or classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

if TYPE_CHECKING:
    from .drawing import Colour

TOP = 5  # how many classes a classification names


@dataclass
class Detections:
    """The objects that a detector finds in one image, best first.

    Attributes:
        boxes: ``(K, 4)`` float32, x1, y1, x2, y2 in pixels of the image.
        scores: ``(K,)`` float32 in 0..1.
        labels: ``(K,)`` int64, index into ``classes``.
        masks: ``(K, H, W)`` bool, or None where the model has no masks.
        classes: names of all classes.
        shape: height and width of the image.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    classes: tuple[str, ...]
    shape: tuple[int, int]

    @property
    def names(self) -> list[str]:
        """The class name of each detection, best first."""
        return [self.classes[label] for label in self.labels]

    def to_dict(self, score_thr: float = 0.0) -> dict[str, Any]:
        """Return plain values for json; masks are COCO run-length encodings."""
        detections = []
        for index in np.flatnonzero(self.scores >= score_thr):
            entry = {
                'name': self.names[index],
                'label': int(self.labels[index]),
                'score': round(float(self.scores[index]), 4),
                'box': [round(float(value), 2) for value in self.boxes[index]],
            }
            if self.masks is not None:
                rle = coco_mask.encode(np.asfortranarray(self.masks[index].astype(np.uint8)))
                entry['mask'] = {'size': rle['size'], 'counts': rle['counts'].decode()}
            detections.append(entry)
        return {'height': self.shape[0], 'width': self.shape[1], 'detections': detections}

    def files(self, image: str, score_thr: float = 0.0) -> dict[str, bytes]:
        """Return the files to write beside the picture of ``image``: contents by ending."""
        return {'.json': _json({'image': image, **self.to_dict(score_thr)})}


@dataclass
class Segmentation:
    """The classes that a segmenter gives to the pixels of one image.

    Attributes:
        labels: ``(H, W)`` uint8 (uint16 for more than 256 classes), index into ``classes``.
        classes: names of all classes.
    """

    labels: np.ndarray
    classes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.labels.shape

    @property
    def names(self) -> list[str]:
        """The names of the classes that occur, the largest first."""
        return [entry['name'] for entry in self.to_dict()['classes']]

    def to_dict(self, score_thr: float = 0.0) -> dict[str, Any]:  # noqa: ARG002  (has no scores)
        """Return plain values for json: the classes that occur and their shares, largest first."""
        values, counts = np.unique(self.labels, return_counts=True)
        shares = [
            {
                'name': self.classes[values[index]],
                'label': int(values[index]),
                'share': round(float(counts[index] / self.labels.size), 6),
            }
            for index in np.argsort(-counts, kind='stable')
        ]
        return {'height': self.shape[0], 'width': self.shape[1], 'classes': shares}

    def files(self, image: str, score_thr: float = 0.0) -> dict[str, bytes]:
        """Return the files to write beside the picture of ``image``: contents by ending."""
        return {
            '.json': _json({'image': image, **self.to_dict(score_thr)}),
            '.labels.png': cv2.imencode('.png', self.labels)[1].tobytes(),
        }


@dataclass
class Classification:
    """The classes that a classifier gives to one image.

    Attributes:
        scores: ``(classes,)`` float32 in 0..1, which add up to 1.
        classes: names of all classes.
        shape: height and width of the image.
    """

    scores: np.ndarray
    classes: tuple[str, ...]
    shape: tuple[int, int]

    @property
    def labels(self) -> np.ndarray:
        """Indices into ``classes`` of the most likely classes, at most five, best first."""
        return np.argsort(-self.scores, kind='stable')[:TOP]

    @property
    def names(self) -> list[str]:
        """The names of the most likely classes, at most five, best first."""
        return [self.classes[label] for label in self.labels]

    def legend(self, palette: Sequence[Colour]) -> list[tuple[str, Colour]]:
        """Return names with scores, and colours, of the most likely classes, for a picture."""
        return [
            (f'{self.classes[label]} {self.scores[label]:.2f}', palette[label])
            for label in self.labels
        ]

    def to_dict(self, score_thr: float = 0.0) -> dict[str, Any]:  # noqa: ARG002  (all five count)
        """Return plain values for json: the most likely classes, at most five, best first."""
        best = [
            {
                'name': self.classes[label],
                'label': int(label),
                'score': round(float(self.scores[label]), 4),
            }
            for label in self.labels
        ]
        return {'height': self.shape[0], 'width': self.shape[1], 'classes': best}

    def files(self, image: str, score_thr: float = 0.0) -> dict[str, bytes]:
        """Return the files to write beside the picture of ``image``: contents by ending."""
        return {'.json': _json({'image': image, **self.to_dict(score_thr)})}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content) + '\n').encode()
