"""Checkpoints for others: converted, stripped of the training, and with a card."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import UserError
from ..files import write_output
from .load import AVERAGED, check_fit, dataset_meta, to_ours, weights_for, weights_of, wrapper_of
from .read import METADATA, read_checkpoint, unpickle

PACKAGES = (
    *('rapidnet_mm', 'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'),
    *('numpy', 'safetensors'),
)
UNMEASURED = 'Not measured.'


def packed(state: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None) -> bytes:
    """A safetensors file, the same to the byte for the same content.

    Args:
        state: tensors by name.
        meta: plain values to go with them; :func:`read_checkpoint` returns them under 'meta'.

    Raises:
        UserError: a tensor of a kind that the format cannot hold.
    """
    tensors = {}
    for name, value in state.items():
        if value.layout != torch.strided or value.is_quantized:
            raise UserError(f'{name} is a sparse or quantized tensor; only plain ones can be kept')
        # Not channels last, and no memory in common with another tensor: the format has neither.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    # One entry alone, because the format does not keep the order of several.
    text = {METADATA: json.dumps(meta, sort_keys=True)} if meta else None
    return safetensors.torch.save(tensors, text)


def convert(source: str, target: str | Path, trust: bool = False) -> str:
    """Write a checkpoint as safetensors, under our names where they are known.

    Args:
        source: what :func:`rapidnet_mm.reading.read_checkpoint` takes.
        target: the file to write.
        trust: read it even if that runs code from it.

    Returns:
        What was done, with the SHA-256 of the new file.

    Raises:
        UserError: the source cannot be read, the target cannot be written or is the source.
    """
    target = Path(target)
    if target.suffix != '.safetensors':
        raise UserError(f'{target}: the file to write has to end in .safetensors')
    if target.exists() and Path(source).expanduser().exists() and target.samefile(source):
        raise UserError(f'{target} is the file to read; write to another')
    checkpoint = unpickle(source) if trust else read_checkpoint(source)
    weights = to_ours(weights_of(checkpoint, source)).as_classifier()
    classes = dataset_meta(checkpoint)
    digest = write_checked(weights.state, target, {'dataset_meta': classes} if classes else None)
    names = f'names of {weights.family} translated' if weights.family else 'names as they were'
    dropped = f', {len(weights.dropped)} heads left out' if weights.dropped else ''
    return f'{target}: {len(weights.state)} tensors, {names}{dropped}\nSHA-256 {digest}'


def write_checked(
    state: Mapping[str, Tensor], target: str | Path, meta: Mapping[str, Any] | None = None
) -> str:
    """Write a safetensors file in whole or not at all, and read it back; returns its SHA-256.

    Raises:
        UserError: it cannot be written, or does not read back as it was written.
    """
    data = packed(state, meta)
    write_output(data, target)
    digest = hashlib.sha256(data).hexdigest()
    back = read_checkpoint(target, sha256=digest)['state_dict']
    if back.keys() != state.keys() or not all(_same(back[k], state[k]) for k in back):
        raise UserError(f'{target} does not read back as it was written; is the disk in order?')
    return digest


def _same(one: Tensor, other: Tensor) -> bool:
    """To the bit, NaN included."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    one, other = (t.detach().cpu().contiguous().flatten().view(torch.uint8) for t in (one, other))
    return one.equal(other)


def publish(
    model: nn.Module,
    config: str,
    config_text: str,
    source: str,
    folder: str | Path,
    metrics: Mapping[str, Any] | None = None,
) -> tuple[Path, Path]:
    """Leave a model for others in a folder: weights without the training, and a card.

    The averaged weights are taken where there are any. The file is named after its content.

    Args:
        model: what the config builds; the meta device is enough, only names and shapes count.
        config: path of the config, for the card. Its stem begins the names of the files.
        config_text: the resolved config, for the card.
        source: the checkpoint, which has to fill the whole model.
        folder: where the files go.
        metrics: what tools/test.py measured.

    Returns:
        The files of the weights and of the card.

    Raises:
        UserError: the checkpoint does not fill the model, or a file cannot be written.
    """
    checkpoint = read_checkpoint(source)
    weights = weights_for(model, checkpoint, source)
    state = {key: weights.state[key] for key in check_fit(model, weights, source).taken}
    classes = dataset_meta(checkpoint)
    meta = {'dataset_meta': classes} if classes else None
    digest = hashlib.sha256(packed(state, meta)).hexdigest()
    target = Path(folder) / f'{Path(config).stem}-{digest[:8]}.safetensors'
    card = target.with_suffix('.md')
    if not metrics and card.exists() and UNMEASURED not in card.read_text().splitlines():
        raise UserError(f'{card} has metrics, which would be lost; give --metrics, or remove it')
    write_checked(state, target, meta)
    lines = _card(model, config, config_text, target, digest, checkpoint, metrics or {})
    write_output(('\n'.join(lines) + '\n').encode(), card)
    return target, card


def _card(
    model: nn.Module,
    config: str,
    config_text: str,
    target: Path,
    digest: str,
    checkpoint: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Iterator[str]:
    """The model card, in Markdown."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    yield from (f'# {Path(config).stem}', '')
    yield from (
        f'- model: {type(model).__name__}, {parameters:,} parameters',
        f'- config: {config}',
    )
    yield f'- weights: {target.name}, {target.stat().st_size:,} bytes, {_kind(checkpoint)}'
    yield f'- SHA-256: {digest}'
    if trained := _training(checkpoint):
        yield f'- training: {trained}'
    yield from ('', '## Metrics', '')
    if metrics:
        yield from ('| metric | value |', '|---|---|')
        yield from (f'| {key} | {value} |' for key, value in _flat(metrics))
    else:
        yield UNMEASURED
    yield from ('', '## Commands', '', f'    python {shlex.join(sys.argv)}')
    yield f'    python tools/test.py {config} {target.name}'
    yield from ('', '## Versions', '', *(f'- {line}' for line in _versions()))
    yield from ('', '## Config, in whole', '', '```python', config_text.rstrip(), '```')


def _kind(checkpoint: Mapping[str, Any]) -> str:
    # MMEngine's EMAHook saves the averaged weights as state_dict, and the others beside it.
    averaged = 'ema_state_dict' in checkpoint or wrapper_of(checkpoint) in AVERAGED
    if averaged:
        return 'averaged over the training (EMA)'
    # Converted or released files hold the weights alone, of whichever kind.
    is_training = 'meta' in checkpoint and 'optimizer' in checkpoint
    return 'of one step, not averaged' if is_training else 'averaged or not is not known'


def _training(checkpoint: Mapping[str, Any]) -> str:
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    wanted = ('epoch', 'iter', 'seed', 'time', 'mmengine_version', 'mmdet_version', 'mmseg_version')
    return ', '.join(f'{key} {meta[key]}' for key in wanted if meta.get(key) is not None)


def _flat(metrics: Mapping[str, Any], above: str = '') -> Iterator[tuple[str, str]]:
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{above}{key} / ')
        else:
            yield f'{above}{key}', f'{value:.4f}' if isinstance(value, float) else str(value)


def _versions() -> Iterator[str]:
    """Packages with the names of what was installed, because two stacks share the import names."""
    yield f'Python {platform.python_version()}'
    owners = metadata.packages_distributions()
    for package in PACKAGES:
        name = owners.get(package, [package])[0]
        version = getattr(sys.modules.get(package), '__version__', None)
        if version is None and package in owners:
            version = metadata.version(name)
        if version is not None:
            yield f'{name} {version}'
