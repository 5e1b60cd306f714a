"""What every backbone of this package does alike: taps, freezing, recomputation, weights."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..checkpoints import load_pretrained
from ..errors import UserError
from .layers import freeze, is_training_on, recomputed

STRIDES = (4, 8, 16, 32)
# The published initialisation of every family here, where no weights are given.
DEFAULT_INIT = dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')


class Backbone(BaseModule):
    """Base of all backbones: ``stem``, then four ``stages`` at strides 4, 8, 16 and 32.

    Args:
        stem: what comes before the first stage.
        stages: four Sequentials of blocks; the first block of a stage may change the stride.
        channels: widths of the four stages.
        out_indices: stages to return, ascending, 0..3 (strides 4, 8, 16, 32).
        frozen_stages: -1 freezes nothing, 0 the stem, ``k`` the stem and the first ``k`` stages:
            no gradients, and BatchNorm in evaluation mode.
        norm_eval: keep all BatchNorm layers in evaluation mode while training.
        with_cp: recompute blocks in the backward pass: less memory, more time, same result.
        init_cfg: MMEngine's initialisation config. ``dict(type='Pretrained', checkpoint=FILE)``
            takes our own and the published files as they are.

    Raises:
        UserError: an index or a stage number that does not exist.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Sequential],
        channels: Sequence[int],
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg=init_cfg or DEFAULT_INIT)
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        name = type(self).__name__
        indices = tuple(out_indices)
        if not indices or list(indices) != sorted(set(indices) & set(range(len(STRIDES)))):
            raise UserError(
                f'{name}: out_indices={indices} must be ascending stages out of 0, 1, 2, 3'
            )
        if frozen_stages not in range(-1, len(STRIDES) + 1):
            raise UserError(
                f'{name}: frozen_stages={frozen_stages} must be -1 (nothing), 0 (stem) '
                f'or 1 to {len(STRIDES)} (stem and stages)'
            )
        self.out_indices = indices
        self.out_channels = tuple(channels[i] for i in indices)
        self.out_strides = tuple(STRIDES[i] for i in indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.train()  # freezes now, before an optimizer or DistributedDataParallel looks

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map an image batch ``(N, 3, H, W)`` to one map per entry of ``out_indices``.

        A map at stride ``s`` has shape ``(N, C, ceil(H / s), ceil(W / s))``.
        """
        recompute = self.with_cp and is_training_on(self)
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages[: self.out_indices[-1] + 1]):
            for block in stage:
                x = recomputed(block, x) if recompute else block(x)
            if index in self.out_indices:
                maps.append(x)
        return tuple(maps)

    def train(self, mode: bool = True) -> Backbone:
        """Set the mode; frozen stages, and with ``norm_eval`` all BatchNorm, stay in evaluation."""
        super().train(mode)
        if mode:
            for module in self._frozen():
                freeze(module)
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says; a ``Pretrained`` entry is read safely and in full.

        Raises:
            UserError: the file is missing, is no checkpoint, or does not fill this backbone.
        """
        given = self.init_cfg
        configs = given if isinstance(given, list) else [given]
        if not all(isinstance(cfg, dict) and 'type' in cfg for cfg in configs):
            raise UserError(
                f"init_cfg={given!r} needs a type, such as dict(type='Pretrained', checkpoint=FILE)"
            )
        pretrained = [cfg for cfg in configs if cfg['type'] == 'Pretrained']
        self.init_cfg = [cfg for cfg in configs if cfg not in pretrained] or [DEFAULT_INIT]
        super().init_weights()
        self.init_cfg = given
        for cfg in pretrained:
            load_pretrained(self, **{key: value for key, value in cfg.items() if key != 'type'})

    def _frozen(self) -> list[nn.Module]:
        return [] if self.frozen_stages < 0 else [self.stem, *self.stages[: self.frozen_stages]]
