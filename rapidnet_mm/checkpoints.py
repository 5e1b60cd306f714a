"""Published weights into our models: safe reading, translated names, nothing left out in silence.

A file is recognised by its keys, with the tables of :mod:`rapidnet_mm.name_tables`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from .errors import UserError
from .name_tables import NAME_TABLES, NameTable

# Where files keep their weights; averaged weights are what the papers measured, so they come first.
WRAPPERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')


def _history_method(owner: type, name: str) -> Any:
    """What a pickled HistoryBuffer asks ``getattr`` for: its own statistics, and nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise AttributeError(f'{name} of {owner} is not allowed in a checkpoint')
    return getattr(owner, name)


def _harmless() -> list[Any]:
    """Types that training states hold and that cannot run code."""
    # What NumPy's arrays and numbers are pickled by; a file names it as the version that wrote it.
    functions = [
        (function, f'{module}.{function.__name__}')
        for function in (np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0])
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    ]
    dtypes = {type(np.dtype(kind)) for kind in 'fdilqIQ?bBhHe'}
    return [
        argparse.Namespace,
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *dtypes,
        *functions,
        (_history_method, 'builtins.getattr'),
    ]


def read_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict[str, Any]:
    """Read a file that ``torch.save`` wrote, without ever running code from it.

    Raises:
        UserError: the file is missing, damaged, no checkpoint, or holds objects that could run
            code when read.
    """
    path = _downloaded(str(path)) if '://' in str(path) else Path(path).expanduser()
    if path.is_dir():
        raise UserError(f'checkpoint {path} is a folder; name a file in it')
    if not path.is_file():
        raise UserError(f'checkpoint {path} does not exist (or is not a file)')
    try:
        with torch.serialization.safe_globals(_harmless()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises half a dozen types here, all about this file
        raise UserError(f'checkpoint {path} {_reason(path, error)}') from error
    if not isinstance(checkpoint, dict):
        raise UserError(
            f'checkpoint {path} holds a {type(checkpoint).__name__}, not a dict of tensors'
        )
    return checkpoint


def _downloaded(url: str) -> Path:
    """The file behind a URL, from the cache of torch.hub where it is there already."""
    if not url.startswith(('http://', 'https://')):
        raise UserError(f'checkpoint {url}: only files and http(s) URLs can be read')
    path = Path(torch.hub.get_dir()) / 'checkpoints' / Path(urlparse(url).path).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path))  # appears in whole or not at all
        except OSError as error:  # no network, not found, disk full
            raise UserError(f'checkpoint {url} cannot be downloaded: {error}') from error
    return path


def _reason(path: Path, error: Exception) -> str:
    forbidden = re.search(r'(?:GLOBAL|global) ([\w.]+)', str(error))
    if 'Unsupported' in str(error) and forbidden:
        return (
            f'holds {forbidden[1]}, which could run code when read, so it was not read; '
            'take a file that holds tensors and plain values only'
        )
    if path.stat().st_size == 0:
        return 'is empty'
    return (
        f'is not a checkpoint or is damaged ({path.stat().st_size} bytes): '
        'expected a file that torch.save wrote in whole'
    )


def load_from_file(filename: str, map_location: Any = None) -> dict[str, Any]:
    """MMEngine's loader of local files, without its fallback that runs code from the file."""
    return read_checkpoint(filename, map_location)


CheckpointLoader.register_scheme('', loader=load_from_file, force=True)


