import pytest
import torch

from rapidnet_mm import UserError
from rapidnet_mm.analysis import papers
from rapidnet_mm.analysis.speed.graph import by_shifts
from rapidnet_mm.backbones import MobileViG
from rapidnet_mm.backbones.blocks import MaxRelativeConv, by_doubling, by_pooling, max_relative
from rapidnet_mm.backbones.mobilevig import ARCHS
from rapidnet_mm.weights.names import MOBILEVIG_S, MOBILEVIG_TI
from tests.reference import (
    assert_equals_recorded,
    equals_printed,
    fill,
    mobilevig_outputs,
    published_state,
    recorded,
    reference_input,
)
from tests.training import random_statistics

# Published parameters, with both classifiers.
TABLES = {'ti': MOBILEVIG_TI, 's': MOBILEVIG_S}
SIZES = [(7, 7), (6, 9), (9, 6), (8, 4), (1, 5), (2, 1), (3, 2)]


def test_every_stage_and_the_logits_equal_the_published_implementation():
    expected = recorded('mobilevig_outputs.json')['ti']
    state = published_state(MobileViG('ti'), MOBILEVIG_TI)
    state |= {name: fill(name, tuple(shape)) for name, shape in expected['head'].items()}
    outputs = mobilevig_outputs('ti', state, reference_input())
    assert set(outputs) == set(expected['outputs'])
    for name, output in outputs.items():
        # float64: what is left is the order of summation
        assert_equals_recorded(output, expected['outputs'][name], rtol=1e-9)


@pytest.mark.parametrize('arch', ARCHS)
def test_parameters_equal_the_paper_to_the_unit(arch):
    width, channels = ARCHS[arch].head_channels, ARCHS[arch].channels[-1]
    head = channels * width + width + 2 * width + 2 * (width * 1000 + 1000)
    count = sum(p.numel() for p in MobileViG(arch).parameters()) + head
    assert equals_printed(count, papers.MOBILEVIG[arch][0])


@pytest.mark.parametrize('arch', ARCHS)
def test_names_of_one_size_are_not_taken_for_those_of_the_other(arch):
    names = [TABLES[arch].to_published(key) for key in MobileViG(arch).state_dict()]
    assert TABLES[arch].recognises(names)
    assert not any(t.recognises(names) for a, t in TABLES.items() if a != arch)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize('step', [1, 2, 3])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_differences_equal_those_of_plain_cyclic_shifts_forward_and_backward(size, step, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64).to(memory_format=layout)
    weights = torch.randn_like(x)
    expected, gradients = by_shifts(x, step), []
    assert max_relative(x, step).equal(expected)
    for function in (by_shifts, by_pooling, by_doubling, max_relative):
        leaf = x.clone().requires_grad_()
        output = function(leaf, step)
        assert output.equal(expected)  # to the bit: differences of the same numbers
        gradients += torch.autograd.grad((output * weights).sum(), leaf)
        torch.testing.assert_close(gradients[-1], gradients[0])  # up to the order of summation


def test_nothing_is_below_zero_and_a_constant_map_has_no_differences():
    x = torch.randn(1, 2, 5, 6)
    assert max_relative(x).min() >= 0
    assert max_relative(torch.full((1, 2, 5, 6), 3.0)).eq(0).all()


def test_a_shift_of_the_map_shifts_its_differences():
    x = torch.randn(1, 2, 7, 10)
    moved = x.roll((3, 5), (2, 3))
    assert max_relative(moved).equal(max_relative(x).roll((3, 5), (2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize('size', [(96, 160), (64, 128)], ids=str)  # odd and even maps
def test_it_exports_and_traces_with_the_same_outputs(size):
    model = random_statistics(MobileViG('ti')).eval()
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        expected = model(image)
        forms = [
            torch.export.export(model, (image,)).module(),
            torch.jit.trace(model, image, check_trace=False),
        ]
        for form in forms:
            for ours, theirs in zip(form(image), expected, strict=True):
                torch.testing.assert_close(ours, theirs)


def test_graph_blocks_alone_drop_paths_and_local_blocks_alone_have_scales():
    model = MobileViG('ti', drop_path_rate=0.3)
    rates = [m.rate for m in model.modules() if hasattr(m, 'rate')]
    assert rates[-4:] == pytest.approx([0.3 * 10 / 11] * 2 + [0.3] * 2)
    assert not any(rates[:-4])
    scales = [name for name, _ in model.named_parameters() if name.endswith('scale')]
    assert len(scales) == sum(ARCHS['ti'].local_depths)
    assert not any(name.startswith('stages.3') for name in scales)
    assert sum(isinstance(m, MaxRelativeConv) for m in model.modules()) == 2


def test_an_arch_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(UserError, match=r"MobileViG has no arch 'xl'; choose one of \['s', 'ti'\]"):
        MobileViG('xl')
