"""Tensors under published names to the same under ours, with the tables of name_tables."""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from .names import NAME_TABLES, NameTable


class Weights(NamedTuple):
    """Tensors under our names, keys that were dropped on purpose, and whose names they had."""

    state: dict[str, Tensor]
    dropped: list[str]
    family: str | None = None  # of NAME_TABLES; None: the names are as they were
    # Of a published classifier: its head, by the dropped key, with the name in our classifiers.
    head: Mapping[str, tuple[str, Tensor]] = MappingProxyType({})

    def as_classifier(self) -> Weights:
        """A published classifier under the names of a whole one of ours; others as they are."""
        if not self.head:
            return self
        backbone = {f'backbone.{key}': value for key, value in self.state.items()}
        return self._replace(state=backbone).with_head({name for name, _ in self.head.values()})

    def with_head(self, wanted: Container[str]) -> Weights:
        """What is in ``wanted`` of the head goes to the tensors, and is no longer dropped."""
        taken = {key: pair for key, pair in self.head.items() if pair[0] in wanted}
        return self._replace(
            state={**self.state, **dict(taken.values())},
            dropped=[key for key in self.dropped if key not in taken],
            head={},
        )


def to_ours(state: Mapping[str, Tensor]) -> Weights:
    """Translate published names, if they are.

    Understands a bare backbone or classifier, and a whole model with a backbone under
    ``backbone.``; our own names stay as they are.
    """
    best, found = 0.5, None  # a file may hold a little more than the weights
    for prefix in ('', 'backbone.'):
        keys = [key.removeprefix(prefix) for key in state if key.startswith(prefix)]
        for family, table in NAME_TABLES.items():
            if (share := table.share(keys)) > best:  # of equals the first
                best, found = share, (family, table, prefix)
    if found is None:
        return Weights(dict(state), [])
    family, table, prefix = found
    ours, dropped = _translated(state, table, prefix)
    names = {key: table.head_to_ours(key.removeprefix(prefix)) for key in dropped}
    head = {key: (name, _linear(state[key])) for key, name in names.items() if name}
    return Weights(ours, dropped, family, head)


def _linear(tensor: Tensor) -> Tensor:
    """A 1x1 convolution on the pooled map as the linear layer that it is."""
    pointwise = tensor.dim() == 4 and tensor.shape[2:] == (1, 1)
    return tensor.flatten(1) if pointwise else tensor


def _translated(
    state: Mapping[str, Tensor], table: NameTable, prefix: str
) -> tuple[dict[str, Tensor], list[str]]:
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
