import pytest
from mmengine.registry import init_default_scope

from rapidnet_mm import models
from tests.examples import run_examples

CLASSES = {name: getattr(models, name) for name in models.__all__}
# These take configs of MMDetection's; configs/_base_/models/ssdlite.py has one of each.
WITHOUT = {'SSDLiteHead', 'DetectionTTA'}


@pytest.mark.parametrize('name', sorted(CLASSES.keys() - WITHOUT))
def test_the_example_of_every_model_gives_what_it_says(name):
    init_default_scope('mmpretrain')  # an earlier test may have left another one
    assert run_examples(CLASSES[name], CLASSES)
