import os
import socket
import tempfile

import pytest

# huggingface_hub reads these when it is imported. Nobody listens on that port, and the cache of
# whoever runs the tests is not looked at.
HUB_CACHE = tempfile.TemporaryDirectory(prefix='hub-of-tests-')
os.environ |= {'HF_ENDPOINT': 'http://127.0.0.1:9', 'HF_HOME': HUB_CACHE.name}
os.environ.pop('HF_HUB_CACHE', None)

from rapidnet_mm.data.shapes.make import make_shapes  # noqa: E402
from rapidnet_mm.installation import FORCE_SAFE, FORCE_UNSAFE  # noqa: E402


@pytest.fixture(scope='session', autouse=True)
def no_network():
    """No test reaches another machine."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            pytest.fail(f'a test wants to reach {address}')
        return connect(self, address)

    def guarded_look_up(host, *arguments, **options):
        if not _is_here(host):
            pytest.fail(f'a test wants to reach {host}')
        return look_up(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, 'connect', guarded_connect)
        patch.setattr(socket, 'getaddrinfo', guarded_look_up)
        yield


def _is_here(host):
    return host in (None, '', 'localhost', '::1', socket.gethostname()) or str(host).startswith(
        '127.'
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """What is remembered of checked data stays out of the cache of whoever runs the tests."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache/rapidnet_mm'


@pytest.fixture(autouse=True)
def torch_s_own_reading(monkeypatch):
    """What commands forbid torch to read, they forbid in their test alone."""
    for name in (FORCE_SAFE, FORCE_UNSAFE):
        monkeypatch.setenv(name, '')  # so that monkeypatch restores it, even if it is not there
        monkeypatch.delenv(name)


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """A folder with ``data/shapes`` in it, small: 8 images to train on, 4 to evaluate."""
    folder = tmp_path_factory.mktemp('project')
    make_shapes(folder / 'data/shapes', train=8, val=4, size=(128, 96))
    return folder
