import pytest

from rapidnet_mm.data.shapes.make import make_shapes
from rapidnet_mm.installation import FORCE_SAFE, FORCE_UNSAFE


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
