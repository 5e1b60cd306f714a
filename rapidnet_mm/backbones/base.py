"""What every backbone of this package does alike: taps, freezing, recomputation, weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UserError
from ..weights.contract import WeightsContract
from ..weights.load import load_pretrained
from .layers import DeformableConv, freeze, is_training_on, recomputed

STRIDES = (4, 8, 16, 32, 32)  # the fifth stage, where a family has it, is a last 1x1 convolution
# Where no weights are given.
DEFAULT_INIT = dict(
    type='Kaiming', layer=['Conv2d', 'DeformConv2d'], mode='fan_in', nonlinearity='relu'
)


class PublishedWeights(WeightsContract):
    """Mixin: an ``init_cfg`` of type Pretrained is read safely, recognised and taken in whole."""

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
        for module in self.modules():
            if isinstance(module, DeformableConv):
                module.start_at_zero()
        self.init_cfg = given
        for cfg in pretrained:
            path = str(cfg.get('checkpoint'))
            if '://' not in path and not Path(path).expanduser().exists():
                raise UserError(
                    f'init_cfg of {type(self).__name__}: {path} does not exist; put the ImageNet '
                    'weights there, name another file in its checkpoint, or start without '
                    '(init_cfg=None)'
                )
            load_pretrained(self, **{key: value for key, value in cfg.items() if key != 'type'})


class Freezing:
    """Mixin: ``train()`` leaves what is frozen, and with ``norm_eval`` all BatchNorm, as it is."""

    def train(self, mode: bool = True) -> Freezing:
        """Set the mode, where nothing is frozen; returns self."""
        super().train(mode)
        if mode:
            for module in self._frozen():
                freeze(module)
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        """What ``frozen_stages`` names."""
        raise NotImplementedError


def check_stages(name: str, out_indices: Sequence[int], last_index: int, frozen: int) -> None:
    """Whether stages can be returned and frozen, in a backbone with ``last_index + 1`` of them.

    Raises:
        UserError: they cannot.
    """
    stages = range(last_index + 1)
    if not out_indices or list(out_indices) != sorted(set(out_indices) & set(stages)):
        raise UserError(
            f'{name}: out_indices={tuple(out_indices)} must be ascending stages out of '
            f'{", ".join(map(str, stages))}'
        )
    if frozen not in range(-1, last_index + 2):
        raise UserError(
            f'{name}: frozen_stages={frozen} must be -1 (nothing), 0 (stem) '
            f'or 1 to {last_index + 1} (stem and stages)'
        )


def check_arch(name: str, arch: str, archs: Collection[str]) -> None:
    """Whether a family has a variant of that name.

    Raises:
        UserError: it has not.
    """
    if arch not in archs:
        raise UserError(f'{name} has no arch {arch!r}; choose one of {list(archs)}')


def check_drop_path_rate(name: str, rate: float) -> None:
    """Whether stochastic depth can have that rate.

    Raises:
        UserError: it cannot.
    """
    if not 0 <= rate < 1:
        raise UserError(f'{name}: drop_path_rate={rate} must be in [0, 1)')


class Backbone(PublishedWeights, Freezing, BaseModule):
    """Base of all backbones: ``stem``, then ``stages`` at strides 4, 8, 16 and 32.

    Args:
        stem: what comes before the first stage.
        stages: four Sequentials of blocks; the first block of a stage may change the stride. A
            fifth, at stride 32, is the last 1x1 convolution of families that have one.
        channels: widths of the stages.
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

    last_index = 3  # the highest of out_indices; a family with a last 1x1 convolution has 4

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
        indices = tuple(out_indices)
        check_stages(type(self).__name__, indices, self.last_index, frozen_stages)
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

    def _frozen(self) -> list[nn.Module]:
        return [] if self.frozen_stages < 0 else [self.stem, *self.stages[: self.frozen_stages]]
