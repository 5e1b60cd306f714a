"""MMEngine's ``Pretrained`` for modules of the host libraries: read safely, and accounted for."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.model.weight_init import PretrainedInit, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from ..errors import UserError
from .load import cover, summary, under, weights_of
from .read import read_checkpoint
from .translate import Weights, to_ours


@WEIGHT_INITIALIZERS.register_module('Pretrained', force=True)
class Pretrained(PretrainedInit):
    """MMEngine's ``Pretrained`` for modules of the host libraries: read safely, and accounted for.

    Args:
        checkpoint: path or URL, or a name such as ``torchvision://resnet50``.
        prefix: take only what lies under this name, such as ``'backbone'``; found by itself.
        map_location: where to put the tensors first.
        allow_partial: False makes a file an error that does not fill the whole module.
        sha256: what the file's SHA-256 has to be.
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: Any = 'cpu',
        allow_partial: bool = True,
        sha256: str | None = None,
    ):
        super().__init__(checkpoint, prefix, map_location)
        self.allow_partial = allow_partial
        self.sha256 = sha256

    def __call__(self, module: nn.Module) -> None:
        """Fill a module and tell what was taken and what was not.

        Raises:
            UserError: the file cannot be read, is another than ``sha256`` says, or fills nothing.
        """
        content = read_checkpoint(self.checkpoint, self.map_location, self.sha256)
        raw = weights_of(content, self.checkpoint)
        # A host may use the published names itself, so whatever fits better is right.
        candidates = [under(self.prefix, w, module) for w in (Weights(raw, []), to_ours(raw))]
        weights, coverage = max(
            ((w, cover(module, w.state)) for w in candidates), key=lambda pair: len(pair[1].taken)
        )
        told = summary(module, self.checkpoint, coverage, weights)
        if not coverage.taken or not (coverage.complete or self.allow_partial):
            raise UserError(f'init_cfg: {told}')
        # MMEngine's own way of copying: some modules rename the keys of old versions in it.
        load_state_dict(module, weights.state, strict=False, logger='silent')
        print_log(told, logger='current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())
