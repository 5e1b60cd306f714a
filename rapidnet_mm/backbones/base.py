"""What all backbones of this package share: outputs, freezing, recomputation, initial weights."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UserError
from ..weights.contract import WeightsContract
from ..weights.load import load_pretrained
from ..weights.locate import locate_start
from .layers import DeformableConv, freeze, is_training_on, recomputed

STRIDES = (4, 8, 16, 32, 32)  # the fifth stage, where a family has it, is a last 1x1 convolution
# The initialisation if init_cfg names none.
DEFAULT_INIT = dict(
    type='Kaiming', layer=['Conv2d', 'DeformConv2d'], mode='fan_in', nonlinearity='relu'
)


class FeatureInfo(NamedTuple):
    """The facts about one output of a backbone that necks, taps and exports need."""

    channels: int
    stride: int  # pixels of the image per pixel of the map
    module: str  # name of the module that returns the map, as in ``named_modules()``


class FeatureMaps:
    """Mixin: channels and strides of the outputs, read from ``feature_info``."""

    feature_info: tuple[FeatureInfo, ...]  # one per output

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the outputs."""
        return tuple(info.channels for info in self.feature_info)

    @property
    def out_strides(self) -> tuple[int, ...]:
        """Strides of the outputs."""
        return tuple(info.stride for info in self.feature_info)


class PublishedWeights(WeightsContract):
    """Mixin: a ``Pretrained`` entry of ``init_cfg`` loads a published file or one of ours.

    The file must fill the whole backbone. MMEngine itself would run the entries of ``init_cfg``, so
    those of type ``Pretrained`` are moved to ``pretrained``, and ``init_cfg`` keeps the rest.
    """

    @property
    def init_cfg(self) -> list[dict]:
        """How the weights are drawn, before a file is loaded; Kaiming normal by default."""
        return self._initialisers

    @init_cfg.setter
    def init_cfg(self, value: dict | list[dict] | None) -> None:
        configs = value if isinstance(value, list) else [value or dict(DEFAULT_INIT)]
        if not all(isinstance(cfg, dict) and 'type' in cfg for cfg in configs):
            raise UserError(
                f'{type(self).__name__}: init_cfg={value!r} needs a type, such as '
                "dict(type='Pretrained', checkpoint=FILE)"
            )
        self.pretrained = [cfg for cfg in configs if cfg['type'] == 'Pretrained']
        initialisers = [cfg for cfg in configs if cfg['type'] != 'Pretrained']
        self._initialisers = initialisers or [dict(DEFAULT_INIT)]

    def init_weights(self) -> None:
        """Draw the weights, then load the files that ``init_cfg`` names.

        Raises:
            UserError: a file is missing, is no checkpoint, or does not fill this backbone.
        """
        is_first_call = not self.is_init
        super().init_weights()
        if is_first_call:
            for module in self.modules():
                if isinstance(module, DeformableConv):
                    module.start_at_zero()
        for cfg in self.pretrained:
            locate_start(cfg.get('checkpoint'), type(self).__name__)
            load_pretrained(self, **{key: value for key, value in cfg.items() if key != 'type'})


class Freezing:
    """Mixin: ``train()`` keeps frozen parts, and with ``norm_eval`` all BatchNorm, in eval mode."""

    def train(self, mode: bool = True) -> Freezing:
        """Set the training mode of everything that is not frozen; returns self."""
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
        """The modules that ``frozen_stages`` names."""
        raise NotImplementedError


class Backbone(PublishedWeights, Freezing, FeatureMaps, BaseModule):
    """Base of the families: ``stem``, then ``stages`` at strides 4, 8, 16 and 32.

    A family passes the first three arguments by position. Users pass the others by name, to any
    family.

    Args:
        stem: the layers before the first stage.
        stages: four Sequentials of blocks; the first block of a stage may change the stride. A
            fifth, at stride 32, is the last 1x1 convolution of families that have one.
        channels: widths of the stages.
        out_indices: the stages to return, ascending: 0, 1, 2, 3 have strides 4, 8, 16, 32.
        frozen_stages: -1 freezes nothing, 0 the stem, ``k`` the stem and the first ``k`` stages.
            Frozen layers get no gradients, and their BatchNorm uses its running statistics.
        norm_eval: all BatchNorm layers use their running statistics, in training too.
        with_cp: compute activations again in the backward pass instead of storing them: less
            memory, more time, the same result.
        init_cfg: how weights start, as everywhere in MMEngine; by default Kaiming normal.
            ``dict(type='Pretrained', checkpoint='rapidnet_m')`` loads weights by name, or from a
            file, published or our own.

    Shape: ``(N, 3, H, W) ->`` a tuple of ``(N, C, ceil(H / stride), ceil(W / stride))``.

    Raises:
        UserError: there is no such stage, or ``init_cfg`` has an entry without a type.
    """

    last_index = 3  # the highest of out_indices; a family with a last 1x1 convolution has 4

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Sequential],
        channels: Sequence[int],
        /,
        *,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        indices = tuple(out_indices)
        check_stages(type(self).__name__, indices, self.last_index, frozen_stages)
        self.out_indices = indices
        # forward() calls the blocks of a stage, never the stage: the last block returns the map.
        self.feature_info = tuple(
            FeatureInfo(channels[i], STRIDES[i], f'stages.{i}.{len(stages[i]) - 1}')
            for i in indices
        )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.train()  # freezes now, before an optimizer or DistributedDataParallel looks

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return one map per entry of ``out_indices`` for images ``(N, 3, H, W)`` of any size."""
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


def check_common(backbone: Backbone, arguments: Mapping[str, Any]) -> None:
    """Check the names of the arguments that a family passes to :class:`Backbone`.

    A family calls this first, so that the message names the class in the config, not the base.

    Raises:
        UserError: neither the family nor the base has an argument of that name.
    """
    names = _argument_names(type(backbone))
    for name in arguments:
        if name not in names:
            raise UserError(
                f'{type(backbone).__name__} got an unexpected keyword argument {name!r}; '
                f'it has {", ".join(names)}'
            )


def _argument_names(cls: type) -> list[str]:
    names: list[str] = []
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # not self
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break  # the next base gets none of the arguments
    return list(dict.fromkeys(names))


def check_stages(name: str, out_indices: Sequence[int], last_index: int, frozen: int) -> None:
    """Check ``out_indices`` and ``frozen_stages`` of a backbone with ``last_index + 1`` stages.

    Raises:
        UserError: the backbone has no such stage.
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
    """Check the name of a variant.

    Raises:
        UserError: the family has no variant of that name.
    """
    if arch not in archs:
        raise UserError(f'{name} has no arch {arch!r}; choose one of {list(archs)}')


def check_rate(name: str, argument: str, rate: float) -> None:
    """Check the rate of stochastic depth or of dropout.

    Raises:
        UserError: the rate is not in [0, 1).
    """
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise UserError(f'{name}: {argument}={rate!r} must be in [0, 1)')
