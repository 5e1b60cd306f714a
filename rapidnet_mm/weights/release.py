"""Write checkpoints for others: converted, without the state of the training, with a card."""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..files import is_foreign, writable_file, write_output
from .content import AVERAGED, dataset_meta, state_of, wrapper_of
from .load import check_fit, weights_for
from .locate import local_path
from .read import read_checkpoint, unpickle
from .safetensors_file import packed_with_checksum
from .translate import to_ours

PACKAGES = (
    *('rapidnet_mm', 'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'),
    *('numpy', 'safetensors'),
)
UNMEASURED = 'Not measured.'


def convert(source: str, target: str | Path, trust: bool = False) -> str:
    """Write a checkpoint as safetensors. Published names become ours, if their family is known.

    Args:
        source: what :func:`.read.read_checkpoint` takes.
        target: the file to write.
        trust: read the source even if that runs code from it.

    Returns:
        A text that says what was done, with the SHA-256 of the new file.

    Raises:
        UserError: the source cannot be read, or the target cannot be written or is the source.
    """
    target = Path(target)
    if target.suffix != '.safetensors':
        raise UserError(f'{target}: the name of the file to write must end in .safetensors')
    if target.exists() and local_path(source).exists() and target.samefile(source):
        raise UserError(f'{target} is the file to read; write to another file')
    writable_file(target, 'the file to write:')
    content = unpickle(source) if trust else read_checkpoint(source)
    weights = to_ours(state_of(content, source)).as_classifier()
    digest = write_checked(weights.state, target, _meta(content))
    names = f'names of {weights.family} translated' if weights.family else 'names as they were'
    dropped = f', {len(weights.dropped)} heads left out' if weights.dropped else ''
    return f'{target}: {len(weights.state)} tensors, {names}{dropped}\nSHA-256 {digest}'


def publish(
    model: nn.Module,
    config: str,
    config_text: str,
    source: str,
    folder: str | Path,
    metrics: Mapping[str, Any] | None = None,
) -> tuple[Path, Path]:
    """Write a model for others into a folder: its weights, and a model card.

    Averaged weights are used if the checkpoint has any. The name of the weights has their hash.

    Args:
        model: what the config builds. It may be on the meta device: only names and shapes count.
        config: path of the config, for the card. The names of both files begin with its stem.
        config_text: the resolved config, for the card.
        source: path or URL of the checkpoint, which must fill the whole model.
        folder: where to write.
        metrics: what ``rapidnet test --out`` wrote.

    Returns:
        The paths of the weights and of the card.

    Raises:
        UserError: the checkpoint does not fill the model, or a file cannot be written.
    """
    content = read_checkpoint(source)
    weights = weights_for(model, content, source)
    state = {key: weights.state[key] for key in check_fit(model, weights, source).loaded}
    meta = _meta(content)
    digest = hashlib.sha256(packed(state, meta)).hexdigest()
    target = Path(folder, f'{Path(config).stem}-{digest[:8]}.safetensors')
    card = target.with_suffix('.md')
    if not metrics and card.exists() and _has_metrics(card):
        raise UserError(f'{card} has metrics, which would be lost; give --metrics, or delete it')
    if is_foreign(card):
        raise UserError(f'{card} was changed since it was written; move it away, or delete it')
    write_checked(state, target, meta)
    lines = _card(model, config, config_text, target, digest, content, metrics or {})
    write_output(''.join(f'{line}\n' for line in lines).encode(errors='backslashreplace'), card)
    return target, card


