import copy

import pytest
import torch
from torch import nn

from rapidnet_mm.analysis import papers
from rapidnet_mm.backbones import VGNet
from rapidnet_mm.backbones.vgnet import ARCHS, Downsampling, FixedDepthwise, HalfIdentity
from rapidnet_mm.weights.contract import fixed_tensors
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.names import NAME_TABLES
from tests.messages import assert_says, refusal
from tests.reference import (
    assert_equals_recorded,
    equals_printed,
    fill,
    published_state,
    recorded,
    reference_input,
    vgnet_outputs,
)
from tests.training import random_statistics

RECORDED = recorded('vgnet_outputs.json')
CLASSES = 1000


def table_of(arch):
    fixed = 'F' if arch[0] in 'fe' else ''
    return NAME_TABLES[f'VGNet{fixed} with SE' if arch.endswith('se') else f'VGNet{fixed}']


def published_file(model, path, keep_fixed=True, **others):
    """The state of a model under published names, with a classifier, in a file."""
    fixed = () if keep_fixed else fixed_tensors(model)
    state = {k: v for k, v in model.state_dict().items() if k not in fixed} | others
    to_published = table_of(model.arch).to_published
    torch.save({to_published(k): v for k, v in state.items()}, path)
    return str(path)


@pytest.mark.parametrize('arch', RECORDED)
def test_every_stage_and_the_logits_equal_the_published_implementation(arch):
    expected = RECORDED[arch]['outputs']
    model = VGNet(arch)
    state = published_state(model, table_of(arch))
    for key in fixed_tensors(model):
        del state[table_of(arch).to_published(key)]  # a file may leave them out
    for name, shape in (('weight', (CLASSES, model.out_channels[-1])), ('bias', (CLASSES,))):
        state[f'classifier.{name}'] = fill(f'classifier.{name}', shape)
    outputs = vgnet_outputs(arch, state, reference_input())
    assert outputs.keys() == expected.keys()
    for name, output in outputs.items():
        # float64: what is left is the order of summation
        assert_equals_recorded(output, expected[name], rtol=1e-9)


@pytest.mark.parametrize('arch', papers.VGNET)
def test_learned_parameters_equal_the_paper_to_the_unit(arch):
    with torch.device('meta'):
        model = VGNet(arch)
    count = sum(p.numel() for p in model.parameters()) + (model.out_channels[-1] + 1) * CLASSES
    assert equals_printed(count, papers.VGNET[arch][1][1])
    assert count == RECORDED.get(arch, {}).get('params_learnable', count)


def test_every_kind_has_every_size_with_and_without_attention():
    assert len(ARCHS) == 4 * 5 * 2
    assert {name[0] for name in ARCHS} == set('gcfe')
    assert_says(refusal(lambda: VGNet('g_3_0mp')), "no arch 'g_3_0mp'", "'g_1_0mp', 'g_1_0mp_se'")


@pytest.mark.parametrize(('kind', 'fixed'), [('c', 0), ('g', 4), ('f', 4 + 22 + 1), ('e', 27)])
def test_the_kinds_differ_in_what_is_fixed(kind, fixed):
    model = VGNet(f'{kind}_1_0mp_se')
    assert len(fixed_tensors(model)) == fixed
    assert not fixed_tensors(model).keys() & dict(model.named_parameters()).keys()
    learned = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(learned) == 27 - fixed


def kernels(arch, name):
    return VGNet(arch).get_submodule(name).weight[:, 0]


def test_gaussians_alternate_in_sign_and_every_row_is_as_published():
    first, second, third = kernels('g_1_0mp', 'stages.0.0.depthwise')[:3]
    row = torch.tensor([0.0811, 0.1226, 0.0811])
    assert first[0].equal(row)
    assert first[2].equal(row)
    assert first[1].equal(torch.tensor([0.1226, 0.1853, 0.1226]))
    assert second.equal(-first)
    assert third.equal(first)


def test_kernels_cycle_over_the_channels():
    edges, both = (kernels(f'{kind}_1_5mp', 'stages.0.1.depthwise.conv') for kind in 'ef')
    assert edges[:4].equal(both[:4])
    assert edges[4:8].equal(edges[:4])
    assert both[8:16].equal(both[:8])
    assert both[0].equal(both[1].T)
    sums = [0, 0, 0, 0, 0, 0, 1, 1]  # edges see no constant, Gaussians keep it
    assert both[:8].sum((1, 2)).tolist() == pytest.approx(sums, abs=1e-3)


