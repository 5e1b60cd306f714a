"""The inference form of a BatchNorm that comes after an activation."""

import pytest
import torch
from torch import nn

from rapidnet_mm.backbones import TappedBackbone, VGNet
from rapidnet_mm.deploy.fuse import to_inference
from rapidnet_mm.deploy.fuse_layers import Bounded, Folded
from rapidnet_mm.deploy.onednn import PackedConv2d
from rapidnet_mm.weights.contract import fixed_tensors
from tests.deploy.test_fuse import IMAGE, TOLERANCES, assert_same, norms, outputs, trained


def after_activation(reader, act=nn.ReLU):
    """A BatchNorm that no convolution comes before, as in VGNet."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), act(), nn.BatchNorm2d(8), reader)


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
    model = trained(after_activation(reader, nn.GELU), torch.float64)
    fused = to_inference(model)
    assert norms(fused) == ['2']
    assert 'is not alone behind a convolution' in str(fused.fusion)
    assert_same([fused(IMAGE.double())], [model(IMAGE.double())], 1e-10)


PADDED = nn.Conv2d(8, 6, 3, padding=1)


@pytest.mark.parametrize('negative', [0, 3, 8])
@pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
def test_a_norm_after_a_relu_becomes_a_bound_per_channel(negative, dtype):
    model = trained(after_activation(PADDED), dtype)
    model[2].weight.data[:negative] *= -1
    fused = to_inference(model)
    assert fused.fusion.folded == {'BatchNorm': 1}
    assert not fused.fusion.left
    assert [type(layer) for layer in fused] == [PackedConv2d, Bounded, Folded, PackedConv2d]
    image = IMAGE.to(dtype)
    assert_same([fused(image)], [model(image)], TOLERANCES[dtype])


def test_a_norm_after_a_linear_layer_and_a_relu_becomes_a_bound():
    layers = (nn.Linear(3, 8), nn.ReLU(), nn.BatchNorm1d(8))
    model = trained(nn.Sequential(*layers), torch.float64)
    nn.init.uniform_(model[2].running_mean, 0.5, 1)
    fused = to_inference(model)
    assert not norms(fused)
    vectors = IMAGE.double()[:, :, 0, 0]
    assert_same([fused(vectors)], [model(vectors)], 1e-10)


class Beside(nn.Module):
    """The output of the activation is used beside the BatchNorm."""

    def __init__(self):
        super().__init__()
        self.conv, self.act, self.norm = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8)

    def forward(self, x):
        y = self.act(self.conv(x))
        return torch.cat([self.norm(y), y], 1)


def test_a_norm_is_left_where_the_activation_is_read_or_looked_at():
    looked_at = after_activation(PADDED)
    looked_at[1].register_forward_hook(lambda *_: None)
    for model in (Beside(), looked_at):
        model = trained(model, torch.float64)
        fused = to_inference(model)
        assert len(norms(fused)) == 1
        assert_same([fused(IMAGE.double())], [model(IMAGE.double())], 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['c_1_0mp', 'g_1_5mp', 'f_1_0mp_se', 'e_2_5mp'])
@pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
def test_every_variant_of_vgnet_is_plain_convolutions_without_a_batch_norm(arch, dtype):
    model = trained(VGNet(arch), dtype)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.weight.data[::3] *= -1  # as training may leave them
    count = len(norms(model))
    fused = to_inference(model)
    assert not norms(fused)
    assert not fused.fusion.left
    assert fused.fusion.folded['BatchNorm'] == count
    assert fused.fusion.folded['fixed or shared kernel'] == len(fixed_tensors(model)) + (
        arch[0] in 'gc'  # whose last stage shares a kernel
    )
    assert_same(outputs(fused), outputs(model), TOLERANCES[dtype])


def test_the_later_vgnet_keeps_the_batch_norms_that_no_bound_can_replace():
    model = trained(VGNet('g_1_0mp_se', version='v2'), torch.float64)
    fused = to_inference(model)
    assert fused.fusion.folded['fixed or shared kernel'] == len(fixed_tensors(model))
    # They follow SiLU, which has no bound, and larger kernels or several layers read their maps.
    assert len(fused.fusion.left) == len(norms(fused)) == len(norms(model))
    assert_same(outputs(fused), outputs(model), 1e-10)


def test_a_fixed_kernel_that_a_tap_looks_at_is_left():
    config = dict(type='VGNet', arch='f_1_0mp')
    model = trained(TappedBackbone(config, ['stages.1.1.depthwise.conv']), torch.float64)
    fused = to_inference(model)
    place = 'backbone.stages.1.1.depthwise'
    assert fused.fusion.left.keys() == {f'{place}.conv', f'{place}.norm'}
    assert_same(outputs(fused), outputs(model), 1e-10)
