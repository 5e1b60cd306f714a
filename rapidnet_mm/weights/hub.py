"""Files on the Hugging Face Hub, through huggingface_hub, which retries and locks its cache.

The environment variables of huggingface_hub work here: ``HF_HOME`` and ``HF_HUB_CACHE`` (where the
cache is), ``HF_ENDPOINT`` (a mirror), ``HF_HUB_OFFLINE``, ``HF_TOKEN`` and
``HF_HUB_DOWNLOAD_TIMEOUT``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError, one_line
from .download import sha256_of

LONGEST = 200  # characters of a reason; servers answer with whole pages
# Errors of huggingface_hub. Their class names are the same in all its versions.
REASONS = {
    'OfflineModeIsEnabled': 'HF_HUB_OFFLINE is set, so the hub is not asked',
    'GatedRepoError': 'its owner gives it only to people who log in (HF_TOKEN)',
    'RepositoryNotFoundError': 'the hub has no such repository, or it is not public',
    'RevisionNotFoundError': 'the repository has no such revision',
    'EntryNotFoundError': 'the repository has no such file',
    'RemoteEntryNotFoundError': 'the repository has no such file',
}


class HubFile(NamedTuple):
    """A file in a repository of the hub."""

    repository: str  # OWNER/REPO
    file: str
    revision: str = 'main'

    @property
    def url(self) -> str:
        """The address of the file for a browser."""
        # Imported late: it takes time.
        from huggingface_hub import constants

        return f'{constants.ENDPOINT}/{self.repository}/resolve/{self.revision}/{self.file}'


def cache_folder() -> Path:
    """Return the folder of the hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def hub_file(text: str) -> HubFile:
    """Parse ``hf://OWNER/REPO/FILE`` or ``hf://OWNER/REPO@REVISION/FILE``.

    Example:
        >>> hub_file('hf://SLDGroup/RapidNet/Detection/RapidNet_M_Detection.pth').file
        'Detection/RapidNet_M_Detection.pth'
        >>> hub_file('hf://timm/rexnet_100.nav_in1k@v1/model.safetensors').revision
        'v1'

    Raises:
        UserError: it has another form.
    """
    match = re.fullmatch(r'hf://([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)', text)
    if match is None or '..' in match[3].split('/'):
        raise UserError(f'checkpoint {text} must have the form hf://OWNER/REPO/FILE')
    return HubFile(match[1], match[3], match[2] or 'main')


def cached_file(file: HubFile) -> Path | None:
    """Return a file from the cache, unchecked and without a request; None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    try:
        path = try_to_load_from_cache(file.repository, file.file, revision=file.revision)
    except ValueError as error:  # not a valid name of a repository
        raise UserError(f'{file.url}: {one_line(error)}') from error
    return Path(path) if isinstance(path, str) and Path(path).is_file() else None


def whole_cached_file(file: HubFile) -> Path | None:
    """Return a file from the cache; None if it is not there. A damaged file is deleted."""
    path = cached_file(file)
    if path is not None and not _is_whole(path):
        _delete(path)
        return None
    return path


def fetched_file(file: HubFile, fault_of: Callable[[Path], str | None]) -> Path:
    """Fetch a file into the cache. A lost connection is resumed a few times.

    Args:
        file: the file on the hub.
        fault_of: returns what is wrong with a checkpoint file; None if it is whole.

    Raises:
        UserError: it cannot be fetched, or the fetched file is damaged. Damaged files are deleted.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        # Without a network this fails at once. The download itself would try for half a minute.
        get_hf_file_metadata(hf_hub_url(file.repository, file.file, revision=file.revision))
        path = Path(hf_hub_download(file.repository, file.file, revision=file.revision))
    # Different versions of huggingface_hub use different HTTP clients, with their own errors.
    except Exception as error:
        raise UserError(f'{file.url} cannot be fetched: {_reason(error)}') from error
    fault = fault_of(path)
    if not _is_whole(path):
        fault = 'has another SHA-256 than the hub says'
    if fault:
        _delete(path)
        raise UserError(f'{file.url} cannot be fetched: the file that arrived {fault}')
    return path


def _is_whole(path: Path) -> bool:
    """Return whether a file has the SHA-256 that the hub gives; True if the hub gives none.

    In the cache, the name of a large file is its SHA-256, and ``path`` is a link to that file.
    """
    name = path.resolve().name
    return not re.fullmatch(r'[0-9a-f]{64}', name) or sha256_of(path) == name


def _delete(path: Path) -> None:
    """Delete a file from the cache, so that the next call fetches it again."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _reason(error: BaseException) -> str:
    """Return what went wrong, on one line."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    for part in chain:
        if reason := REASONS.get(type(part).__name__):
            return reason
    for part in chain:
        status = getattr(getattr(part, 'response', None), 'status_code', None)
        if status:
            return f'the server says {status}'
    # The hub's own message about a lost connection is general advice; its cause is specific.
    part = chain[1] if type(error).__name__ == 'LocalEntryNotFoundError' and chain[1:] else error
    return (one_line(part) or type(part).__name__)[:LONGEST]
