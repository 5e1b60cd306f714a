"""Packed convolutions where a small fault would go unnoticed: when they pack, and how often."""

import copy
import threading

import pytest
import torch
from torch import nn

from rapidnet_mm.deploy import onednn
from rapidnet_mm.deploy.onednn import PackedConv2d, pack_convolutions
from tests.deploy.test_onednn import close, pair

IMAGE = torch.randn(1, 8, 9, 7)
DILATED = dict(kernel_size=3, padding=3, dilation=3)


@pytest.fixture
def packings(monkeypatch):
    """The shapes for which weights are packed."""
    packings, pack = [], onednn._pack_weight

    def record(weight, *settings):
        packings.append(settings[-1])
        return pack(weight, *settings)

    monkeypatch.setattr(onednn, '_pack_weight', record)
    return packings


def test_weights_are_packed_once_and_again_after_a_change(packings):
    _, packed = pair(**DILATED)
    for _ in range(3):
        packed(IMAGE)
        packed(IMAGE[:, :, :5])
    assert packings == [[1, 8, 9, 7]]
    packed.weight.mul_(2)
    for _ in range(2):
        packed(IMAGE)
    assert len(packings) == 2
    packed.load_state_dict(packed.state_dict())
    packed(IMAGE)
    assert len(packings) == 3
    packed.float()
    packed(IMAGE)
    assert len(packings) == 4


LEFT_ALONE = {
    'a reflected border': nn.Conv2d(8, 8, 3, padding=1, padding_mode='reflect'),
    'a border given in words': nn.Conv2d(8, 8, 3, padding='same'),
    'a subclass': type('Mine', (nn.Conv2d,), {})(8, 8, 3),
    'another dimension': nn.Conv1d(8, 8, 3),
    'a transposed one': nn.ConvTranspose2d(8, 8, 3),
}


@pytest.mark.parametrize('kind', LEFT_ALONE)
def test_other_convolutions_stay_what_they_are(kind):
    model = nn.Sequential(copy.deepcopy(LEFT_ALONE[kind]))
    pack_convolutions(model)
    assert type(model[0]) is type(LEFT_ALONE[kind])


def test_hooks_of_a_convolution_stay():
    calls = []
    model = nn.Sequential(nn.Conv2d(8, 8, 1))
    model[0].register_forward_hook(lambda *_: calls.append(1))
    pack_convolutions(model)
    with torch.no_grad():
        model(IMAGE)
    assert type(model[0]) is PackedConv2d
    assert calls == [1]


def test_without_onednn_nothing_is_packed(monkeypatch):
    monkeypatch.setattr(onednn, '_convolve', None)
    model = nn.Sequential(nn.Conv2d(8, 8, 1))
    pack_convolutions(model)
    assert type(model[0]) is nn.Conv2d


def test_where_onednn_is_switched_off_it_is_not_used(packings):
    conv, packed = pair(**DILATED)
    with torch.backends.mkldnn.flags(enabled=False):
        assert packed(IMAGE).equal(conv(IMAGE))
    assert not packings
    close(packed(IMAGE), conv(IMAGE))
    assert len(packings) == 1


def test_an_image_without_a_batch_is_left_to_pytorch(packings):
    conv, packed = pair(**DILATED)
    assert packed(IMAGE[0]).equal(conv(IMAGE[0]))
    assert not packings


def test_what_is_traced_holds_pytorchs_convolution(packings):
    conv, packed = pair(**DILATED)
    traced = torch.jit.trace(packed, IMAGE, check_trace=False)
    assert 'mkldnn' not in str(traced.inlined_graph)
    assert '_convolution' in str(traced.inlined_graph)
    assert not packings
    close(traced(IMAGE), conv(IMAGE))


def test_subclasses_and_other_devices_are_left_to_pytorch(packings):
    conv, packed = pair(**DILATED)
    image = nn.Parameter(IMAGE, requires_grad=False)
    assert packed(image).equal(conv(image))
    assert packed.to('meta')(IMAGE.to('meta')).is_meta
    assert not packings


@pytest.mark.parametrize('name', ['weight', 'bias'])
def test_parameters_that_need_gradients_get_them(name, packings):
    conv, packed = pair(**DILATED)
    for layer in (conv, packed):
        getattr(layer, name).requires_grad_(True)
        layer(IMAGE).square().sum().backward()
    close(getattr(packed, name).grad, getattr(conv, name).grad)
    assert not packings
    with torch.no_grad():  # where none will be asked for it is as quick as ever
        close(packed(IMAGE), conv(IMAGE))
    assert len(packings) == 1


def test_weights_of_two_convolutions_do_not_mix():
    pairs = [pair(**DILATED) for _ in range(2)]
    for conv, packed in pairs * 2:
        close(packed(IMAGE), conv(IMAGE))
    (_, one), (conv, other) = pairs
    one.weight = other.weight
    one.bias = other.bias
    close(one(IMAGE), conv(IMAGE))


def test_threads_that_come_at_once_get_the_same():
    conv, packed = pair(**DILATED)
    results = []
    threads = [threading.Thread(target=lambda: results.append(packed(IMAGE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        close(result, conv(IMAGE))