def test_a_downsampling_keeps_the_last_channels_and_cuts_the_rest_into_even_halves():
    norm_cfg, image = dict(type='BN'), torch.randn(2, 6, 9, 7)
    for out, kept in ((8, 4), (12, 6), (16, 6), (4, 0)):
        block = Downsampling(6, out, ARCHS['g_1_0mp'], norm_cfg).eval()
        left, right = block(image)
        assert left.shape == right.shape == (2, out // 2, 5, 4)
        small = block.depthwise(image)
        assert left[:, :kept].equal(small[:, 6 - kept :][:, : out // 2])
        assert block.pointwise.conv.out_channels == out - kept


def test_a_half_identity_block_moves_the_right_half_to_the_left():
    block = HalfIdentity(8, ARCHS['c_1_0mp'], dict(type='BN')).eval()
    left, right = torch.randn(2, 2, 4, 5, 6)
    moved, new = block((left, right))
    assert moved is right
    expected = block.pointwise(torch.cat([left, block.depthwise(right)], 1))
    assert new.equal(expected)


@pytest.mark.parametrize('optimizer', [torch.optim.SGD, torch.optim.AdamW])
def test_fixed_kernels_stay_fixed_under_weight_decay(optimizer):
    model = VGNet('f_1_0mp')
    model.init_weights()
    steps = optimizer(model.parameters(), lr=0.1, weight_decay=0.5)
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 32, 64))[-1].square().mean().backward()
    steps.step()
    changed = {k for k, v in model.state_dict().items() if not v.equal(before[k])}
    assert before.keys() - changed == fixed_tensors(model).keys()
    for key, exact in fixed_tensors(model).items():
        assert model.state_dict()[key].equal(exact), key


def test_fixed_kernels_follow_the_precision_and_are_not_rounded_twice():
    model = FixedDepthwise(4, ((((0.1,) * 3,) * 3),))
    exact = model.weight.clone()
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.float32):
        assert model.to(dtype).weight.equal(exact.to(dtype))
    assert model.half().double().weight.equal(exact.double())
    assert model.to('meta').weight.is_meta
    assert VGNet('f_1_0mp').half().stages[0][1].depthwise.conv.weight.dtype == torch.float16


@pytest.mark.parametrize('arch', ['g_1_0mp', 'f_1_0mp_se'])
@pytest.mark.parametrize('keep_fixed', [True, False])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_files_with_and_without_the_fixed_kernels_fill_every_tensor(
    arch, keep_fixed, dtype, tmp_path
):
    source = random_statistics(VGNet(arch)).to(dtype)
    path = published_file(source, tmp_path / 'file.pth', keep_fixed)
    target = VGNet(arch)
    coverage = load_pretrained(target, path)
    assert coverage.complete
    assert not coverage.unused
    assert len(coverage.loaded) == len(source.state_dict()) - (
        0 if keep_fixed else len(fixed_tensors(source))
    )
    for key, value in target.state_dict().items():
        assert value.to(dtype).equal(source.state_dict()[key]), key
    for key, exact in fixed_tensors(target).items():
        assert target.state_dict()[key].equal(exact), (
            key
        )  # not those of the file, in half precision


def test_a_plain_state_dict_may_lack_the_fixed_kernels_but_not_have_others():
    model = VGNet('g_1_0mp')
    state = model.state_dict()
    lacking = {k: v for k, v in state.items() if k not in fixed_tensors(model)}
    assert not model.load_state_dict(lacking).missing_keys
    name = 'stages.2.0.depthwise.weight'
    with pytest.raises(RuntimeError, match=f'{name} is not the fixed kernel'):
        model.load_state_dict({**state, name: state[name] + 0.01}, strict=False)


def test_a_file_with_other_kernels_is_refused_in_a_line(tmp_path):
    model, name = VGNet('g_1_0mp'), 'stages.2.0.depthwise.weight'
    other = {name: model.state_dict()[name] * 1.01}
    path = published_file(model, tmp_path / 'file.pth', **other)
    line = refusal(load_pretrained, VGNet('g_1_0mp'), path)
    assert_says(line, path, name, "fixed in VGNet arch='g_1_0mp'", 'leave fixed kernels out')


OTHERS = [
    ('g_1_0mp', 'g_1_5mp'),
    ('g_1_0mp', 'g_1_0mp_se'),
    ('g_1_0mp_se', 'g_1_0mp'),
    ('c_1_0mp', 'g_1_0mp'),
    ('g_1_0mp', 'c_1_0mp'),
    ('f_1_5mp', 'g_1_5mp'),
    ('g_2_5mp', 'f_2_5mp'),
    ('e_1_0mp_se', 'f_1_0mp_se'),
    ('f_2_0mp', 'e_2_0mp'),
]


@pytest.mark.parametrize(('arch', 'other'), OTHERS)
def test_a_file_of_another_variant_is_named(arch, other, tmp_path):
    path = published_file(VGNet(arch), tmp_path / 'file.pth')
    line = refusal(load_pretrained, VGNet(other), path)
    assert_says(line, f"is a VGNet arch='{arch}', but the config has arch='{other}'")


@pytest.mark.parametrize(('arch', 'other'), [('f_1_0mp', 'e_1_5mp'), ('e_1_0mp', 'g_1_0mp')])
def test_without_its_kernels_a_file_of_edges_may_be_of_edges_and_gaussians(arch, other, tmp_path):
    path = published_file(VGNet(arch), tmp_path / 'file.pth', keep_fixed=False)
    line = refusal(load_pretrained, VGNet(other), path)
    assert_says(line, "is a VGNet arch='f_1_0mp' or arch='e_1_0mp', but")
    assert load_pretrained(VGNet('f_1_0mp'), path).complete
    assert load_pretrained(VGNet('e_1_0mp'), path).complete


def test_what_is_learned_has_to_be_in_the_file(tmp_path):
    state = VGNet('g_1_0mp').state_dict()
    del state['stages.3.3.depthwise.weight']
    torch.save(state, tmp_path / 'file.pth')
    line = refusal(load_pretrained, VGNet('g_1_0mp'), str(tmp_path / 'file.pth'))
    assert_says(line, '1 missing (stages.3.3.depthwise.weight)')
