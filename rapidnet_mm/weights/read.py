"""Read checkpoint files, whoever wrote them, without ever running code from them."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import pathlib
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from safetensors.torch import load_file

from ..errors import UserError
from .download import downloaded, sha256_of

# With it torch refuses to unpickle objects; installation.forbid_unpickling sets it.
FORCE_SAFE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# The entry of our safetensors files that holds, as JSON, what torch.save files keep as 'meta'.
METADATA = 'rapidnet_mm'
# MMEngine finds a loader by these. The last stands for files.
PREFIXES = (
    *('http://', 'https://', 'torchvision://', 'modelzoo://', 'open-mmlab://', 'openmmlab://'),
    *('mmcls://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://', ''),
)


def read_checkpoint(
    source: str | Path, map_location: Any = 'cpu', sha256: str | None = None
) -> dict[str, Any]:
    """Read a file that ``torch.save`` or safetensors wrote, without running code from it.

    Args:
        source: a file, an http(s) URL (its file stays in the cache), or a name of MMEngine's, such
            as ``torchvision://resnet50`` or ``open-mmlab://detectron2/resnet50_caffe``.
        map_location: the device to read the tensors to.
        sha256: the SHA-256 that the file must have, 64 hexadecimal digits.

    Raises:
        UserError: the file is missing, damaged, not a checkpoint, has another SHA-256, or holds
            objects that could run code.
    """
    path = locate(source)
    if sha256 is not None:
        _check_sha256(path, sha256, is_download='://' in str(source))
    try:
        if kind_of(path) == 'safetensors':
            return _read_safetensors(path, map_location)
        with torch.serialization.safe_globals(_harmless()):
            # None would put tensors where they were saved, which may be a GPU that is not here.
            content = torch.load(path, map_location=map_location or 'cpu', weights_only=True)
    except Exception as error:  # torch raises half a dozen types here, all about this file
        raise UserError(f'checkpoint {path} {_reason(path, error)}') from error
    return _dict(content, path)


def unpickle(source: str | Path) -> dict[str, Any]:
    """Read a file that may run code while it is read. Only ``convert --trust`` calls this.

    Raises:
        UserError: the file is missing or damaged, or needs modules that are not installed.
    """
    path = locate(source)
    print(
        f'warning: {path} is read with --trust: it can run any code, with your rights',
        file=sys.stderr,
    )
    if kind_of(path) == 'safetensors':
        return read_checkpoint(path)
    forced = os.environ.pop(FORCE_SAFE, None)
    try:
        return _dict(torch.load(path, map_location='cpu', weights_only=False), path)
    except UserError:
        raise
    except Exception as error:  # the file decides what runs, so anything may be raised
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(f'checkpoint {path} cannot be read even with --trust: {reason}') from error
    finally:
        if forced is not None:
            os.environ[FORCE_SAFE] = forced


def load_from_checked(filename: str, map_location: Any = None) -> Mapping[str, Any]:
    """Replace MMEngine's loaders: these fall back to reading that runs code from the file."""
    content = read_checkpoint(filename, map_location)
    if not filename.startswith('mmcls://'):
        return content
    # These files hold classifiers, and MMEngine gives its caller the backbone alone.
    state = content.get('state_dict', content)
    inner = {k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}
    return {'state_dict': inner}


def locate(source: str | Path) -> Path:
    """Return the local file of a checkpoint. A URL is downloaded, if it is not in the cache.

    Raises:
        UserError: there is no such file, name or URL.
    """
    scheme, mark, name = str(source).partition('://')
    if mark and scheme not in ('http', 'https'):
        source = _look_up(scheme, name)
    if str(source).startswith(('http://', 'https://')):
        return downloaded(str(source), fault_of)
    path = Path(source).expanduser()
    if path.is_dir():
        raise UserError(f'checkpoint {path} is a folder; name a file in it')
    if not path.is_file():
        raise UserError(f'checkpoint {path} does not exist (or is not a file)')
    return path


def _look_up(scheme: str, name: str) -> str:
    """Return the URL or file of a name in one of MMEngine's lists."""
    readers = {
        'torchvision': mmengine_checkpoint.get_torchvision_models,
        'modelzoo': mmengine_checkpoint.get_torchvision_models,
        'open-mmlab': mmengine_checkpoint.get_external_models,
        'openmmlab': mmengine_checkpoint.get_external_models,
        'mmcls': mmengine_checkpoint.get_mmcls_models,
    }
    if scheme not in readers:
        raise UserError(
            f'checkpoint {scheme}://{name} cannot be read; give a file, a URL that begins with '
            f'http:// or https://, or a name that begins with {", ".join(readers)} and ://'
        )
    models = readers[scheme]()
    if readers[scheme] is mmengine_checkpoint.get_external_models:
        name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    if name not in models:
        near = difflib.get_close_matches(name, models, n=1, cutoff=0)[0]
        raise UserError(f'checkpoint {scheme}://{name}: no such name; the nearest is {near}')
    if '://' in models[name]:
        return models[name]
    return str(Path(mmengine_checkpoint._get_mmengine_home()) / models[name])


