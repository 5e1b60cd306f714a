"""Test-time augmentation of detectors: merge the predictions on several variants of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.ops import batched_nms
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_flip
from mmengine.model import BaseTTAModel
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

NMS = dict(type='nms', iou_threshold=0.5)
DIRECTIONS = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}  # axes that are flipped


@MODELS.register_module()
class DetectionTTA(BaseTTAModel):
    """Merges the predictions of a detector on flipped and scaled variants of an image.

    Non-maximum suppression merges all boxes, class by class. MMDetection's own ``DetTTAModel`` does
    not support masks. Here each remaining box keeps its own mask.

    Args:
        nms: arguments of the suppression, as in a detector's ``test_cfg``.
        max_per_img: largest number of boxes per image.
        **model: ``module`` (config of the detector), as in MMEngine.
    """

    def __init__(self, nms: dict = NMS, max_per_img: int = 100, **model: Any):
        super().__init__(**model)
        self.nms, self.max_per_img = dict(nms), max_per_img

    def merge_preds(self, data_samples_list: list[list[DetDataSample]]) -> list[DetDataSample]:
        """Return one sample for each image, from the samples of its variants."""
        return [self._merged(samples) for samples in data_samples_list]

    def _merged(self, samples: Sequence[DetDataSample]) -> DetDataSample:
        detections = InstanceData.cat([_without_flip(sample) for sample in samples])
        merged = samples[0].clone()
        merged.pred_instances = detections
        if not len(detections):
            return merged
        # Several variants have boxes of the same object, so NMS runs over all of them.
        boxes, indices = batched_nms(
            detections.bboxes, detections.scores, detections.labels, self.nms
        )
        merged.pred_instances = detections[indices[: self.max_per_img]]
        merged.pred_instances.scores = boxes[: self.max_per_img, -1]  # soft NMS lowers them
        return merged


def _without_flip(sample: DetDataSample) -> InstanceData:
    """Return the predictions for a variant; if it was flipped, they are flipped back."""
    detections, direction = sample.pred_instances, sample.metainfo.get('flip_direction')
    if not sample.metainfo.get('flip'):
        return detections
    detections = detections.clone()
    detections.bboxes = bbox_flip(detections.bboxes, sample.ori_shape, direction)
    if 'masks' in detections:
        detections.masks = torch.as_tensor(detections.masks).flip(DIRECTIONS[direction])
    return detections
