"""Checkpoint files, whoever wrote them: from anywhere, and without ever running code from them."""

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
from ..installation import FORCE_SAFE
from .download import downloaded, sha256_of

METADATA = 'rapidnet_mm'  # of our safetensors files: json of what torch.save files keep as 'meta'
# By what MMEngine finds a loader; the last stands for files.
PREFIXES = (
    *('http://', 'https://', 'torchvision://', 'modelzoo://', 'open-mmlab://', 'openmmlab://'),
    *('mmcls://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://', ''),
)


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
    # A folder among the arguments of a training; Python 3.13 names the module differently.
    paths = [
        (getattr(pathlib, kind), f'{module}.{kind}')
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


def read_checkpoint(
    source: str | Path, map_location: Any = 'cpu', sha256: str | None = None
) -> dict[str, Any]:
    """Read what ``torch.save`` or safetensors wrote, without ever running code from it.

    Args:
        source: a file, an http(s) URL (kept for the next time), or a name of MMEngine's such as
            ``torchvision://resnet50`` or ``open-mmlab://detectron2/resnet50_caffe``.
        map_location: where to put the tensors.
        sha256: what the file's SHA-256 has to be, 64 hexadecimal digits.

    Raises:
        UserError: the file is missing, damaged, no checkpoint, not the one that is meant, or
            holds objects that could run code when read.
    """
    path = locate(source)
    if sha256 is not None:
        _check_sum(path, sha256, '; delete it to download it again' if '://' in str(source) else '')
    try:
        if kind_of(path) == 'safetensors':
            return _read_safetensors(path, map_location)
        with torch.serialization.safe_globals(_harmless()):
            # None would put tensors where they were saved, which may be a GPU that is not here.
            checkpoint = torch.load(path, map_location=map_location or 'cpu', weights_only=True)
    except Exception as error:  # torch raises half a dozen types here, all about this file
        raise UserError(f'checkpoint {path} {_reason(path, error)}') from error
    return _dict(checkpoint, path)


def unpickle(source: str | Path) -> dict[str, Any]:
    """Read a file that may run code while it is read. Nothing but an explicit wish calls this.

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
    except Exception as error:  # it runs whatever the file says
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(f'checkpoint {path} cannot be read even with --trust: {reason}') from error
    finally:
        if forced is not None:
            os.environ[FORCE_SAFE] = forced


def _dict(checkpoint: Any, path: Path) -> dict[str, Any]:
    if not isinstance(checkpoint, dict):
        raise UserError(
            f'checkpoint {path} holds a {type(checkpoint).__name__}, not a dict of tensors'
        )
    return checkpoint


def _check_sum(path: Path, sha256: str, way_out: str) -> None:
    if not re.fullmatch(r'[0-9a-fA-F]{64}', str(sha256)):
        raise UserError(f'sha256={sha256!r} of checkpoint {path} is not 64 hexadecimal digits')
    if (found := sha256_of(path)) != sha256.lower():
        raise UserError(
            f'checkpoint {path} is not the file that is meant: its SHA-256 is {found}, '
            f'and not {sha256.lower()}{way_out}'
        )


def kind_of(path: Path) -> str | None:
    """'zip' or 'pickle' (torch's new and old format), 'safetensors', or None; by the content."""
    with open(path, 'rb') as file:
        head = file.read(9)
    # A length below 2^40 in eight bytes, the lowest first, and the header of that length. It comes
    # first because such a length may begin like the others.
    if head[5:] == b'\0\0\0{':
        return 'safetensors'
    if head.startswith(b'PK'):
        return 'zip'
    return 'pickle' if head.startswith(b'\x80') else None


def fault_of(path: Path) -> str | None:
    """What is wrong with the outline of a checkpoint file, None if it looks whole."""
    kind = kind_of(path)
    if kind is None:
        return 'is no checkpoint: ' + ('it is empty' if not path.stat().st_size else _text(path))
    if kind == 'zip' and not zipfile.is_zipfile(path):
        return 'is cut off'
    if kind == 'safetensors':
        try:
            with safetensors.safe_open(path, 'pt'):  # compares the length with the header
                pass
        except safetensors.SafetensorError:
            return 'is cut off'
    return None


def _text(path: Path) -> str:
    with open(path, 'rb') as file:
        return f'it begins with {file.read(20)!r}'


def _read_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    with safetensors.safe_open(path, 'pt') as file:
        metadata = file.metadata() or {}
    content = {'state_dict': load_file(path, device=str(device))}
    if METADATA in metadata:
        content['meta'] = json.loads(metadata[METADATA])
    return content


def _reason(path: Path, error: Exception) -> str:
    forbidden = re.search(r'(?:GLOBAL|global) ([\w.]+)', str(error))
    if 'unsupported' in str(error).lower() and forbidden:
        return (
            f'holds {forbidden[1]}, which could run code when read, so it was not read; if you '
            f'trust who made it: python tools/convert_checkpoint.py --trust {path} OUT.safetensors'
        )
    if path.stat().st_size == 0:
        return 'is empty'
    return (
        f'is not a checkpoint or is damaged ({path.stat().st_size} bytes): '
        'expected a file that torch.save or safetensors wrote in whole'
    )


def locate(source: str | Path) -> Path:
    """The local file of a checkpoint, downloaded first if it has to be.

    Raises:
        UserError: there is no such file, name or URL.
    """
    scheme, mark, name = str(source).partition('://')
    if mark and scheme not in ('http', 'https'):
        source = _looked_up(scheme, name)
    if str(source).startswith(('http://', 'https://')):
        return downloaded(str(source), fault_of)
    path = Path(source).expanduser()
    if path.is_dir():
        raise UserError(f'checkpoint {path} is a folder; name a file in it')
    if not path.is_file():
        raise UserError(f'checkpoint {path} does not exist (or is not a file)')
    return path


def _looked_up(scheme: str, name: str) -> str:
    """URL or file of a name in one of MMEngine's lists."""
    lists = {
        'torchvision': mmengine_checkpoint.get_torchvision_models,
        'modelzoo': mmengine_checkpoint.get_torchvision_models,
        'open-mmlab': mmengine_checkpoint.get_external_models,
        'openmmlab': mmengine_checkpoint.get_external_models,
        'mmcls': mmengine_checkpoint.get_mmcls_models,
    }
    if scheme not in lists:
        raise UserError(
            f'checkpoint {scheme}://{name}: only files, URLs of http and https, and names of '
            f'{", ".join(lists)} can be read'
        )
    known = lists[scheme]()
    if lists[scheme] is mmengine_checkpoint.get_external_models:
        name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
        raise UserError(f'checkpoint {scheme}://{name}: no such name; the nearest is {near}')
    if '://' in known[name]:
        return known[name]
    return str(Path(mmengine_checkpoint._get_mmengine_home()) / known[name])


def load_from_checked(filename: str, map_location: Any = None) -> Mapping[str, Any]:
    """MMEngine's loader for every prefix, without its fallback that runs code from the file."""
    content = read_checkpoint(filename, map_location)
    if not filename.startswith('mmcls://'):
        return content
    state = content.get('state_dict', content)  # of a classifier, and hosts want its backbone
    kept = {k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}
    return {'state_dict': kept}
