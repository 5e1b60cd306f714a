"""Maps from anywhere inside a backbone, by the names of its modules."""

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

PROBE = 64  # pixels; a multiple of every stride


@MODELS.register_module()
class TappedBackbone(WeightsContract, BaseModule):
    """Any backbone, returning the outputs of named modules instead of its own.

    SSDLite reads the expansion *inside* a block, which no backbone returns. Forward hooks collect
    what the modules give during the backbone's ordinary forward pass, so it is the same network:
    freezing, recomputation, export and compilation work as without taps.

    Args:
        backbone: config of the backbone, its ``init_cfg`` too; it has to run as far as the last
            tap.
        taps: names of its modules, as in ``named_modules()``, in the order of the outputs.

    Shape: ``(N, 3, H, W) ->`` a tuple of ``(N, C, H / stride, W / stride)``, one per tap.

    Raises:
        UserError: no taps, or there is no module of that name.
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
        """Run the backbone and return what the tapped modules gave."""
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
        # None while blocks are recomputed in the backward pass: the maps are taken already.
        if self._maps is not None:
            self._maps[tap] = output

    @cached_property
    def _shapes(self) -> list[torch.Size]:
        probe = copy.deepcopy(self).to('meta', torch.float32).eval()
        with torch.no_grad():
            return [m.shape for m in probe(torch.empty(1, 3, PROBE, PROBE, device='meta'))]

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the maps."""
        return tuple(shape[1] for shape in self._shapes)

    @property
    def out_strides(self) -> tuple[int, ...]:
        """Strides of the maps."""
        return tuple(PROBE // shape[2] for shape in self._shapes)
