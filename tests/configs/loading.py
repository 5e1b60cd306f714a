"""What the tests of configs share."""

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope


def on(paths):
    """Run a test once for each config."""
    return pytest.mark.parametrize('path', paths, ids=[path.stem for path in paths])


def load(path):
    """A config as MMEngine reads it, with its scope as the default."""
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg
