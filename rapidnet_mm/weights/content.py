"""What is in a checkpoint that has been read: its weights and its classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from torch import Tensor

from ..errors import UserError

# The keys under which files keep their weights. Averaged weights come first: the papers measured
# these. MMEngine's EMAHook saves the averaged ones as state_dict and the others as ema_state_dict.
AVERAGED = ('state_dict_ema', 'model_ema')
WRAPPERS = (*AVERAGED, 'state_dict', 'model', 'ema_state_dict')


def state_of(content: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under the names that they have in the file.

    Args:
        content: what :func:`.read.read_checkpoint` returned.
        source: path or URL of the file, for messages.

    Raises:
        UserError: it holds no tensors.
    """
    wrapper = wrapper_of(content)
    state = content if wrapper is None else content[wrapper]
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise UserError(
            f'checkpoint {source} holds no weights: no tensors at its top level or under '
            f'{", ".join(WRAPPERS)}; its first keys are {sorted(map(str, content))[:8]}'
        )
    return {key.removeprefix('module.'): value for key, value in tensors.items()}


def wrapper_of(content: Mapping[str, Any]) -> str | None:
    """Return the key that holds the weights; None if they are at the top level."""
    return next((name for name in WRAPPERS if isinstance(content.get(name), dict)), None)


def dataset_meta(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the classes and the palette that a model was trained for; None if they are unknown.

    MM 3 writes these keys in lower case, MM 2 in upper case. Values of other types are ignored.
    """
    meta = content.get('meta')
    if not isinstance(meta, Mapping):
        return None
    entry = meta.get('dataset_meta') or {k: meta.get(k.upper()) for k in ('classes', 'palette')}
    classes = entry.get('classes') if isinstance(entry, Mapping) else None
    if isinstance(classes, str):  # the name of a single class
        classes = [classes]
    if not classes or not isinstance(classes, Sequence):
        return None
    result: dict[str, Any] = {'classes': tuple(map(str, classes))}
    palette = entry.get('palette')
    if _is_palette(palette):  # MMDetection writes 'random'
        result['palette'] = [tuple(int(value) for value in colour) for colour in palette]
    return result


def _is_palette(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(colour, list | tuple) and len(colour) == 3 and all(map(_is_number, colour))
        for colour in value
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
