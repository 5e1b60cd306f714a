"""Merging what a detector finds on flipped and scaled variants."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import nn

from rapidnet_mm.models import DetectionTTA

pytestmark = pytest.mark.openmmlab
SHAPE = (40, 60)  # of the image: height, width


def sample(boxes, scores, labels, direction=None, masks=True):
    """What a detector says of one variant."""
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    found = InstanceData(
        bboxes=boxes,
        scores=torch.tensor(scores, dtype=torch.float32),
        labels=torch.tensor(labels, dtype=torch.long),
    )
    if masks:
        found.masks = torch.zeros(len(boxes), *SHAPE, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(found.masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = True
    place = dict(ori_shape=SHAPE, flip=direction is not None, flip_direction=direction)
    return DetDataSample(metainfo=place, pred_instances=found)


class Detector(nn.Module):
    def test_step(self, data):
        raise NotImplementedError  # only what it has found is merged here


def merged(*samples, **arguments):
    (one,) = DetectionTTA(module=Detector(), **arguments).merge_preds([list(samples)])
    return one.pred_instances


@pytest.mark.parametrize(
    ('direction', 'flipped'),
    [
        ('horizontal', [30, 5, 50, 25]),
        ('vertical', [10, 15, 30, 35]),
        ('diagonal', [30, 15, 50, 35]),
    ],
)
def test_boxes_and_masks_of_flipped_variants_are_turned_back(direction, flipped):
    found = merged(sample([flipped], [0.9], [1], direction))
    assert found.bboxes.tolist() == [[10, 5, 30, 25]]
    (mask,) = found.masks
    assert mask.nonzero().min(0).values.tolist() == [5, 10]
    assert mask.nonzero().max(0).values.tolist() == [24, 29]


def test_the_best_of_overlapping_boxes_of_a_class_stays_with_its_own_mask():
    plain = sample([[10, 5, 30, 25], [40, 0, 50, 10]], [0.6, 0.5], [1, 1])
    flipped = sample([[30, 5, 49, 25], [30, 5, 50, 25]], [0.8, 0.7], [1, 2], 'horizontal')
    found = merged(plain, flipped)
    assert found.scores.tolist() == pytest.approx([0.8, 0.7, 0.5])
    assert found.labels.tolist() == [1, 2, 1]
    assert found.bboxes.tolist() == [[11, 5, 30, 25], [10, 5, 30, 25], [40, 0, 50, 10]]
    assert [int(mask.sum()) for mask in found.masks] == [19 * 20, 20 * 20, 10 * 10]


def test_no_more_boxes_stay_than_are_allowed():
    boxes = [[10 * i, 0, 10 * i + 9, 9] for i in range(5)]
    found = merged(sample(boxes, [0.1, 0.5, 0.3, 0.4, 0.2], [0] * 5), max_per_img=2)
    assert found.scores.tolist() == pytest.approx([0.5, 0.4])


@pytest.mark.parametrize('masks', [True, False])
def test_variants_without_boxes_give_none(masks):
    empty = [sample([], [], [], direction, masks) for direction in (None, 'horizontal')]
    found = merged(*empty)
    assert found.bboxes.shape == (0, 4)
    assert ('masks' in found) == masks
    one = sample([[10, 5, 30, 25]], [0.6], [1], masks=masks)
    assert merged(empty[0], one).labels.tolist() == [1]


def test_the_samples_of_the_variants_stay_as_they_are():
    flipped = sample([[30, 5, 50, 25]], [0.9], [1], 'horizontal')
    merged(flipped)
    assert flipped.pred_instances.bboxes.tolist() == [[30, 5, 50, 25]]
