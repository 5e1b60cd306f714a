"""The examples in the docstrings of this room are true."""

import doctest
import importlib
import pkgutil

import pytest

from rapidnet_mm import weights

FILES = [module.name for module in pkgutil.iter_modules(weights.__path__)]


@pytest.mark.parametrize('name', FILES)
def test_examples_of_a_file_are_true(name):
    module = importlib.import_module(f'rapidnet_mm.weights.{name}')
    assert doctest.testmod(module).failed == 0


def test_the_overview_of_the_room_has_true_examples():
    result = doctest.testmod(weights)
    assert result.failed == 0
    assert result.attempted > 5