def weights_of(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint under their own names, out of whatever wraps them.

    Raises:
        UserError: there is no dict of tensors in it.
    """
    inner = next((checkpoint[w] for w in WRAPPERS if isinstance(checkpoint.get(w), dict)), None)
    state = checkpoint if inner is None else inner
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(
            f'checkpoint {source} holds no weights: looked for tensors at its top '
            f'and under {", ".join(WRAPPERS)}; found {sorted(map(str, checkpoint))[:8]}'
        )
    return {key.removeprefix('module.'): value for key, value in tensors.items()}


def to_ours(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Translate published names, if they are; returns the state and the keys dropped on purpose.

    Understands a bare backbone or classifier, and a whole model with a backbone under
    ``backbone.``; our own names stay as they are.
    """
    for prefix in ('', 'backbone.'):
        keys = [key.removeprefix(prefix) for key in state if key.startswith(prefix)]
        for table in NAME_TABLES.values():
            if table.recognises(keys):
                return _translated(state, table, prefix)
    return dict(state), []


def _translated(
    state: Mapping[str, Tensor], table: NameTable, prefix: str
) -> tuple[dict[str, Tensor], list[str]]:
    ours, dropped = {}, []
    for key, value in state.items():
        name = table.to_ours(key.removeprefix(prefix)) if key.startswith(prefix) else None
        if name is not None:
            ours[prefix + name] = value
        elif prefix:  # necks and heads keep their names
            ours[key] = value
        else:
            dropped.append(key)
    return ours, dropped


class Coverage(NamedTuple):
    """How a state dict fits a model: names of the model's tensors, and what is left over."""

    taken: list[str]
    missing: list[str]
    misshapen: list[str]
    unused: list[str]

    @property
    def complete(self) -> bool:
        """Whether every tensor of the model was found in its shape."""
        return not self.missing and not self.misshapen

    def __str__(self) -> str:
        total = len(self.taken) + len(self.missing) + len(self.misshapen)
        parts = [f'{len(self.taken)} of {total} tensors taken']
        for label in ('missing', 'misshapen', 'unused'):
            names = getattr(self, label)
            if names:
                word = 'of another shape' if label == 'misshapen' else label
                more = ', ...' if len(names) > 2 else ''
                parts.append(f'{len(names)} {word} ({", ".join(names[:2])}{more})')
        return ', '.join(parts)


def fit(module: nn.Module, state: Mapping[str, Tensor]) -> Coverage:
    """Copy what fits of ``state`` into ``module``, and tell what did and what did not."""
    own = module.state_dict()
    # Counters that old files lack, and that nothing reads with BatchNorm's default momentum.
    wanted = {k: v for k, v in own.items() if k in state or not k.endswith('num_batches_tracked')}
    missing = [k for k in wanted if k not in state]
    misshapen = [k for k in wanted if k in state and _shape(state[k]) != _shape(wanted[k])]
    taken = [k for k in wanted if k in state and k not in set(misshapen)]
    module.load_state_dict({key: state[key] for key in taken}, strict=False)
    return Coverage(taken, missing, misshapen, [key for key in state if key not in own])


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape; a single number may be stored as ``()`` or ``(1,)``, and torch reads both."""
    return () if tensor.shape == (1,) else tuple(tensor.shape)


def variant_of(module: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """Which variant of ``module``'s family the state dict belongs to, such as ``arch='ti'``."""
    shapes = {key: value.shape for key, value in state.items()}
    for name, arguments in getattr(type(module), 'variants', {}).items():
        with torch.device('meta'):
            own = type(module)(**arguments).state_dict()
        if all(shapes.get(k) == v.shape for k, v in own.items() if 'num_batches' not in k):
            return name
    return None


def load_pretrained(
    backbone: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    map_location: Any = 'cpu',
    allow_partial: bool = False,
) -> Coverage:
    """Fill a backbone from a published or own file; what ``init_cfg`` of type Pretrained calls.

    Args:
        backbone: one of this package's backbones.
        checkpoint: path of a backbone, classifier, detector or segmenter checkpoint.
        prefix: take only what lies under this name, such as ``'backbone'``; found by itself.
        map_location: where to put the tensors first.
        allow_partial: accept a file that does not fill the whole backbone.

    Raises:
        UserError: a file that cannot be read, or does not fill the backbone.
    """
    state, dropped = to_ours(weights_of(read_checkpoint(checkpoint, map_location), checkpoint))
    if prefix is None:
        prefix = _prefix_of(backbone, state)
    if prefix:
        prefix = prefix.rstrip('.') + '.'
        dropped += [key for key in state if not key.startswith(prefix)]
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    name = type(backbone).__name__
    coverage = fit(backbone, state)
    if not coverage.complete:
        _refuse_other_variant(backbone, state, checkpoint)
    told = f'{name} from {checkpoint}: {coverage}'
    if dropped:
        told += f', {len(dropped)} left out on purpose (heads)'
    if not coverage.complete and not allow_partial:
        raise UserError(f'{told}; set allow_partial=True in init_cfg if that is meant')
    print_log(told, logger='current')
    return coverage


def _prefix_of(backbone: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Where in the state the backbone lies: at the top, in a model, or tapped in a model."""
    own = backbone.state_dict()
    prefixes = ('', 'backbone.', 'backbone.backbone.')
    return max(prefixes, key=lambda prefix: sum(prefix + key in state for key in own))


def _refuse_other_variant(backbone: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Name the variant that a file is of. It builds every variant, so ask only where it matters."""
    variant = variant_of(backbone, state)
    name = type(backbone).__name__
    own = variant_of(backbone, backbone.state_dict())
    if variant and variant != own:
        raise UserError(f'checkpoint {source} is a {name} {variant}, but the config has {own}')


def fill_model(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str, require: str = ''
) -> Coverage:
    """Fill a whole detector, segmenter or classifier.

    Args:
        model: what the config builds.
        checkpoint: what :func:`read_checkpoint` returned, of any supported MM version.
        source: where it came from, for messages.
        require: tensors under this name must all be there; '' is the whole model, 'backbone.'
            leaves heads of another number of classes as they were initialised.

    Raises:
        UserError: tensors that are required are missing or of another shape.
    """
    state, _ = to_ours(weights_of(checkpoint, source))
    coverage = fit(model, state)
    if not coverage.complete and hasattr(model, 'backbone'):
        inner = {
            key.removeprefix('backbone.'): value
            for key, value in state.items()
            if key.startswith('backbone.')
        }
        _refuse_other_variant(model.backbone, inner, source)
    told = f'{type(model).__name__} from {source}: {coverage}'
    if any(name.startswith(require) for name in coverage.missing + coverage.misshapen):
        raise UserError(f'{told}; the checkpoint belongs to another model than the config')
    print_log(told, logger='current')
    return coverage