def _meta(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a released file keeps beside its weights: classes and palette, if known."""
    classes = dataset_meta(content)
    return {'dataset_meta': classes} if classes else None


def _has_metrics(card: Path) -> bool:
    return UNMEASURED not in card.read_text(encoding='utf-8').splitlines()


def write_checked(
    state: Mapping[str, Tensor], target: str | Path, meta: Mapping[str, Any] | None = None
) -> str:
    """Write a safetensors file, whole or not at all, and read it back.

    Returns:
        Its SHA-256.

    Raises:
        UserError: it cannot be written, or reading it back gives something else.
    """
    data = packed(state, meta)
    write_output(data, target)
    digest = hashlib.sha256(data).hexdigest()
    back = read_checkpoint(target, sha256=digest)['state_dict']
    if back.keys() != state.keys() or not all(_same(back[k], state[k]) for k in back):
        raise UserError(f'{target} was written, but reading it gives other tensors; check the disk')
    return digest


def packed(state: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of a safetensors file. The same content gives the same bytes.

    Args:
        state: tensors by name.
        meta: plain values to store with them; :func:`read_checkpoint` returns them under 'meta'.

    Raises:
        UserError: the format cannot hold such a tensor.
    """
    tensors = {}
    for name, value in state.items():
        if value.layout != torch.strided or value.is_quantized:
            raise UserError(f'{name} is a sparse or quantized tensor, which the format cannot hold')
        # The format has neither channels last nor tensors that share memory.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    try:
        return packed_with_checksum(tensors, meta or {})
    except KeyError as error:  # of the table of types in safetensors
        raise UserError(f'{error} is a type of number that the format cannot hold') from error


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal in every bit, NaN included."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    one, other = (t.detach().cpu().contiguous().flatten().view(torch.uint8) for t in (one, other))
    return one.equal(other)


def _card(
    model: nn.Module,
    config: str,
    config_text: str,
    target: Path,
    digest: str,
    content: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Iterator[str]:
    """Yield the lines of the model card, in Markdown."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    yield from (f'# {Path(config).stem}', '')
    yield from (
        f'- model: {type(model).__name__}, {parameters:,} parameters',
        f'- config: {config}',
    )
    yield f'- weights: {target.name}, {target.stat().st_size:,} bytes, {_kind(content)}'
    yield f'- SHA-256: {digest}'
    if training := _training(content):
        yield f'- training: {training}'
    yield from ('', '## Metrics', '')
    if metrics:
        yield from ('| metric | value |', '|---|---|')
        yield from (f'| {key} | {value} |' for key, value in _flat(metrics))
    else:
        yield UNMEASURED
    yield from ('', '## Commands', '', f'    {_command()}')
    yield f'    rapidnet test {config} {target.name}'
    yield from ('', '## Versions', '', *(f'- {line}' for line in _versions()))
    yield from ('', '## Config, in whole', '', '```python', config_text.rstrip(), '```')


def _command() -> str:
    """Return the command that is running, for a shell."""
    program, *arguments = sys.argv
    # The script of pip, and what ``python -m rapidnet_mm`` runs; others are run with Python.
    if Path(program).name in ('rapidnet', 'rapidnet.exe', '__main__.py'):
        return f'rapidnet {shlex.join(arguments)}'
    return f'python {shlex.join(sys.argv)}'


def _kind(content: Mapping[str, Any]) -> str:
    """Say whether the weights are averaged over the training."""
    # MMEngine's EMAHook saves the averaged weights as state_dict, and the others beside it.
    if 'ema_state_dict' in content or wrapper_of(content) in AVERAGED:
        return 'averaged over the training (EMA)'
    # Converted and released files hold only the weights, averaged or not.
    if 'meta' in content and 'optimizer' in content:
        return 'of one step, not averaged'
    return 'averaged or not is not known'


def _training(content: Mapping[str, Any]) -> str:
    """Say what a checkpoint tells about its training; '' if it tells nothing."""
    meta = content.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    keys = ('epoch', 'iter', 'seed', 'time', 'mmengine_version', 'mmdet_version', 'mmseg_version')
    return ', '.join(f'{key} {meta[key]}' for key in keys if meta.get(key) is not None)


def _flat(metrics: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, str]]:
    """Yield names and values of nested metrics as texts."""
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{prefix}{key} / ')
        else:
            yield f'{prefix}{key}', f'{value:.4f}' if isinstance(value, float) else str(value)


def _versions() -> Iterator[str]:
    """Yield the versions of the packages, under the names by which pip knows them.

    Two stacks share the import names, so these do not say what is installed.
    """
    yield f'Python {platform.python_version()}'
    owners = metadata.packages_distributions()
    for package in PACKAGES:
        name = owners.get(package, [package])[0]  # of the distribution
        version = getattr(sys.modules.get(package), '__version__', None)
        if version is None and package in owners:
            version = metadata.version(name)
        if version is not None:
            yield f'{name} {version}'
