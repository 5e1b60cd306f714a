"""Test-time augmentation of detectors: predictions on several variants of an image become one."""

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
DIRECTIONS = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}  # axes that are turned


@MODELS.register_module()
class DetectionTTA(BaseTTAModel):
    """Merges what a detector finds on flipped and scaled variants of an image.

    All boxes are put together, class by class, by non-maximum suppression. MMDetection's own
    ``DetTTAModel`` refuses masks. Here a box that stays has the mask that was found with it.

    Args:
        nms: arguments of the suppression, as in a detector's ``test_cfg``.
        max_per_img: most boxes of an image.
        **model: ``module`` (config of the detector), as in MMEngine.
    """

    def __init__(self, nms: dict = NMS, max_per_img: int = 100, **model: Any):
        super().__init__(**model)
        self.nms, self.max_per_img = dict(nms), max_per_img

    def merge_preds(self, data_samples_list: list[list[DetDataSample]]) -> list[DetDataSample]:
        """Return one sample for each image, from the samples of its variants."""
        return [self._merged(samples) for samples in data_samples_list]

    def _merged(self, samples: Sequence[DetDataSample]) -> DetDataSample:
        found = InstanceData.cat([_as_in_the_image(sample) for sample in samples])
        merged = samples[0].clone()
        merged.pred_instances = found
        if not len(found):
            return merged
        # The variants found boxes of one object in several sizes, so all compete anew.
        boxes, kept = batched_nms(found.bboxes, found.scores, found.labels, self.nms)
        kept = kept[: self.max_per_img]
        merged.pred_instances = found[kept]
        merged.pred_instances.scores = boxes[: self.max_per_img, -1]  # soft NMS lowers them
        return merged


def _as_in_the_image(sample: DetDataSample) -> InstanceData:
    """Return the predictions for a variant, turned back if the variant was flipped."""
    found, direction = sample.pred_instances, sample.metainfo.get('flip_direction')
    if not sample.metainfo.get('flip'):
        return found
    found = found.clone()
    found.bboxes = bbox_flip(found.bboxes, sample.ori_shape, direction)
    if 'masks' in found:
        found.masks = torch.as_tensor(found.masks).flip(DIRECTIONS[direction])
    return found
