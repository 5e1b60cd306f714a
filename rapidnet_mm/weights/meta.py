"""What is used of the values beside weights: each is listed, and has its type.

MMEngine runs the config that it finds in a checkpoint as a program. So nothing reaches it, or
anybody else, but what is listed here.
"""

from __future__ import annotations

import math
import numbers
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import HistoryBuffer

from ..errors import UserError

COUNTS = ('epoch', 'iter', 'seed')
LARGEST = 2**53
# MM 2 writes the names of classes at the top, in capitals.
DATASET = ('dataset_meta', 'classes', 'palette', 'CLASSES', 'PALETTE')
TEXTS = (
    *('experiment_name', 'time', 'mmengine_version', 'mmcv_version', 'mmdet_version'),
    *('mmseg_version', 'mmpretrain_version', 'mmcls_version'),
)
LONGEST = 200  # characters of a text, such as the name of a class
MOST = 100_000  # names or colours


def with_plain_meta(content: dict[str, Any]) -> dict[str, Any]:
    """Return a content whose 'meta' has only what is listed above, and only if it is of its type.

    Example:
        >>> meta = {'epoch': 3, 'iter': -1, 'config': 'import os', 'CLASSES': ('cat', 'dog')}
        >>> with_plain_meta({'meta': meta})
        {'meta': {'epoch': 3, 'CLASSES': ('cat', 'dog')}}
    """
    if not isinstance(content.get('meta'), dict):
        return {key: value for key, value in content.items() if key != 'meta'}
    meta = content['meta']
    return {**content, 'meta': {k: meta[k] for k in meta if _is_known(k, meta[k])}}


def _is_known(key: Any, value: Any) -> bool:
    if key in COUNTS:
        return type(value) is int and 0 <= value < LARGEST
    if key in TEXTS:
        return _is_text(value)
    return key in DATASET and is_description(value)


def _is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= LONGEST and value.isprintable()


def is_description(value: Any, depth: int = 3) -> bool:
    """Return whether a value describes a data set: short texts, numbers, and lists of them."""
    if type(value) in (list, tuple, set):
        return len(value) <= MOST and depth > 0 and all(is_description(v, depth - 1) for v in value)
    if type(value) is dict:
        keys = all(_is_text(key) or type(key) is int for key in value)
        return keys and depth > 0 and all(is_description(v, depth - 1) for v in value.values())
    return value is None or _is_text(value) or _is_number(value)


def _is_number(value: Any) -> bool:
    if not isinstance(value, numbers.Real):
        return False
    return type(value) is bool or (abs(value) < LARGEST and math.isfinite(value))


def plain_history(hub: Any, folders: Sequence[str], source: str) -> dict[str, Any]:
    """Return MMEngine's message hub of a checkpoint: the history of losses and what hooks note.

    Args:
        hub: what the checkpoint has.
        folders: where this training keeps checkpoints. Hooks delete an outdated checkpoint whose
            path they noted, so that has to be in one of these.
        source: path of the checkpoint, for messages.

    Raises:
        UserError: it is not what MMEngine writes, or is empty.
    """
    parts = ('log_scalars', 'runtime_info', 'resumed_keys')
    if not isinstance(hub, Mapping) or not all(isinstance(hub.get(part), dict) for part in parts):
        raise UserError(f'--resume: {source} has no history of a training (its message_hub)')
    scalars = {k: v for k, v in hub['log_scalars'].items() if type(v) is HistoryBuffer}
    notes = {k: v for k, v in hub['runtime_info'].items() if _is_note(k, v, folders)}
    if not scalars and not notes:
        raise UserError(f'--resume: {source} has an empty history of a training (its message_hub)')
    known = scalars.keys() | notes.keys()
    resumed = {k: v for k, v in hub['resumed_keys'].items() if k in known and type(v) is bool}
    return dict(
        log_scalars=OrderedDict(scalars), runtime_info=OrderedDict(notes), resumed_keys=resumed
    )


def _is_note(key: Any, value: Any, folders: Sequence[str]) -> bool:
    if type(key) is not str or key == 'cfg':
        return False
    if key in ('epoch', 'iter', 'max_epochs', 'max_iters'):
        return type(value) is int
    if key.startswith('best_score'):
        return _is_number(value)
    if key == 'keep_ckpt_ids':
        return type(value) is list and all(type(step) is int for step in value)
    if key.startswith(('best_ckpt', 'last_ckpt')) and value is not None:
        places = Path(value).resolve().parents if type(value) is str else ()
        return any(Path(folder).resolve() in places for folder in folders)
    return True
