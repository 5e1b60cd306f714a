"""MMEngine's ``init_cfg=dict(type='Pretrained')`` for modules of the host libraries."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.model.weight_init import PretrainedInit, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from ..errors import UserError
from .content import state_of
from .load import check_finite, coverage_of, strip_prefix, summary
from .locate import locate_start
from .read import read_checkpoint
from .translate import Weights, to_ours


@WEIGHT_INITIALIZERS.register_module('Pretrained', force=True)
class Pretrained(PretrainedInit):
    """Fill a module of a host library from a file, without running code from the file.

    A log line says which tensors were loaded and which were not.

    Args:
        checkpoint: what :func:`.locate.locate` takes: a file, a URL, or a name.
        prefix: load only what lies under this name, such as ``'backbone'``. By default it is
            detected.
        map_location: the device to read the tensors to.
        allow_partial: False refuses a file that does not fill the whole module.
        sha256: the SHA-256 that the file must have.
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
        """Fill the module and log what was loaded.

        Raises:
            UserError: the file cannot be read, has another SHA-256, or fills nothing.
        """
        locate_start(self.checkpoint, type(module).__name__)
        content = read_checkpoint(self.checkpoint, self.map_location, self.sha256)
        state = state_of(content, self.checkpoint)
        # A host may use the published names itself, so the names that fit better are right.
        candidates = [
            strip_prefix(weights, self.prefix, module)
            for weights in (Weights(state, []), to_ours(state))
        ]
        pairs = [(weights, coverage_of(module, weights.state)) for weights in candidates]
        weights, coverage = max(pairs, key=lambda pair: len(pair[1].loaded))
        message = summary(module, self.checkpoint, coverage, weights)
        if not coverage.loaded or not (coverage.complete or self.allow_partial):
            raise UserError(f'init_cfg: {message}')
        check_finite({key: weights.state[key] for key in coverage.loaded}, self.checkpoint)
        # MMEngine's own way of copying, because some modules rename keys of old versions in it.
        load_state_dict(module, weights.state, strict=False, logger='silent')
        print_log(message, logger='current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())
