"""Facts about weights with a name, and the content of a file: for ``rapidnet weights``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..backbones import MobileViG, RapidNet, ReXNet, ReXNetLite, VGNet
from ..errors import UserError
from ..models.efficientnet import TFEfficientNet
from ..weights.content import AVERAGED, dataset_meta, state_of, wrapper_of
from ..weights.download import sha256_of
from ..weights.kinds import kind_of
from ..weights.known import KNOWN, Known, entry_of
from ..weights.load import PLACES
from ..weights.locate import FOLDER, local_file, locate
from ..weights.read import read_checkpoint
from ..weights.translate import Weights, to_ours

COLUMNS = ('name', 'holds', 'model', 'size', 'licence', 'where')
FAMILIES = (RapidNet, MobileViG, ReXNet, ReXNetLite, VGNet, TFEfficientNet)
STEMS = ('stem.', 'layers.0.')  # every backbone has one of these
# Parts of a whole model, by the beginnings of their names.
PARTS = {'detector': ('rpn_head.', 'roi_head.', 'bbox_head.'), 'segmenter': ('decode_head.',)}
STATES = ('optimizer', 'lr_scheduler', 'param_schedulers', 'scaler', 'message_hub')
FIRST = 3  # number of keys in the summary of a file


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of known weights; the header is ``COLUMNS``."""
    for name, entry in KNOWN.items():
        where = _where(name, entry)
        yield name, entry.holds, entry.model, entry.size, entry.licence, where


def facts_of_name(name: str) -> dict[str, str]:
    """Return everything that the table says about a name.

    Raises:
        UserError: there is no such name.
    """
    entry = entry_of(name)
    if entry is None:
        raise UserError(
            f'no known weights have the name {name}; rapidnet weights list shows all names'
        )
    facts = {
        'name': name,
        'model': entry.model,
        'holds': entry.holds,
        'config': entry.config,
        'place': entry.url,
        'size': entry.size,
        'SHA-256': f'{entry.sha256}...' if len(entry.sha256) == 8 else entry.sha256,
        'licence': entry.licence,
        'accuracy': entry.accuracy,
        'here': str(local_file(name, entry) or 'no'),
    }
    facts = {key: value or 'not known' for key, value in facts.items()}
    remarks = {'note': entry.note, 'also at': ', '.join(entry.others)}
    return facts | {key: value for key, value in remarks.items() if value}


def facts_of_file(source: str) -> tuple[dict[str, str], list[str]]:
    """Return the facts about a checkpoint, and its tensors with their shapes, one per line.

    Raises:
        UserError: it cannot be read.
    """
    path = locate(source)
    content = read_checkpoint(path)
    state = state_of(content, source)
    lines = [f'{key}  {tuple(value.shape)}' for key, value in state.items()]
    return facts_of_content(content, state, path), lines


def facts_of_content(
    content: Mapping[str, Any], state: Mapping[str, Tensor], path: Path
) -> dict[str, str]:
    """Return the facts about a checkpoint that has been read.

    Args:
        content: the whole content of the file.
        state: its tensors.
        path: the file.
    """
    weights = to_ours(state)
    digest, size = sha256_of(path), path.stat().st_size
    first = ', '.join(list(state)[:FIRST])
    numbers = sum(tensor.numel() for tensor in state.values())
    return {
        'file': str(path),
        'size': f'{size:,} bytes, {kind_of(path)}',
        'SHA-256': digest,
        'known as': ', '.join(_names_of(digest)) or 'not in the table',
        'names': f'of {weights.family}' if weights.family else 'ours, or of another package',
        'backbone': ' or '.join(_variants(weights)) or 'not known',
        'holds': _kind(weights),
        'tensors': f'{len(state)} ({numbers:,} numbers): {first}, ...',
        'weights': _averaging(content),
        'classes': _classes(content),
        'training': _training(content),
    }


def _where(name: str, entry: Known) -> str:
    """Return where the file of a name is, in a few words."""
    if path := local_file(name, entry):
        return str(path) if path.parent == FOLDER else 'in the cache'
    if not entry.place:
        return 'no public file known'
    return 'to fetch' if entry.can_be_fetched else 'by hand, see list NAME'


def _names_of(digest: str) -> list[str]:
    """Return the names in the table that have the SHA-256 of a file."""
    return [name for name, e in KNOWN.items() if e.sha256 and digest.startswith(e.sha256)]


def _variants(weights: Weights) -> list[str]:
    """Return the backbones of this package that the weights fill."""
    for place in PLACES:
        inside = {k.removeprefix(place): v for k, v in weights.state.items() if k.startswith(place)}
        if not any(key.startswith(STEMS) for key in inside):
            continue
        for family in FAMILIES:
            if variants := family.variants_of(inside):
                return [f'{family.__name__} {variant}' for variant in variants]
    return []


def _kind(weights: Weights) -> str:
    for kind, beginnings in PARTS.items():
        if any(key.startswith(beginnings) for key in weights.state):
            return f'a {kind}'
    has_head = weights.head or any(key.startswith('head.') for key in weights.state)
    return 'a classifier' if has_head or weights.dropped else 'a backbone'


def _averaging(content: Mapping[str, Any]) -> str:
    wrapper = wrapper_of(content)
    if wrapper in AVERAGED or 'ema_state_dict' in content:
        return f'averaged over the training ({wrapper})'
    return f'averaged or not is not known ({wrapper or "at the top of the file"})'


def _classes(content: Mapping[str, Any]) -> str:
    classes = (dataset_meta(content) or {}).get('classes', ())
    return f'{len(classes)}: {", ".join(classes[:8])}' if classes else 'not named'


def _training(content: Mapping[str, Any]) -> str:
    """Return which state of a training the file has; --resume needs it."""
    parts = [key for key in STATES if content.get(key)]
    meta = content.get('meta') if isinstance(content.get('meta'), Mapping) else {}
    steps = {key: meta.get(key, content.get(key)) for key in ('epoch', 'iter')}
    counts = [f'{key} {value}' for key, value in steps.items() if isinstance(value, int)]
    return ', '.join([*counts, *parts]) or 'no state of a training'
