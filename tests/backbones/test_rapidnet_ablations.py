"""RapidNet's ablations are arguments; their counts are among the published rows."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rapidnet_mm.analysis.complexity import measure
from rapidnet_mm.backbones import RapidNet, ReXNet, ReXNetLite
from rapidnet_mm.backbones.blocks import MaxRelativeConv
from rapidnet_mm.backbones.layers import DeformableConv
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.read import read_checkpoint
from tests.checkpoints import fill_from
from tests.messages import assert_says, refusal
from tests.training import random_statistics

PLAIN = dict(use_cpe=False, large_kernel_ffn=False)
DEFORMABLE = (dict(dilation=2), dict(dilation=3, deformable=True))
VARIANTS = {
    'pointwise': dict(mixer='pointwise', **PLAIN),
    'conv3x3': dict(mixer='conv3x3', **PLAIN),
    'sldc': dict(mixer='sldc', **PLAIN),
    'sldc with encoding': dict(mixer='sldc', large_kernel_ffn=False),
    'sldc of another level': dict(mixer='sldc', branches=[dict(dilation=3)], use_cpe=False),
    'three levels, one 5x5': dict(branches=(dict(), dict(dilation=2), dict(kernel_size=5))),
    'deformable': dict(branches=DEFORMABLE),
    'svga': dict(mixer='svga', **PLAIN),
    'svga with encoding': dict(mixer='svga'),
}
IMAGE = torch.randn(2, 3, 65, 96, generator=torch.Generator().manual_seed(0))
# Of a dilated block's mixer: (kernel, dilation) of its branches.
BRANCHES = {
    'pointwise': [(1, 1)],
    'conv3x3': [(3, 1)],
    'sldc': [(3, 2)],
    'sldc of another level': [(3, 3)],
    'three levels, one 5x5': [(3, 1), (3, 2), (5, 1)],
    'deformable': [(3, 2), (3, 3)],
}
all_variants = pytest.mark.parametrize('variant', VARIANTS)


def build(variant, **others):
    return RapidNet('ti', **VARIANTS[variant], **others)


def dilated_blocks(model):
    return [*model.stages[2][-2:], *model.stages[3][-2:]]


@all_variants
def test_every_parameter_gets_a_gradient_and_maps_keep_their_sizes(variant):
    model = random_statistics(build(variant))
    for conv in (m for m in model.modules() if isinstance(m, DeformableConv)):
        nn.init.normal_(conv.offset.weight, std=0.01)
    maps = model(IMAGE)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (32, 17, 24), (64, 9, 12), (112, 5, 6), (224, 3, 3)
    ]  # fmt: skip
    sum(m.square().mean() for m in maps).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    offsets = [p.grad for name, p in model.named_parameters() if 'offset' in name]
    assert len(offsets) == (2 * 4 if variant == 'deformable' else 0)
    assert all(gradient.any() for gradient in offsets)


@pytest.mark.parametrize(('variant', 'branches'), BRANCHES.items())
def test_branches_have_the_kernels_and_dilations_that_were_asked_for(variant, branches):
    for block in dilated_blocks(build(variant)):
        convs = [branch.conv for branch in block.mixer.branch.branches]
        assert [(c.kernel_size, c.dilation) for c in convs] == [
            ((kernel, kernel), (dilation, dilation)) for kernel, dilation in branches
        ]


@all_variants
def test_encodings_and_large_kernels_are_there_unless_they_are_switched_off(variant):
    arguments = VARIANTS[variant]
    for block in dilated_blocks(build(variant)):
        encoded = not isinstance(block.mixer.branch.encoding, nn.Identity)
        assert encoded == arguments.get('use_cpe', True)
        assert hasattr(block.ffn.branch, 'depthwise') == arguments.get('large_kernel_ffn', True)
        graphs = [m for m in block.modules() if isinstance(m, MaxRelativeConv)]
        assert len(graphs) == variant.startswith('svga')


def test_only_dilated_blocks_are_changed_and_the_rest_keeps_its_names():
    published = RapidNet('ti').state_dict()
    for variant in VARIANTS:
        ours = build(variant).state_dict()
        blocks = {'.'.join(key.split('.')[:3]) for key in ours.keys() ^ published.keys()}
        assert blocks <= {'stages.2.7', 'stages.2.8', 'stages.3.3', 'stages.3.4'}, variant


@pytest.mark.parametrize('variant', ['sldc', 'conv3x3', 'sldc with encoding'])
def test_published_weights_do_not_go_into_an_ablation_in_part(variant, tmp_path):
    torch.save(RapidNet('ti').state_dict(), path := str(tmp_path / 'published.pth'))
    init_cfg = dict(type='Pretrained', checkpoint=path)
    assert_says(refusal(build(variant, init_cfg=init_cfg).init_weights), path, 'another variant')
    build(variant, init_cfg=dict(init_cfg, allow_partial=True)).init_weights()
    model = nn.Module()
    model.backbone = build(variant)
    assert_says(refusal(fill_from, model, read_checkpoint(path), path), 'another variant')


@pytest.mark.parametrize('kind', [ReXNet, ReXNetLite])
def test_a_classifiers_last_convolution_is_no_other_variant(kind, tmp_path):
    torch.save(kind(out_indices=(4,)).state_dict(), path := str(tmp_path / 'classifier.pth'))
    assert load_pretrained(kind(), path).complete


def test_a_deformable_kernel_starts_as_the_plain_one_and_initialising_leaves_it_so():
    model = build('deformable').double()
    model.init_weights()
    deformable = [m for m in model.modules() if isinstance(m, DeformableConv)]
    assert len(deformable) == 4
    for conv in deformable:
        assert not conv.offset.weight.any()
        assert not conv.offset.bias.any()
        # drawn as every convolution, from a normal distribution
        expected = (2 / conv.weight[0].numel()) ** 0.5
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.05)
    plain = RapidNet('ti').double()
    missing = plain.load_state_dict(model.state_dict(), strict=False)
    assert not missing.missing_keys
    assert all('offset' in key for key in missing.unexpected_keys)
    for ours, theirs in zip(
        model.eval()(IMAGE.double()), plain.eval()(IMAGE.double()), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_offsets_move_the_samples():
    conv = DeformableConv(4, 6, 3, dilation=2).double()
    with torch.no_grad():
        conv.offset.bias.view(9, 2).copy_(torch.tensor([1.0, -2.0]))  # down by 1, left by 2
    x = torch.randn(2, 4, 9, 11, dtype=torch.float64)
    moved = F.pad(x, (2, 0, 0, 1))[:, :, 1:, : x.shape[3]]
    expected = F.conv2d(moved, conv.weight, conv.bias, padding=2, dilation=2)
    # but at the border, where what was moved out of the map is lost
    inside = (..., slice(2, -3), slice(4, -2))
    torch.testing.assert_close(conv(x)[inside], expected[inside])


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_a_deformable_kernel_counts_as_its_convolution_and_that_of_its_offsets(device):
    conv = DeformableConv(4, 6, 3).to(device)
    found = measure(nn.Sequential(nn.Conv2d(3, 4, 1).to(device), conv), (5, 7))
    assert found.modules['1'].flops == 5 * 7 * 9 * 4 * (6 + 18)
    assert found.modules['1'].params == 9 * 4 * (6 + 18) + 6 + 18


@pytest.mark.parametrize('mixed', [True, False])
def test_a_deformable_kernel_works_in_bfloat16(mixed):
    conv = DeformableConv(4, 6, 3)
    x = torch.randn(2, 4, 5, 7).bfloat16()
    expected = conv(x.float())
    with torch.autocast('cpu', torch.bfloat16, enabled=mixed):
        found = (conv if mixed else conv.bfloat16())(x)
    found.float().sum().backward()
    assert found.dtype == torch.bfloat16
    assert conv.offset.weight.grad.isfinite().all()
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        (dict(mixer='mdlc'), ["no mixer 'mdlc'", 'mldc, sldc, conv3x3, pointwise, svga']),
        (dict(mixer='svga', branches=DEFORMABLE), ["mixer='svga' takes no branches"]),
        (dict(mixer='sldc', branches=DEFORMABLE), ["mixer='sldc' has one branch, not 2"]),
        (dict(branches=[dict()]), ["mixer='mldc' has two branches or more, not 1"]),
        (dict(branches=3), ['branches=3 must be such as (dict(kernel_size=3']),
        (dict(branches=(3, 4)), ['a branch is a dict of kernel_size, dilation, deformable']),
        (dict(branches=[dict(), dict(dilatoin=2)]), ["not {'dilatoin': 2}"]),
        (dict(branches=[dict(), dict(kernel_size=4)]), ['kernel_size=4', 'odd']),
        (dict(branches=[dict(), dict(dilation=0)]), ['dilation=0', 'at least 1']),
        (dict(branches=[dict(), dict(deformable=1)]), ['deformable=1 must be True or False']),
        (dict(use_cpe='no'), ["use_cpe='no' must be True or False"]),
        (dict(large_kernel_ffn=7), ['large_kernel_ffn=7 must be True or False']),
    ],
)
def test_what_no_ablation_is_is_refused_with_what_is_allowed(arguments, parts):
    assert_says(refusal(lambda: RapidNet('ti', **arguments)), 'RapidNet', *parts)
