"""Mean IoU of semantic segmentation, from one confusion matrix over all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_dist_info, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS
from torch import Tensor

from ...display.tables import text_table
from ...errors import UserError


def confusion(truth: Tensor, prediction: Tensor, classes: int, ignore_index: int = 255) -> Tensor:
    """Count pixels by (class in the ground truth, predicted class).

    Args:
        truth: labels of any shape, 0 to ``classes - 1``, or ``ignore_index``.
        prediction: predicted labels, as many as in ``truth``.
        classes: number of classes.
        ignore_index: the label of pixels that do not count.

    Returns:
        ``(classes, classes)`` int64: rows are the ground truth, columns the prediction.

    Raises:
        UserError: the number of pixels differs, or a label is neither a class nor ignored.
    """
    truth, prediction = truth.reshape(-1).long(), prediction.reshape(-1).long()
    if len(truth) != len(prediction):
        raise UserError(
            f'the ground truth has {len(truth)} pixels, the prediction {len(prediction)}; in the '
            'test pipeline LoadAnnotations has to come after what resizes the image'
        )
    mask = truth != ignore_index
    truth, prediction = truth[mask], prediction[mask].to(truth.device)
    for name, labels in (('the ground truth', truth), ('the prediction', prediction)):
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise UserError(
                f'{name} has labels from {int(labels.min())} to {int(labels.max())}; allowed are '
                f'0 to {classes - 1}, and {ignore_index} to ignore a pixel'
            )
    counts = torch.bincount(truth * classes + prediction, minlength=classes * classes)
    return counts.reshape(classes, classes)


def scores(matrix: Tensor) -> dict[str, Any]:
    """Return IoU and accuracy of a confusion matrix, as fractions from 0 to 1.

    ``mIoU`` is the mean over the classes that occur in ground truth or predictions. ``mAcc`` is
    the mean over those in the ground truth. ``aAcc`` is the share of right pixels. ``IoU`` and
    ``Acc`` have a value for each class, NaN if it does not occur.
    """
    matrix = matrix.double()
    hits, truth, predicted = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    iou, accuracy = hits / (truth + predicted - hits), hits / truth
    return {
        'mIoU': float(iou.nanmean()),
        'mAcc': float(accuracy.nanmean()),
        'aAcc': float(hits.sum() / matrix.sum()),
        'IoU': iou.tolist(),
        'Acc': accuracy.tolist(),
    }


@METRICS.register_module()
class SemanticIoU(BaseMetric):
    """mIoU, mAcc and aAcc as MMSegmentation names them, unrounded, as fractions from 0 to 1.

    It keeps one confusion matrix, so memory does not grow with the number of images. Every image
    counts once, even if a sampler repeats some to give each process as many. After an evaluation
    ``details`` has IoU and Acc of every class.

    Args:
        ignore_index: the label of pixels that do not count.
        collect_device: without effect; all metrics take it.
        prefix: stands before the names.

    Raises:
        UserError: labels do not fit, see :func:`confusion`.
    """

    default_prefix = ''

    def __init__(
        self, ignore_index: int = 255, collect_device: str = 'cpu', prefix: str | None = None
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index
        self.details: dict[str, dict] = {}
        self._start()

    def _start(self) -> None:
        self._images = 0
        self._total: Tensor | int = 0
        self._latest: Tensor | int = 0  # of the last image, see evaluate

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002
        """Count the pixels of one batch."""
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                raise UserError(
                    'SemanticIoU: an image comes without its labels; the test pipeline needs '
                    'LoadAnnotations'
                )
            truth, prediction = (sample[key]['data'] for key in ('gt_sem_seg', 'pred_sem_seg'))
            self._total = self._total + self._latest
            truth = truth.to(prediction.device)
            counts = confusion(truth, prediction, classes, self.ignore_index)
            self._latest = counts.cpu()
            self._images += 1

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over all processes and score; ``size`` is the number of images in the data set."""
        classes = len(self.dataset_meta['classes'])
        matrix = torch.zeros(classes, classes, dtype=torch.int64) + self._total
        # The sampler gives images to the processes in turn. At the end it begins again until all
        # have as many, so only the last image of a process can be one that another has counted.
        rank, processes = get_dist_info()
        if (self._images - 1) * processes + rank < size:
            matrix += self._latest
        self._start()
        all_reduce(matrix)
        metrics = self.compute_metrics(matrix)
        return {f'{self.prefix}/{k}' if self.prefix else k: v for k, v in metrics.items()}

    def compute_metrics(self, results: Tensor) -> dict[str, float]:
        """Score a confusion matrix, and print the table of classes."""
        numbers = scores(results)
        names = self.dataset_meta['classes']
        rows = list(zip(names, numbers.pop('IoU'), numbers.pop('Acc'), strict=True))
        self.details = {
            'classes': {name: {'IoU': iou, 'Acc': accuracy} for name, iou, accuracy in rows}
        }
        if is_main_process():
            rows = [['-' if value != value else value for value in row] for row in rows]
            parts = (
                'IoU and accuracy (Acc), from 0 to 1; - where a class does not occur',
                text_table(['class', 'IoU', 'Acc'], rows),
                text_table(numbers, [numbers.values()]),
            )
            MMLogger.get_current_instance().info('\n' + '\n'.join(parts))
        return numbers
