"""Read checkpoint files, whoever wrote them, without ever running code from them."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..errors import UserError
from .archive import DAMAGE, check_zip, read_pickle, read_zip
from .download import downloaded, sha256_of
from .meta import with_plain_meta
from .safetensors_file import read_safetensors
from .values import ContentError, ForbiddenError

# With it torch refuses to unpickle objects; installation.forbid_unpickling sets it.
FORCE_SAFE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
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
    readers = {'safetensors': read_safetensors, 'zip': read_zip, 'pickle': read_pickle}
    kind = kind_of(path)
    if kind is None:
        raise UserError(f'checkpoint {path} ({path.stat().st_size} bytes) {fault_of(path)}')
    try:
        # None would put tensors where they were saved, which may be a GPU that is not here.
        content = readers[kind](path, map_location or 'cpu')
    except ForbiddenError as error:
        raise UserError(
            f'checkpoint {path} holds {error}, which could run code, so it was not read; if you '
            f'trust the person who made it: rapidnet convert --trust {path} OUT.safetensors'
        ) from error
    except ContentError as error:
        raise UserError(f'checkpoint {path} {error}; it was not read') from error
    except DAMAGE as error:
        raise UserError(f'checkpoint {path} {_damage(path, error)}') from error
    return with_plain_meta(_dict(content, path))


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
        content = _dict(torch.load(path, map_location='cpu', weights_only=False), path)
        return with_plain_meta(content)
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
    """Say what is wrong with a checkpoint file; None if it is whole."""
    kind = kind_of(path)
    if kind is None:
        with open(path, 'rb') as file:
            start = file.read(20)
        return 'is no checkpoint: ' + (f'it begins with {start!r}' if start else 'it is empty')
    checks = {'safetensors': read_safetensors, 'zip': check_zip, 'pickle': read_pickle}
    try:
        checks[kind](path)
    except ForbiddenError:
        return None  # who reads it will refuse it; whether it is whole is not known
    except ContentError as error:
        return str(error)
    except DAMAGE as error:
        return _damage(path, error)
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


def _dict(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(
            f'checkpoint {path} holds a {type(content).__name__}, not a dict of tensors'
        )
    return content


def _damage(path: Path, error: Exception) -> str:
    """Say that a file is damaged, as the end of a sentence that begins with the file."""
    size = path.stat().st_size
    with open(path, 'rb') as file:
        file.seek(max(0, size - 2**16))
        is_short = kind_of(path) == 'zip' and b'PK\5\6' not in file.read()
    if is_short or isinstance(error, EOFError):
        return f'is damaged: it is cut off ({size} bytes)'
    return (
        f'is damaged ({size} bytes): its parts do not fit together or have wrong checksums; '
        'copy or download it again'
    )
