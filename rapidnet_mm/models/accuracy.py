"""Accuracy of classifiers."""

from __future__ import annotations

from mmengine.registry import METRICS
from mmpretrain.evaluation import Accuracy


@METRICS.register_module()
class TopAccuracy(Accuracy):
    """MMPretrain's Accuracy in percent, for any number of classes.

    A k above the number of classes, in which every image would count as right, is left out.
    """

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """``{'top1': ..., 'top5': ...}``, in percent."""
        classes = len(results[0]['pred_score'])
        wanted = self.topk
        try:
            self.topk = tuple(k for k in wanted if k < classes or k == 1)
            return super().compute_metrics(results)
        finally:
            self.topk = wanted
