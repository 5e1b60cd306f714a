"""Accuracy of classifiers, for any number of classes."""

from __future__ import annotations

from mmengine.registry import METRICS
from mmpretrain.evaluation import Accuracy


@METRICS.register_module()
class TopAccuracy(Accuracy):
    """MMPretrain's Accuracy in percent, only for k = 1 and k below the number of classes.

    With 5 classes the top-5 accuracy would always be 100.

    Example:
        >>> scores = torch.tensor([0.5, 0.2, 0.3])
        >>> results = [dict(pred_score=scores, gt_label=torch.tensor([label])) for label in (0, 2)]
        >>> TopAccuracy(topk=(1, 2, 5)).compute_metrics(results)
        {'top1': 50.0, 'top2': 100.0}
    """

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Return ``{'top1': ..., 'top5': ...}``, in percent."""
        classes = len(results[0]['pred_score'])
        all_topk = self.topk
        try:
            self.topk = tuple(k for k in all_topk if k < classes or k == 1)
            return super().compute_metrics(results)
        finally:
            self.topk = all_topk
