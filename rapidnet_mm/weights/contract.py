"""What the loading of weights asks a network, with a default for every answer.

A backbone of a host library need not know this file: it has no variants and nothing fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

# Relative. Averaging rounds many times, so the last bits of single precision may differ.
FIXED_TOLERANCE = 1e-5


class WeightsContract:
    """Mixin for backbones: the variants of the family, and where the weights lie.

    A family of networks with different shapes only sets ``variants``.
    """

    variants: Mapping[str, Mapping[str, Any]] = {}  # such as {"arch='ti'": dict(arch='ti')}
    # True: a file of one variant may fill another variant in whole, so every file is checked.
    variants_share_shapes = False
    inner_prefix = ''  # of the names in inner_backbone()

    def inner_backbone(self) -> nn.Module:
        """Return the backbone that has the weights; a wrapper returns the one inside."""
        return self

    def own_variant(self) -> str | None:
        """Return the name of this network's variant; None if it is none of ``variants``."""
        return next(iter(self.variants_of(self.state_dict())), None)

    @classmethod
    def variants_of(cls, state: Mapping[str, Tensor]) -> list[str]:
        """Return the names of the variants whose tensors are all in ``state``, in their shapes.

        Args:
            state: tensors under our names.
        """
        names = []
        for name, arguments in cls.variants.items():
            with torch.device('meta'):
                tensors = cls(**arguments).state_dict()
            needed = {k: v.shape for k, v in tensors.items() if 'num_batches' not in k}
            if all(k in state and state[k].shape == shape for k, shape in needed.items()):
                names.append(name)
        return names


class FixedTensors:
    """Mixin for layers with tensors that no training changes, such as kernels from a table.

    A file may leave these tensors out. If it has them, their values must be right.
    """

    def fixed_tensors(self) -> dict[str, Tensor]:
        """Return the fixed tensors by their names in this layer, exact, on the CPU."""
        raise NotImplementedError


def fixed_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return all fixed tensors of a module by their names in its state dict."""
    return {
        f'{place}.{name}' if place else name: value
        for place, part in module.named_modules()
        if isinstance(part, FixedTensors)
        for name, value in part.fixed_tensors().items()
    }


def is_fixed_value(given: Tensor, exact: Tensor) -> bool:
    """Whether a tensor of a file has the fixed values, up to rounding in the file's type."""
    if given.is_meta or given.shape != exact.shape:
        return True  # there are no values to compare; shapes are checked elsewhere
    precision = torch.finfo(given.dtype).eps if given.is_floating_point() else 0.0
    allowed = max(precision, FIXED_TOLERANCE) * exact.abs()
    return bool(((given.cpu().double() - exact).abs() <= allowed).all())
