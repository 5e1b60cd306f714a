"""The inference form of a BatchNorm that comes after an activation."""

import pytest
import torch
from torch import nn

from rapidnet_mm.reparam import to_inference

from .test_reparam import IMAGE, assert_same, norms, trained


def after_activation(reader):
    """A BatchNorm that no convolution comes before, as in VGNet."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), reader)


@pytest.mark.parametrize(
    'reader', [nn.Conv2d(8, 6, 1), nn.Conv2d(8, 6, 1, groups=2, bias=False), nn.Conv2d(8, 4, 1, 2)]
)
def test_a_norm_after_an_activation_goes_into_the_pointwise_layer_that_reads_it(reader):
    model = trained(after_activation(reader), torch.float64)
    fused = to_inference(model)
    assert not norms(fused)
    assert fused.fusion.folded == {'BatchNorm': 1}
    assert not fused.fusion.left
    assert_same([fused(IMAGE.double())], [model(IMAGE.double())], 1e-10)


def test_a_norm_before_a_linear_layer_goes_into_it():
    layers = (nn.Linear(3, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 2))
    model = trained(nn.Sequential(*layers), torch.float64)
    nn.init.uniform_(model[2].running_mean, 0.5, 1)
    fused = to_inference(model)
    assert not norms(fused)
    vectors = IMAGE.double()[:, :, 0, 0]
    assert_same([fused(vectors)], [model(vectors)], 1e-10)


@pytest.mark.parametrize('reader', [nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(8, 6, 1, padding=1)])
def test_a_norm_before_a_padded_layer_is_left(reader):
    model = trained(after_activation(reader), torch.float64)
    fused = to_inference(model)
    assert norms(fused) == ['2']
    assert 'is not alone behind a convolution' in str(fused.fusion)
    assert_same([fused(IMAGE.double())], [model(IMAGE.double())], 1e-10)
