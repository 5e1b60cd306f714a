"""Can the boxes and masks of a data set in COCO format be loaded, and counted by the metrics?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...errors import UserError
from .coco_file import unusable_boxes
from .masks import TINY, mask_fault

if TYPE_CHECKING:
    from mmdet.datasets import CocoDataset


class Loading(NamedTuple):
    """How images and masks of a data set are loaded.

    Attributes:
        masks: whether masks are loaded or evaluated.
        polygons_only: whether masks that are no polygons are left out.
        turns: whether images are turned as their EXIF data say.
    """

    masks: bool
    polygons_only: bool
    turns: bool


def check_objects(
    dataset: CocoDataset, content: Mapping[str, list[dict]], loading: Loading
) -> list[str]:
    """Check boxes and masks of the classes that are used, and return doubts about boxes."""
    path, used = dataset.ann_file, {*dataset.cat_ids}
    entries = content['annotations']
    unusable = [box for box in unusable_boxes(content) if entries[box[0]]['category_id'] in used]
    if dataset.test_mode:
        _check_evaluation(dataset, entries, unusable)
    doubts = []
    if unusable:
        index, reason, _ = unusable[0]
        doubts.append(
            f'{len(unusable)} of {len(entries)} objects in {path} are left out of training: the '
            f'box of annotations[{index}] {reason}'
        )
    if loading.masks:
        skipped = set() if dataset.test_mode else {index for index, *_ in unusable}
        tiny = _check_masks(dataset, content, loading, skipped)
        if tiny:
            doubts.append(
                f'{len(tiny)} of {len(entries)} objects in {path} have no mask: the segmentation '
                f'of annotations[{tiny[0]}] {TINY}'
            )
    return doubts


def _check_masks(
    dataset: CocoDataset,
    content: Mapping[str, list[dict]],
    loading: Loading,
    skipped: set[int],
) -> list[int]:
    """Check the masks of the classes that are used, and return those that cover no pixel.

    Args:
        dataset: the data set.
        content: the content of the annotation file.
        loading: how the pipeline loads masks.
        skipped: the objects that are left out of training.
    """
    path, used, tiny = dataset.ann_file, {*dataset.cat_ids}, []
    sizes = {image['id']: image for image in content['images']}
    for index, entry in enumerate(content['annotations']):
        image, mask = sizes[entry['image_id']], entry.get('segmentation')
        if entry['category_id'] not in used or index in skipped:
            continue
        if not mask:
            if dataset.test_mode:
                raise UserError(f'annotations[{index}] of {path} has no segmentation')
            continue  # _used_images counts those that a training needs
        if isinstance(mask, dict) and loading.polygons_only and not entry.get('iscrowd'):
            raise UserError(
                f'annotations[{index}] of {path}: segmentation is an RLE, which the pipeline '
                'leaves out; set poly2mask=True for its LoadAnnotations'
            )
        fault = mask_fault(mask, int(image['width']), int(image['height']))
        if fault == TINY:
            tiny.append(index)
        elif fault:
            raise UserError(f'annotations[{index}] of {path}: segmentation {fault}')
    return tiny


def _check_evaluation(
    dataset: CocoDataset, entries: Sequence[dict], unusable: Sequence[tuple[int, str, bool]]
) -> None:
    """Check that the metrics can count each object: that a perfect detection would match it."""
    counted = [box for box in unusable if not entries[box[0]].get('iscrowd')]
    for index, reason, is_hopeless in counted:
        if is_hopeless:
            raise UserError(
                f'annotations[{index}] of {dataset.ann_file}: bbox {reason}, so no detection can '
                'match it; correct or remove it'
            )
    for index, entry in enumerate(entries):
        if entry.get('ignore') and not entry.get('iscrowd'):
            raise UserError(
                f'annotations[{index}] of {dataset.ann_file}: COCO metrics count objects with '
                'ignore=1; set iscrowd=1 too, or remove it'
            )
