"""Find the local file of a checkpoint, and fetch it if it is not on this machine.

A config or a command names a checkpoint by its file, or by one of these:

===========================  ====================================================================
``rapidnet_m``               a name in the table of :mod:`.known`
``timm/rexnet_100.nav_in1k`` a model of timm on the Hugging Face Hub; timm is not needed
``hf://OWNER/REPO/FILE``     a file on that hub; ``REPO@REVISION`` chooses a revision
``https://...``              a URL
``torchvision://resnet50``   a name in one of MMEngine's lists
===========================  ====================================================================

Weights with a name are read from the folder ``checkpoints``, else from the cache, else they are
fetched. The SHA-256 of a fetched file is checked if the table has it.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import stat
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from mmengine.runner import checkpoint as mmengine_checkpoint

from ..errors import UserError
from .download import HASH_IN_NAME, cached_path, downloaded, sha256_of
from .hub import HubFile, cache_folder, cached_file, fetched_file, hub_file, whole_cached_file
from .kinds import fault_of
from .known import KNOWN, Known, entry_of, file_names

FOLDER = Path('checkpoints')  # where people put files by hand


def locate(source: str | Path) -> Path:
    """Return the local file of a checkpoint, fetched if it is not on this machine.

    Args:
        source: see the top of this file.

    Raises:
        UserError: there is no such file, name or URL, it cannot be fetched, or the fetched file has
            another SHA-256 than the table.
    """
    text = str(source)
    path = local_path(source)
    if path.is_file():
        return path
    if entry := entry_of(text):
        return _named(text, entry)
    scheme, mark, name = text.partition('://')
    if scheme == 'hf' and mark:
        return _from_hub(hub_file(text))
    if mark and scheme not in ('http', 'https'):
        text = _look_up(scheme, name)
    if text.startswith(('http://', 'https://')):
        return downloaded(text, fault_of)
    path = local_path(text)
    if path.is_dir():
        raise UserError(f'checkpoint {path} is a folder; name a file in it')
    if not path.is_file():
        raise UserError(f'checkpoint {path} does not exist (or is not a file){_nearest(text)}')
    return path


def local_path(source: str | Path) -> Path:
    """Return a path with ``~`` replaced; of a user who is not known it stays as it is."""
    return Path(os.path.expanduser(source))


def locate_start(source: str | Path, owner: str) -> Path:
    """Return the local file of the weights that a part of a model starts from.

    Args:
        source: as for :func:`locate`.
        owner: class of that part, for messages.

    Raises:
        UserError: as :func:`locate`; the message says how to train without these weights.
    """
    text = str(source)
    is_path = '://' not in text and not entry_of(text)
    if is_path and not local_path(text).exists():
        raise UserError(
            f'init_cfg of {owner}: {text} does not exist; put the ImageNet weights there, name '
            f'another file in its checkpoint, or start without (--from-scratch, or init_cfg=None)'
            f'{_nearest(text)}'
        )
    try:
        return locate(source)
    except UserError as error:
        raise UserError(
            f'init_cfg of {owner}: {error}; to train without: --from-scratch (or init_cfg=None)'
        ) from error


def local_file(name: str, entry: Known) -> Path | None:
    """Return the file of weights with a name in ``checkpoints`` or the cache, else None."""
    if path := _in_folder(name, entry):
        return path
    if entry.place.startswith('hf://'):
        return cached_file(hub_file(entry.place))
    path = cached_path(entry.place) if entry.can_be_fetched else None
    return path if path and path.is_file() else None


def copy_into(name: str, path: Path, folder: str | Path) -> Path:
    """Copy the file of weights into a folder, whole or not at all.

    The copy gets a file name that :func:`locate` looks for in ``checkpoints``.

    Args:
        name: the name that was given to :func:`locate`.
        path: the file.
        folder: an existing folder.

    Raises:
        UserError: it cannot be written, or another file has its name.
    """
    entry = entry_of(name)
    target = Path(folder, path.name)
    if entry is not None and path.name not in file_names(name, entry):
        target = Path(folder, name.rpartition('/')[2] + path.suffix)
    try:
        if target.exists() and (target.samefile(path) or _same_content(target, path)):
            return target
        if os.path.lexists(target):
            raise UserError(
                f'{target} is there already, and it is another file than {name}; move it away, or '
                'choose another --out-dir'
            )
        _copy(path, target)
    except OSError as error:
        raise UserError(f'{target} cannot be written: {error.strerror}') from error
    return target


def _same_content(one: Path, other: Path) -> bool:
    return (
        one.is_file()
        and one.stat().st_size == other.stat().st_size
        and sha256_of(one) == sha256_of(other)
    )


def _copy(path: Path, target: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix='.part', delete=False) as part:
        try:
            with open(path, 'rb') as source:
                shutil.copyfileobj(source, part)
            part.flush()
            os.chmod(part.name, stat.S_IMODE(path.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR)
            os.replace(part.name, target)
        except BaseException:
            os.unlink(part.name)
            raise


def _named(name: str, entry: Known) -> Path:
    """Return the file of weights with a name."""
    if path := _in_folder(name, entry):
        _check_own_hash(path)
        return path
    names = file_names(name, entry)
    searched = f'checkpoint {name}: there is no {" or ".join(names)} in {FOLDER}/'
    by_hand = f'{FOLDER / names[0]}'
    if not entry.place:
        recipe = f' with configs/{entry.config}.py' if entry.config else ''
        raise UserError(
            f'{searched}; {entry.note}; train it{recipe}, and put the file at {by_hand}'
        )
    if not entry.can_be_fetched:
        raise UserError(
            f'{searched}; no program can fetch it: open {entry.place} in a browser, and put the '
            f'file at {by_hand}'
        )
    if entry.place.startswith('hf://'):
        path = _from_hub(hub_file(entry.place), f'{searched} nor in the cache; ', by_hand)
    else:
        try:
            path = downloaded(entry.place, fault_of)
        except UserError as error:
            reason = str(error).removeprefix('checkpoint ')
            raise UserError(f'{searched} nor in the cache; {reason}{_remark(entry)}') from error
    _check_table(name, entry, path)
    return path


def _from_hub(file: HubFile, searched: str = '', by_hand: str = '') -> Path:
    """Return a file of the hub; ``searched`` and ``by_hand`` are the ends of an error message."""
    try:
        if path := whole_cached_file(file):
            return path
        print(f'fetching {file.url} into {cache_folder()}', file=sys.stderr)
        return fetched_file(file, fault_of)
    except UserError as error:
        place = f'put the file at {by_hand}' if by_hand else 'name the file'
        advice = f'get it there with another program, and {place}'
        raise UserError(f'{searched or "checkpoint "}{error}; {advice}') from error


def _in_folder(name: str, entry: Known) -> Path | None:
    paths = [FOLDER / file for file in file_names(name, entry)]
    return next((path for path in paths if path.is_file()), None)


def _check_own_hash(path: Path) -> None:
    """Check a file whose name contains the first digits of its SHA-256.

    Raises:
        UserError: the digits do not match, so the file is damaged or is another file.
    """
    match = HASH_IN_NAME.search(path.name)
    if match and not _digest(path).startswith(match[1]):
        raise UserError(
            f'checkpoint {path}: its SHA-256 is {_digest(path)}, which does not begin with the '
            f'{match[1]} of its name; it is damaged or another file: get it again'
        )


def _check_table(name: str, entry: Known, path: Path) -> None:
    """Compare the SHA-256 of a fetched file with the table.

    Raises:
        UserError: they differ.
    """
    if not _digest(path).startswith(entry.sha256):
        raise UserError(
            f'checkpoint {name}: {path} has the SHA-256 {_digest(path)}, not {entry.sha256}: the '
            'file has been replaced since; to use it nevertheless, name this file instead of '
            f'{name}; to fetch it again, delete it'
        )


def _digest(path: Path) -> str:
    state = path.stat()
    return _digest_of(path.resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of(path: Path, size: int, changed: int) -> str:  # noqa: ARG001  (size and time are keys of the cache)
    return sha256_of(path)


def _remark(entry: Known) -> str:
    return f' ({entry.note})' if entry.note else ''


def _nearest(text: str) -> str:
    """Return a remark about the nearest name in the table; '' if the text looks like a path."""
    if not re.fullmatch(r'\w+', text):
        return ''
    names = difflib.get_close_matches(text, KNOWN, n=1, cutoff=0.75)
    return f'; the nearest name of known weights is {names[0]}' if names else ''


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
            f'http:// or https://, or a name that begins with {", ".join(["hf", *readers])} and ://'
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
