"""Files of safetensors: read them, and know by a checksum when they are damaged.

The format has no checksum of its own. Ours keep one in the metadata: it is of all that the file
says, names, shapes and numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from .pickled import check_plain
from .values import ContentError

# The entry of our files that holds, as JSON, what torch.save files keep as 'meta'.
METADATA = 'rapidnet_mm'
CHECKSUM = 'sha256'  # the key in it
LARGEST_HEADER = 100_000_000  # bytes; the limit of the format


def read_safetensors(path: Path, place: Any = 'cpu') -> dict[str, Any]:
    """Return tensors under 'state_dict', and 'meta' if the file has that.

    Raises:
        ContentError: the checksum is another, or a name is there twice.
        ValueError: the file is damaged.
    """
    header, start = _header(path)
    try:
        device = place if isinstance(place, str | torch.device) else 'cpu'
        content: dict[str, Any] = {'state_dict': load_file(path, device=str(device))}
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    notes = header.get('__metadata__') or {}
    text = notes.get(METADATA)
    if text is None and any(f'"{CHECKSUM}": "' in note for note in notes.values()):
        raise ContentError('is damaged: its checksum is under another name')
    if text is not None:
        meta = json.loads(text, object_pairs_hook=_unique)
        expected = meta.pop(CHECKSUM, None)
        if expected is not None and expected != _checksum(header, meta, path, start):
            raise ContentError(
                'is damaged: its checksum is another than when it was written; '
                'copy or download it again'
            )
        if meta or expected is None:
            content['meta'] = meta
    check_plain(content)
    return content


def packed_with_checksum(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file. The same content gives the same bytes.

    Args:
        tensors: contiguous ones, none of which share memory.
        meta: plain values to keep beside them.
    """
    data = save(dict(tensors))
    length = int.from_bytes(data[:8], 'little')
    header = json.loads(data[8 : 8 + length])
    digest = hashlib.sha256(_text(header, meta))
    digest.update(data[8 + length :])
    # One entry, because the format does not keep the order of several.
    text = json.dumps({**meta, CHECKSUM: digest.hexdigest()}, sort_keys=True)
    return save(dict(tensors), {METADATA: text})


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return what a file says of its tensors, and where their numbers begin."""
    with open(path, 'rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        size = path.stat().st_size - 8
        if length > LARGEST_HEADER:
            raise ContentError(f'has a header of {length} bytes; the limit is {LARGEST_HEADER}')
        if length > size:
            raise EOFError('the header is longer than the file')
        header = json.loads(file.read(length), object_pairs_hook=_unique)
    ends = [entry['data_offsets'][1] for name, entry in header.items() if name != '__metadata__']
    if length + max(ends, default=0) > size:
        raise EOFError('the numbers are longer than the file')
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ContentError(f'has {twice[:80]} twice')
    return result


def _checksum(header: Mapping[str, Any], meta: Mapping[str, Any], path: Path, start: int) -> str:
    digest = hashlib.sha256(_text(header, meta))
    with open(path, 'rb') as file:
        file.seek(start)
        while chunk := file.read(2**22):
            digest.update(chunk)
    return digest.hexdigest()


def _text(header: Mapping[str, Any], meta: Mapping[str, Any]) -> bytes:
    """Return names, types, shapes and places of tensors, and what is beside them, in one order."""
    tensors = {name: entry for name, entry in header.items() if name != '__metadata__'}
    return json.dumps([tensors, meta], sort_keys=True).encode()
