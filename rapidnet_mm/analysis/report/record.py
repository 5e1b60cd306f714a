"""Keep what a test predicts, in plain json: no code runs when it is read again."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from pycocotools import mask as coco_mask

from ...engine.metrics.semantic import confusion
from ...errors import UserError, one_line
from ...files import write_output

VERSION = 1
TOP = 5  # classes of a classifier
KEPT_MAPS = 6  # label maps are kept of so many of the worst and of the best images
TASKS = {'mmdet': 'detection', 'mmseg': 'segmentation', 'mmpretrain': 'classification'}


def write_record(record: Mapping[str, Any], path: Path) -> None:
    """Write predictions whole or not at all."""
    write_output(json.dumps({'version': VERSION, **record}).encode(), path)


def read_record(path: Path, key: str) -> dict[str, Any] | None:
    """Return the predictions of a test; None if there are none, or they are of something else.

    Args:
        path: the file.
        key: what the predictions have to be of, see :func:`.predict.key_of`.
    """
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or (record.get('version'), record.get('key')) != (VERSION, key):
        return None
    return record


class Recorder(BaseMetric):
    """Collects the predictions of one test; ``images`` has a dict of plain values for each image.

    Args:
        masks: whether detections have masks.
    """

    default_prefix = ''

    def __init__(self, masks: bool = False):
        super().__init__()
        self.masks = masks
        self.images: list[dict[str, Any]] = []

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Keep the predictions; there is no metric."""
        self.images = results
        return {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002
        """Keep the predictions of one batch."""
        for sample in data_samples:
            size = sample.get('ori_shape') or (0, 0)
            image = {'path': str(sample.get('img_path', '')), 'size': [int(n) for n in size[:2]]}
            self.results.append(image | self._result(sample))

    def _result(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class DetectionRecorder(Recorder):
    """Keeps boxes and masks; the ground truth stays in the annotation file."""

    def _result(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        instances = sample['pred_instances']
        result = {
            'id': sample['img_id'],
            'boxes': _array(instances['bboxes']).astype(float).tolist(),
            'scores': _array(instances['scores']).astype(float).tolist(),
            'labels': _array(instances['labels']).astype(int).tolist(),
        }
        if self.masks:
            masks = _array(instances['masks']).astype(np.uint8)
            rles = coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0)))
            result['masks'] = [rle['counts'].decode('ascii') for rle in rles]
            result['mask_size'] = [int(n) for n in masks.shape[1:]]
        return result


class SegmentationRecorder(Recorder):
    """Keeps the confusion matrix of each image, and the label maps of the worst and best images.

    Args:
        ignore_index: the label of pixels that do not count.
    """

    def __init__(self, ignore_index: int = 255):
        super().__init__()
        self.ignore_index = ignore_index
        self._maps: list[tuple[float, int, dict[str, str]]] = []

    def _result(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        if 'gt_sem_seg' not in sample:
            raise UserError(
                'the report needs the labels of each image; the test pipeline needs LoadAnnotations'
            )
        classes = len(self.dataset_meta['classes'])
        truth, prediction = (
            sample[name]['data'].cpu().reshape(sample[name]['data'].shape[-2:])
            for name in ('gt_sem_seg', 'pred_sem_seg')
        )
        counts = confusion(truth, prediction, classes, self.ignore_index).flatten()
        cells = counts.nonzero().flatten()
        matrix = counts.reshape(classes, classes).double()
        right, pixels = float(matrix.diagonal().sum()), float(matrix.sum())
        if pixels:
            self._keep_maps(right / pixels, truth, prediction)
        return {'cells': cells.tolist(), 'counts': counts[cells].tolist()}

    def _keep_maps(self, accuracy: float, truth: torch.Tensor, prediction: torch.Tensor) -> None:
        maps = {'truth': _png(truth), 'prediction': _png(prediction)}
        self._maps.append((accuracy, len(self.results), maps))
        if len(self._maps) > 2 * KEPT_MAPS:
            self._maps.sort(key=lambda entry: entry[:2])
            del self._maps[KEPT_MAPS:-KEPT_MAPS]

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Keep the predictions; there is no metric."""
        for _, index, maps in self._maps:
            if index < len(results):
                results[index]['maps'] = maps
        return super().compute_metrics(results)


class ClassRecorder(Recorder):
    """Keeps the most likely classes with their scores, and the class of each image."""

    def _result(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        labels = _array(sample.get('gt_label', np.zeros(0))).reshape(-1).tolist()
        if len(labels) != 1:
            raise UserError(
                f'the report needs one class for each image; {sample.get("img_path", "an image")} '
                f'has {len(labels)}'
            )
        label, scores = int(labels[0]), _array(sample['pred_score']).astype(float)
        best = np.argsort(-scores, kind='stable')[:TOP]
        return {
            'label': label,
            'score': float(scores[label]),
            'best': best.tolist(),
            'scores': scores[best].tolist(),
        }


def recorder_for(task: str, masks: bool, ignore_index: int) -> Recorder:
    """Return the recorder for a task of ``TASKS``."""
    if task == 'detection':
        return DetectionRecorder(masks)
    return SegmentationRecorder(ignore_index) if task == 'segmentation' else ClassRecorder()


def label_map(png: str) -> np.ndarray:
    """Return a label map that a record keeps, ``(H, W)``.

    Raises:
        UserError: it cannot be read.
    """
    try:
        data = np.frombuffer(base64.b64decode(png), np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except (ValueError, cv2.error) as error:
        raise UserError(f'a label map of the report is damaged: {one_line(error)}') from error
    return pixels.astype(np.int64)


def _png(labels: torch.Tensor) -> str:
    data = cv2.imencode('.png', labels.numpy().astype(np.uint16))[1]
    return base64.b64encode(data.tobytes()).decode('ascii')


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