def kind_of(path: Path) -> str | None:
    """Return the format of a file, by its content.

    Returns:
        'zip' or 'pickle' (the new and the old format of torch), 'safetensors', or None.
    """
    with open(path, 'rb') as file:
        head = file.read(9)
    # safetensors: the length of the header in eight bytes, the lowest first, then the header. This
    # test comes first, because such a length may begin like the other formats.
    if head[5:] == b'\0\0\0{':
        return 'safetensors'
    if head.startswith(b'PK'):
        return 'zip'
    return 'pickle' if head.startswith(b'\x80') else None


def fault_of(path: Path) -> str | None:
    """Say what is wrong with a checkpoint file, None if it looks whole; reads only parts of it."""
    kind = kind_of(path)
    if kind is None:
        with open(path, 'rb') as file:
            start = file.read(20)
        return 'is no checkpoint: ' + (f'it begins with {start!r}' if start else 'it is empty')
    if kind == 'zip' and not zipfile.is_zipfile(path):
        return 'is cut off'
    if kind == 'safetensors':
        try:
            with safetensors.safe_open(path, 'pt'):  # compares the length with the header
                pass
        except safetensors.SafetensorError:
            return 'is cut off'
    return None


def _check_sha256(path: Path, expected: str, is_download: bool) -> None:
    if not re.fullmatch(r'[0-9a-fA-F]{64}', str(expected)):
        raise UserError(f'sha256={expected!r} of checkpoint {path} is not 64 hexadecimal digits')
    actual = sha256_of(path)
    if actual != expected.lower():
        message = (
            f'checkpoint {path} is another file than the config expects: its SHA-256 is {actual}, '
            f'not {expected.lower()}'
        )
        raise UserError(message + ('; delete it to download it again' if is_download else ''))


def _read_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    with safetensors.safe_open(path, 'pt') as file:
        metadata = file.metadata() or {}
    content = {'state_dict': load_file(path, device=str(device))}
    if METADATA in metadata:
        content['meta'] = json.loads(metadata[METADATA])
    return content


def _harmless() -> list[Any]:
    """Return the types that trainings keep beside weights and that cannot run code.

    A pair is what to use, and the name that files have for it.
    """
    # NumPy pickles arrays and numbers by these functions. The versions name the module differently.
    functions = [
        (function, f'{module}.{function.__name__}')
        for function in (np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0])
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    ]
    # Paths among the arguments of a training. Windows can read only the pure type. Python 3.13
    # names the module differently.
    paths = [
        (pathlib.PurePosixPath, f'{module}.{kind}')
        for kind in ('PosixPath', 'PurePosixPath')
        for module in ('pathlib', 'pathlib._local')
    ]
    dtypes = {type(np.dtype(kind)) for kind in 'fdilqIQ?bBhHe'}
    return [
        argparse.Namespace,
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *dtypes,
        *functions,
        *paths,
        (_history_method, 'builtins.getattr'),
    ]


def _history_method(owner: type, name: str) -> Any:
    """Stand in for ``getattr``: a pickled HistoryBuffer may get its own statistics, no more."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise AttributeError(f'{name} of {owner} is not allowed in a checkpoint')
    return getattr(owner, name)


def _dict(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(
            f'checkpoint {path} holds a {type(content).__name__}, not a dict of tensors'
        )
    return content


def _reason(path: Path, error: Exception) -> str:
    """Say why a file could not be read, as the end of a sentence that begins with the file."""
    forbidden = re.search(r'(?:GLOBAL|global) ([\w.]+)', str(error))
    if 'unsupported' in str(error).lower() and forbidden:
        return (
            f'holds {forbidden[1]}, which could run code, so it was not read; if you trust the '
            f'person who made it: rapidnet convert --trust {path} OUT.safetensors'
        )
    if path.stat().st_size == 0:
        return 'is empty'
    return (
        f'is not a checkpoint or is damaged ({path.stat().st_size} bytes): '
        'expected a whole file that torch.save or safetensors wrote'
    )
