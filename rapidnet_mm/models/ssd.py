"""SSDLite's anchors and head. SSD: https://arxiv.org/abs/1512.02325"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.models.task_modules import SSDAnchorGenerator
from mmengine.registry import MODELS, TASK_UTILS
from torch import Tensor

from ..errors import UserError


@TASK_UTILS.register_module()
class SSDLiteAnchorGenerator(SSDAnchorGenerator):
    """SSD's anchors, but with only three boxes on the first map.

    A map of scale ``s`` has squares of sizes ``s`` and ``sqrt(s * next)``, where ``next`` is the
    scale of the next map, and boxes of size ``s`` with every ratio and its inverse. The first map
    has one square, of size ``first_scale``, and boxes of ratio 2 and 1/2.

    Example:
        >>> anchors = SSDLiteAnchorGenerator(input_size=320)
        >>> anchors.num_base_priors
        [3, 6, 6, 6, 6, 6]

    Args:
        input_size: side of the square input image, in pixels.
        strides: strides of the maps, in pixels.
        scales: sizes as parts of ``input_size``: one per map, and one more after the last.
        first_scale: size of the square on the first map, as a part of ``input_size``.
        ratios: aspect ratios above 1 on all maps but the first.

    Raises:
        UserError: the number of scales does not fit the number of strides.
    """

    def __init__(
        self,
        input_size: int = 320,
        strides: Sequence[int] = (16, 32, 64, 107, 160, 320),
        scales: Sequence[float] = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0),
        first_scale: float = 0.1,
        ratios: Sequence[float] = (2, 3),
    ):
        if len(scales) != len(strides) + 1:
            raise UserError(
                f'SSDLiteAnchorGenerator: {len(strides)} strides need {len(strides) + 1} scales, '
                f'not {len(scales)}'
            )
        sizes = [input_size * scale for scale in scales]
        self.first_size = input_size * first_scale
        super().__init__(
            strides=list(strides),
            ratios=[[2]] + [list(ratios)] * (len(strides) - 1),
            min_sizes=sizes[:-1],
            max_sizes=sizes[1:],
            scale_major=False,
        )

    def gen_base_anchors(self) -> list[Tensor]:
        """Return the anchors of one cell per map, ``(boxes, 4)``, as corners in pixels."""
        levels = super().gen_base_anchors()
        x, y = self.centers[0]
        half = self.first_size / 2
        square = torch.tensor([[x - half, y - half, x + half, y + half]])
        levels[0] = torch.cat([square, levels[0][-2:]])
        return levels


@MODELS.register_module()
class SSDLiteHead(SSDHead):
    """MMDetection's SSDHead, with the attribute ``loss_cls`` that prediction needs.

    The code for prediction, which all heads share, reads ``loss_cls``. SSDHead computes its loss
    without such a module, so it does not set the attribute.
    """

    loss_cls = None
