"""Return feature maps from inside a backbone, by the names of its modules."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from functools import cached_property, partial

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError
from ..weights.contract import WeightsContract
from .base import FeatureInfo, FeatureMaps

PROBE = 64  # side of the image that shows the strides, in pixels; a multiple of every stride


@MODELS.register_module()
class TappedBackbone(FeatureMaps, WeightsContract, BaseModule):
    """Wraps a backbone and returns the outputs of the modules that ``taps`` names.

    SSDLite reads a map from *inside* a block, and no backbone returns that. Here forward hooks keep
    the outputs of the tapped modules while the backbone runs as usual. So the network is the same:
    freezing, recomputation, export and compilation work as without taps.

    Example:
        >>> rexnet = dict(type='ReXNet', width_mult=1.0)
        >>> model = TappedBackbone(rexnet, taps=('stages.3.0.expand', 'stages.3.4'))
        >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
        [(1, 768, 4, 6), (1, 185, 2, 3)]

    Args:
        backbone: config of the backbone, with its ``init_cfg``. Its ``out_indices`` must reach the
            last tap.
        taps: names of its modules, as in ``named_modules()``, in the order of the outputs.

    Shape: ``(N, 3, H, W) ->`` a tuple of ``(N, C, H / stride, W / stride)``, one per tap.

    Raises:
        UserError: there are no taps, or there is no module of that name.
    """

    inner_prefix = 'backbone.'

    def __init__(self, backbone: dict, taps: Sequence[str]):
        super().__init__()
        self.backbone = MODELS.build(backbone)
        if isinstance(taps, str) or not taps:
            raise UserError(f'TappedBackbone: taps={taps!r} must be a list of names of modules')
        self.taps = tuple(taps)
        self._maps: dict[str, Tensor] | None = None
        modules = dict(self.backbone.named_modules())
        for tap in self.taps:
            if tap not in modules or not tap:
                near = difflib.get_close_matches(tap, modules, n=1, cutoff=0)
                raise UserError(
                    f'{type(self.backbone).__name__} has no module {tap!r} to tap; '
                    f'the nearest is {near[0]!r} (what out_indices leaves out may not be built)'
                )
            modules[tap].register_forward_hook(partial(self._keep, tap))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run the backbone and return the outputs of the tapped modules."""
        self._maps = {}
        try:
            self.backbone(x)
            missing = [tap for tap in self.taps if tap not in self._maps]
            if missing:
                raise UserError(
                    f'{type(self.backbone).__name__} never calls {", ".join(missing)}: its '
                    'out_indices have to reach that far, and a container that is only iterated '
                    'over gives nothing (tap its last module)'
                )
            return tuple(self._maps[tap] for tap in self.taps)
        finally:
            self._maps = None

    def inner_backbone(self) -> nn.Module:
        """Return the backbone whose modules are tapped."""
        return self.backbone

    def _keep(self, tap: str, module: nn.Module, args: tuple, output: Tensor) -> None:  # noqa: ARG002
        # None when the backward pass computes blocks again: the maps were returned before.
        if self._maps is not None:
            self._maps[tap] = output

    @cached_property
    def feature_info(self) -> tuple[FeatureInfo, ...]:
        """Channels, stride and module of every output."""
        probe = copy.deepcopy(self).to('meta', torch.float32).eval()  # shapes without arithmetic
        with torch.no_grad():
            maps = probe(torch.empty(1, 3, PROBE, PROBE, device='meta'))
        return tuple(
            FeatureInfo(m.shape[1], PROBE // m.shape[2], tap)
            for m, tap in zip(maps, self.taps, strict=True)
        )
