import pytest

from rapidnet_mm import backbones
from tests.examples import run_examples

CLASSES = {name: getattr(backbones, name) for name in backbones.__all__}


@pytest.mark.parametrize('thing', [backbones, *CLASSES.values()], ids=lambda thing: thing.__name__)
def test_the_example_of_every_backbone_gives_what_it_says(thing):
    assert run_examples(thing, CLASSES)
