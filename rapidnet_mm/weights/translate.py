"""Translate published parameter names to ours, with the tables in :mod:`.names`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from .names import NAME_TABLES, NameTable


def to_ours(state: Mapping[str, Tensor]) -> Weights:
    """Translate published names to ours. Other names, ours too, stay as they are.

    The file may be a bare backbone, a classifier, or a whole model with a backbone under
    ``backbone.``. The family is the one whose table has the most names of the file, if that is
    more than half of them.
    """
    best_share, best = 0.5, None  # not 1, because tools leave other tensors in files
    for prefix in ('', 'backbone.'):
        keys = [key.removeprefix(prefix) for key in state if key.startswith(prefix)]
        for family, table in NAME_TABLES.items():
            share = table.share(keys)
            if share > best_share:  # the first table wins a tie
                best_share, best = share, (family, table, prefix)
    if best is None:
        return Weights(dict(state), [])
    family, table, prefix = best
    ours, dropped = _translated(state, table, prefix)
    head = {}
    for key in dropped:
        name = table.head_to_ours(key.removeprefix(prefix))
        if name:
            head[key] = (name, _linear(state[key]))
    return Weights(ours, dropped, family, head)


class Weights(NamedTuple):
    """Tensors under our names, and what was dropped on purpose."""

    state: dict[str, Tensor]
    dropped: list[str]  # keys of the file
    family: str | None = None  # key of NAME_TABLES; None: the names are as in the file
    # The head of a published classifier: key of the file -> (name in our classifiers, tensor).
    head: Mapping[str, tuple[str, Tensor]] = MappingProxyType({})

    def as_classifier(self) -> Weights:
        """Return a published classifier under the names of our whole classifiers.

        Weights without such a head are returned as they are.
        """
        if not self.head:
            return self
        backbone = {f'backbone.{key}': value for key, value in self.state.items()}
        return self._replace(state=backbone).with_head({name for name, _ in self.head.values()})

    def with_head(self, names: Container[str]) -> Weights:
        """Move those tensors of the head to ``state`` whose names are in ``names``."""
        moved = {key: pair for key, pair in self.head.items() if pair[0] in names}
        return self._replace(
            state={**self.state, **dict(moved.values())},
            dropped=[key for key in self.dropped if key not in moved],
            head={},
        )


def _translated(
    state: Mapping[str, Tensor], table: NameTable, prefix: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors under our names, and the keys that the table drops."""
    ours, dropped = {}, []
    for key, value in state.items():
        inner = key.removeprefix(prefix)
        if not key.startswith(prefix):  # necks and heads keep their names
            ours[key] = value
        elif (name := table.to_ours(inner)) is not None:
            ours[prefix + name] = value
        elif inner.startswith(table.dropped):
            dropped.append(key)
        else:
            ours[key] = value
    return ours, dropped


def _linear(tensor: Tensor) -> Tensor:
    """Return the weight of a 1x1 convolution as that of a linear layer; others unchanged.

    The convolution of a head works on a pooled map, so both compute the same.
    """
    pointwise = tensor.dim() == 4 and tensor.shape[2:] == (1, 1)
    return tensor.flatten(1) if pointwise else tensor
