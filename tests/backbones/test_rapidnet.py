import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rapidnet_mm import UserError
from rapidnet_mm.analysis import papers
from rapidnet_mm.analysis.papers import Figure
from rapidnet_mm.backbones.rapidnet import ARCHS, RapidNet, published_drop_rates
from rapidnet_mm.weights.names import RAPIDNET
from tests.reference import (
    assert_equals_recorded,
    equals_printed,
    published_state,
    recorded,
    reference_input,
)


def head_sizes(arch):
    """Parameters and FLOPs of the classifier with its two heads of 1000 classes."""
    width, channels = arch.head_channels, arch.channels[-1]
    params = channels * width + width + 2 * width + 2 * (width * 1000 + 1000)
    return params, channels * width + 2 * width * 1000


def flops(arch, size):
    with torch.device('meta'):
        model, image = RapidNet(arch), torch.empty(1, 3, size, size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize('arch', ['ti', 'm'])
def test_every_stage_equals_the_published_implementation(arch):
    expected = recorded('rapidnet_outputs.json')[arch]
    model = RapidNet(arch).double().eval()
    state = published_state(model, RAPIDNET)
    model.load_state_dict({RAPIDNET.to_ours(key): value for key, value in state.items()})
    for index, output in enumerate(model(reference_input())):
        # float64: what is left is the order of summation
        assert_equals_recorded(output, expected['outputs'][f'stage{index}'], rtol=1e-9)


@pytest.mark.parametrize('arch', ARCHS)
def test_parameters_equal_the_paper_to_the_unit(arch):
    count = sum(p.numel() for p in RapidNet(arch).parameters())
    assert equals_printed(count + head_sizes(ARCHS[arch])[0], papers.RAPIDNET[arch][0][1])


@pytest.mark.parametrize('arch', ARCHS)
def test_flops_equal_the_paper(arch):
    _, (_, with_head), without_head = papers.RAPIDNET[arch]
    with_head, without_head = (float(Figure(text).value) for text in (with_head, without_head))
    assert flops(arch, 512) == pytest.approx(without_head, rel=0.005)
    count = flops(arch, 224) + head_sizes(ARCHS[arch])[1]
    assert count == pytest.approx(with_head, rel=0.005)


@pytest.mark.parametrize('arch', ARCHS)
def test_effective_drop_rates_stay_under_the_published_bound(arch):
    rates = published_drop_rates(ARCHS[arch], 0.1)
    assert 0 < max(map(max, rates)) < 0.022
    assert rates[0] == [0.0] * len(rates[0])


def test_the_rate_of_a_block_grows_with_the_dilated_blocks_before_it():
    model = RapidNet('ti', drop_path_rate=0.99)
    rates = {m.rate for m in model.modules() if hasattr(m, 'rate')}
    assert max(rates) == pytest.approx(0.99 * 3 / 15)


def test_other_normalisation_layers_can_be_chosen():
    model = RapidNet('ti', norm_cfg=dict(type='GN', num_groups=4))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(arch='xl'), r"no arch 'xl'; choose one of \['b', 'm', 's', 'ti'\]"),
        (dict(out_indices=(0, 4)), 'stages out of 0, 1, 2, 3$'),
        (dict(frozen_stages=5), 'frozen_stages=5'),
        (dict(norm_cfg=dict(type='BatchNorm')), 'BatchNorm'),
    ],
)
def test_impossible_arguments_are_refused_with_what_is_allowed(arguments, message):
    with pytest.raises(UserError, match=message):
        RapidNet(**arguments)
