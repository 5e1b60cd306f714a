"""Convolutions with weights laid out once: PyTorch's results, whatever is done to the model."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.deploy.fuse import to_inference
from rapidnet_mm.deploy.onednn import PackedConv2d, pack_convolutions
from tests.training import random_statistics

SETTINGS = {
    'pointwise': dict(kernel_size=1),
    'strided': dict(kernel_size=3, stride=2, padding=1),
    'dilated': dict(kernel_size=3, padding=3, dilation=3),
    'depthwise': dict(kernel_size=7, padding=3, groups=8),
    'in groups, without bias': dict(kernel_size=3, padding=1, groups=2, bias=False),
    'not square': dict(kernel_size=(1, 5), padding=(0, 2), stride=(2, 1)),
}


def pair(**settings):
    """A plain convolution and a packed one of the same weights."""
    conv = nn.Conv2d(8, 16, **settings).requires_grad_(False)
    packed = nn.Sequential(copy.deepcopy(conv))
    pack_convolutions(packed)
    assert type(packed[0]) is PackedConv2d
    return conv, packed[0]


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('settings', SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize('batch', [1, 3])
def test_outputs_are_those_of_the_plain_convolution(settings, batch):
    conv, packed = pair(**settings)
    for shape in [(9, 7), (30, 40)]:  # laid out for the first, used for the second
        image = torch.randn(batch, 8, *shape)
        close(packed(image), conv(image))
        last = image.to(memory_format=torch.channels_last)
        close(packed(last), conv(image))
    assert packed._packed is not None


def test_changed_weights_are_seen():
    conv, packed = pair(**SETTINGS['dilated'])
    image = torch.randn(1, 8, 9, 7)
    packed(image)
    for change in (
        lambda m: m.weight.mul_(2),
        lambda m: m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()}),
        lambda m: setattr(m, 'weight', nn.Parameter(m.weight + 1, requires_grad=False)),
        lambda m: setattr(m.weight, 'data', m.weight + 1),
        lambda m: m.double().float(),
    ):
        change(conv)
        change(packed)
        close(packed(image), conv(image))


def test_weights_made_in_inference_mode_can_be_loaded_anew():
    image = torch.randn(1, 8, 9, 7)
    with torch.inference_mode():
        conv, packed = pair(**SETTINGS['dilated'])
        packed(image)
        for layer in (conv, packed):  # of such weights PyTorch counts no changes
            layer.load_state_dict({k: v + 1 for k, v in layer.state_dict().items()})
        close(packed(image), conv(image))


def test_other_types_gradients_and_empty_batches_are_left_to_pytorch():
    conv, packed = pair(**SETTINGS['dilated'])
    image = torch.randn(1, 8, 9, 7, requires_grad=True)
    (gradient,) = torch.autograd.grad(packed(image).square().sum(), image)
    (expected,) = torch.autograd.grad(conv(image).square().sum(), image)
    close(gradient, expected)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert packed(image).dtype == torch.bfloat16
    assert packed(image.detach()[:0]).shape == (0, 16, 9, 7)
    assert packed.double()(image.detach().double()).dtype == torch.float64
    assert packed._packed is None


def test_forward_derivatives_and_those_of_the_bias_are_left_to_pytorch():
    conv, packed = pair(**SETTINGS['dilated'])
    image = torch.randn(1, 8, 9, 7)
    for layer in (conv, packed):
        layer.bias.requires_grad_(True)
        layer(image).sum().backward()
    close(packed.bias.grad, conv.bias.grad)
    with torch.no_grad():
        found, expected = (torch.func.jvp(m, (image,), (image,))[1] for m in (packed, conv))
    close(found, expected)


def test_an_image_of_other_channels_is_refused_in_pytorchs_words():
    _, packed = pair(**SETTINGS['dilated'])
    with pytest.raises(RuntimeError, match='to have 8 channels, but got 4'):
        packed(torch.randn(1, 4, 9, 7))


def test_copies_and_files_leave_the_laid_out_weights_behind():
    _, packed = pair(**SETTINGS['dilated'])
    image = torch.randn(1, 8, 9, 7)
    output = packed(image)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert other._packed is None
        assert other(image).equal(output)
    assert packed.state_dict().keys() == {'weight', 'bias'}


def test_its_work_is_counted():
    conv, packed = pair(**SETTINGS['in groups, without bias'])
    counts = []
    for layer in (conv, packed):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            layer(torch.randn(1, 8, 9, 7))
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] == 2 * 9 * 7 * 16 * 4 * 9


@pytest.mark.slow
def test_an_inference_form_can_be_exported():
    model = to_inference(random_statistics(RapidNet('ti', out_indices=(3,))).eval())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        (expected,) = model(image)
        program = torch.export.export(model, (image,))
        (output,) = program.module()(image)
    assert any(type(module) is PackedConv2d for module in model.modules())
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert 'mkldnn' not in str(program.graph)
