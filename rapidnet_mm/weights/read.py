"""Read checkpoint files, whoever wrote them, without ever running code from them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from .archive import DAMAGE, read_pickle, read_zip
from .download import sha256_of
from .kinds import damage, fault_of, kind_of
from .locate import locate
from .meta import with_plain_meta
from .safetensors_file import read_safetensors
from .values import ContentError, ForbiddenError

# With it torch refuses to unpickle objects; installation.forbid_unpickling sets it.
FORCE_SAFE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# MMEngine finds a loader by these. The last stands for files.
PREFIXES = (
    *('http://', 'https://', 'hf://', 'torchvision://', 'modelzoo://', 'open-mmlab://'),
    *('openmmlab://', 'mmcls://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://', ''),
)


def read_checkpoint(
    source: str | Path, map_location: Any = 'cpu', sha256: str | None = None
) -> dict[str, Any]:
    """Read a file that ``torch.save`` or safetensors wrote, without running code from it.

    Args:
        source: a file, a URL, or a name, see :func:`.locate.locate`.
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
        raise UserError(f'checkpoint {path} {damage(path, error)}') from error
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
