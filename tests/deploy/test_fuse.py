"""The inference form: fewer layers, the same outputs."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations
from torch.utils._pytree import tree_leaves

import rapidnet_mm.models  # noqa: F401  registers
from rapidnet_mm.analysis.network import run_network
from rapidnet_mm.backbones import ReXNet, TappedBackbone
from rapidnet_mm.backbones.layers import ConvNormAct, DeformableConv
from rapidnet_mm.backbones.rapidnet import RapidNet
from rapidnet_mm.deploy.fuse import to_inference
from rapidnet_mm.deploy.fuse_layers import Folded
from rapidnet_mm.engine import config as engine_config
from tests.backbones.test_contract import FAMILIES, all_families, build
from tests.backbones.test_rapidnet_ablations import VARIANTS
from tests.messages import assert_says, refusal
from tests.training import random_statistics

CONFIGS = Path(__file__).parents[2] / 'configs'
IMAGE = torch.randn(2, 3, 65, 96, generator=torch.Generator().manual_seed(0))
# Relative to the largest output: what is left is the order of summation.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4}
both_precisions = pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
# What whole models have to fold, counted in their tables: BatchNorms, layer scales, encodings.
MODELS_OF_ALL_TASKS = {
    'maskrcnn_rapidnet_ti_coco': (69, 20, 4),
    'ssdlite_rexnet_100_coco': (86, 0, 0),
    'semfpn_rapidnet_ti_ade20k': (76, 20, 4),
    'ssdlite_efficientnet_b0_coco': (73, 0, 0),
    'semfpn_r50_ade20k': (60, 0, 0),
}


def norms(model):
    return [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]


def trained(model, dtype=torch.float32):
    random_statistics(model).to(dtype).eval()
    return model


def outputs(model, image=IMAGE):
    """All that a backbone, or a whole model without post-processing, computes."""
    with torch.no_grad():
        found, _ = run_network(model, image.to(next(model.parameters()).dtype))
    return tree_leaves(found)


def assert_same(ours, theirs, tolerance):
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.slow
@all_families
@both_precisions
def test_a_backbone_gives_the_same_maps_without_a_batch_norm(family, dtype):
    model = trained(build(family), dtype)
    count, expected = len(norms(model)), outputs(model)
    fused = to_inference(model)
    assert_same(outputs(fused), expected, TOLERANCES[dtype])
    assert not norms(fused)
    assert fused.fusion.folded['BatchNorm'] == count > 0
    assert not fused.fusion.left


@pytest.mark.slow
@pytest.mark.parametrize('variant', VARIANTS)
def test_ablations_give_the_same_maps_without_a_batch_norm(variant):
    model = trained(RapidNet('ti', **VARIANTS[variant]), torch.float64)
    for module in (m for m in model.modules() if isinstance(m, DeformableConv)):
        nn.init.normal_(module.offset.weight, std=0.01)
    fused = to_inference(model)
    assert_same(outputs(fused), outputs(model), TOLERANCES[torch.float64])
    assert_same(outputs(fused.float()), outputs(model.float()), TOLERANCES[torch.float32])
    assert not norms(fused)
    assert not fused.fusion.left


@pytest.mark.slow
@pytest.mark.parametrize(('config', 'counts'), MODELS_OF_ALL_TASKS.items())
def test_a_whole_model_gives_the_same_outputs(config, counts):
    cfg = engine_config.load_config(CONFIGS / f'{config}.py')
    cfg.model.test_cfg.update(
        {k: {**v, 'max_per_img': 3} for k, v in cfg.model.test_cfg.items() if k in ('rpn', 'rcnn')}
    )
    model = trained(engine_config.build_model(cfg, device='cpu'), torch.float64)
    image = IMAGE[:, :, :64]
    expected = outputs(model, image)
    fused = to_inference(model)
    folded = tuple(
        fused.fusion.folded[k] for k in ('BatchNorm', 'layer scale', 'positional encoding')
    )
    assert folded == counts
    assert not norms(fused)
    assert_same(outputs(fused, image), expected, TOLERANCES[torch.float64])
    if config.startswith('ssdlite_rexnet'):
        assert_same(outputs(fused.float(), image), outputs(model.float(), image), 1e-4)


@pytest.mark.slow
def test_scales_and_identities_are_gone_and_fewer_parameters_are_left():
    model = trained(build('RapidNet'))
    fused = to_inference(model)
    kinds = ('.norm.', '.scale')
    assert any(kind in key for kind in kinds for key in model.state_dict())
    assert not any(kind in key for kind in kinds for key in fused.state_dict())
    assert str(fused.fusion) == (
        'folded: 69 BatchNorms, 20 layer scales, 4 positional encodings; left: nothing'
    )
    kernel = 'stages.2.7.mixer.branch.encoding.conv.weight'
    difference = fused.state_dict()[kernel] - model.state_dict()[kernel]
    assert difference[:, :, 3, 3].allclose(torch.ones(112, 1))
    assert difference.sum() == pytest.approx(112, abs=1e-3)


@pytest.mark.slow
@all_families
def test_a_copy_leaves_the_model_as_it_was(family):
    model = trained(build(family))
    before = copy.deepcopy(model.state_dict())
    expected = outputs(model)
    fused = to_inference(model)
    assert fused is not model
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert len(model.state_dict()) == len(before)
    assert all(one.equal(other) for one, other in zip(outputs(model), expected, strict=True))
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.slow
@all_families
def test_in_place_it_is_the_same_and_a_second_time_nothing_changes(family):
    model = trained(build(family))
    expected = outputs(to_inference(model))
    assert to_inference(model, inplace=True) is model
    state = copy.deepcopy(model.state_dict())
    for fused in (to_inference(model), to_inference(model, inplace=True)):
        assert all(value.equal(state[key]) for key, value in fused.state_dict().items())
        assert all(one.equal(two) for one, two in zip(outputs(fused), expected, strict=True))
        assert not fused.fusion.folded
        assert not fused.fusion.left


def test_synchronised_batch_norm_is_folded_too():
    model = trained(build('ReXNet'), torch.float64)
    expected = outputs(model)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).eval()
    assert_same(outputs(to_inference(model, inplace=True)), expected, 1e-10)
    assert not norms(model)


def test_what_was_frozen_or_recomputed_does_not_matter():
    model = build('RapidNet', frozen_stages=2, norm_eval=True, with_cp=True)
    trained(model, torch.float64)
    assert_same(outputs(to_inference(model)), outputs(model), 1e-10)


def test_group_norm_is_left_alone():
    model = RapidNet('ti', norm_cfg=dict(type='GN', num_groups=4))
    trained(model, torch.float64)
    fused = to_inference(model)
    assert fused.fusion.folded == {'positional encoding': 4}
    assert len(fused.fusion.left) == 20  # the scales behind it
    assert 'the branch does not end with a convolution' in str(fused.fusion)
    assert str(fused.fusion).endswith('and 17 more')
    assert_same(outputs(fused), outputs(model), 1e-10)


@all_families
def test_training_mode_is_refused_in_a_line(family):
    model = build(family)
    line = refusal(to_inference, model.train())
    assert_says(line, FAMILIES[family]['type'], 'is in training mode', 'call eval()')
    model.eval()
    name = norms(model)[3]
    model.get_submodule(name).train()
    assert_says(refusal(to_inference, model), f'{name} is in training mode')


@pytest.mark.slow
@all_families
def test_the_inference_form_cannot_be_trained(family):
    fused = to_inference(trained(build(family)))
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    expected = outputs(fused)
    assert_says(refusal(fused.train), 'inference form cannot be trained', 'made of')
    fused.eval()
    assert all(one.equal(other) for one, other in zip(outputs(fused), expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize('inplace', [True, False])
@pytest.mark.parametrize(
    ('config', 'taps'),
    [
        (dict(type='ReXNet', out_indices=(4,)), ['stages.3.0.expand', 'stages.4.0']),
        (
            dict(type='TFEfficientNet', out_indices=(4,)),
            ['layers.5.0.expand_conv', 'layers.6'],
        ),
    ],
    ids=['ReXNet', 'TFEfficientNet'],
)
def test_taps_give_the_same_maps(config, taps, inplace):
    model = trained(TappedBackbone(config, taps), torch.float64)
    expected, channels = outputs(model), TappedBackbone(config, taps).out_channels
    fused = to_inference(model, inplace=inplace)
    assert not norms(fused)
    for form in (fused, copy.deepcopy(fused), pickle.loads(pickle.dumps(fused))):
        assert_same(outputs(form), expected, 1e-10)
        assert form.out_channels == channels


@pytest.mark.parametrize('tap', ['stages.3.0.expand.conv', 'stages.3.0.expand.norm'])
def test_what_a_tap_looks_at_inside_a_pair_is_left(tap):
    model = trained(TappedBackbone(dict(type='ReXNet'), [tap]), torch.float64)
    fused = to_inference(model)
    assert fused.fusion.left == {
        'backbone.stages.3.0.expand.norm': 'a forward hook looks at it',
    }
    assert_same(outputs(fused), outputs(model), 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    'tap',
    ['branch', 'branch.project', 'branch.project.conv'],
)
def test_a_scale_is_left_where_a_tap_looks_at_what_comes_before_it(tap):
    name = f'stages.1.1.mixer.{tap}'
    model = trained(TappedBackbone(dict(type='RapidNet', arch='ti'), [name]), torch.float64)
    fused = to_inference(model)
    assert 'backbone.stages.1.1.mixer.scale' in fused.fusion.left
    assert fused.fusion.folded['layer scale'] == 19
    assert_same(outputs(fused), outputs(model), 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize('config', [FAMILIES['RapidNet'], FAMILIES['TFEfficientNet']])
def test_it_exports_and_compiles_with_the_same_outputs(config):
    model = to_inference(trained(MODELS.build(config)))
    expected = outputs(model)
    exported = torch.export.export(model, (IMAGE,)).module()
    compiled = torch.compile(model, backend='eager')
    for form in (exported, compiled):
        with torch.no_grad():
            assert_same(form(IMAGE), expected, 1e-5)
        torch._dynamo.reset()


def test_the_state_is_that_of_the_new_structure():
    fused = to_inference(trained(build('ReXNet')))
    other = to_inference(trained(build('ReXNet')))
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    other.load_state_dict(fused.state_dict())
    assert all(one.equal(two) for one, two in zip(outputs(fused), outputs(other), strict=True))


def test_precision_and_memory_layout_are_kept():
    model = trained(build('RapidNet'), torch.bfloat16).to(memory_format=torch.channels_last)
    fused = to_inference(model)
    assert {parameter.dtype for parameter in fused.parameters()} == {torch.bfloat16}
    assert all(
        p.is_contiguous(memory_format=torch.channels_last)
        for p in fused.parameters()
        if p.dim() == 4
    )


class Shared(nn.Module):
    """One convolution, then a BatchNorm for every level, as detection heads have it."""

    def __init__(self):
        super().__init__()
        self.levels = nn.ModuleList(
            ConvModule(3, 4, 3, norm_cfg=dict(type='BN'), act_cfg=None) for _ in range(2)
        )
        self.levels[1].conv = self.levels[0].conv

    def forward(self, x):
        return [level(x) for level in self.levels]


class Twice(nn.Module):
    """The output of the convolution is used beside the BatchNorm."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return [self.norm(y), y]


class Dynamic(Twice):
    """What happens depends on values."""

    def forward(self, x):
        y = self.conv(x)
        return [self.norm(y) if y.sum() > 0 else self.norm(-y)]


class Listed(nn.Module):
    """Layers in lists, called by the block that has the lists."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 1, groups=3, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(3, affine=False) for _ in range(2))

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x))
        return [x]


class Single(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return [self.layers(x)]


class Doubled(nn.Conv2d):
    """A subclass may compute anything."""

    def forward(self, x):
        return super().forward(x) ** 2


UNUSUAL = {
    'shared convolution': (Shared, 2, None),
    'layers in lists': (Listed, 2, None),
    'linear': (lambda: Single(nn.Flatten(), nn.Linear(3 * 65 * 96, 4), nn.BatchNorm1d(4)), 1, None),
    'output used twice': (Twice, 0, 'not alone behind a convolution'),
    'control flow': (Dynamic, 0, 'Dynamic cannot be traced'),
    'before its convolution': (
        lambda: Single(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), 0, 'not alone behind'
    ),
    'after the activation': (
        lambda: Single(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.BatchNorm2d(4)), 0, 'not alone behind'
    ),
    'another convolution': (lambda: Single(Doubled(3, 4, 3), nn.BatchNorm2d(4)), 0, 'not alone'),
    'parametrised': (
        lambda: Single(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)),
        0,
        'not alone',
    ),
    'spectral norm': (
        lambda: Single(nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)),
        0,
        'a forward hook looks at it',
    ),
    'statistics of the batch': (
        lambda: Single(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        0,
        'has no running statistics',
    ),
}  # fmt: skip


@pytest.mark.parametrize(('make', 'folded', 'reason'), UNUSUAL.values(), ids=UNUSUAL)
def test_blocks_of_others_are_folded_only_where_it_is_sure(make, folded, reason):
    torch.manual_seed(0)
    model = make().double().eval()
    for norm in (m for m in model.modules() if isinstance(m, _BatchNorm)):
        if norm.running_mean is not None:
            nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    fused = to_inference(model)
    assert fused.fusion.folded['BatchNorm'] == folded
    assert_same(outputs(fused), outputs(model), 1e-10)
    if reason:
        assert_says(str(fused.fusion), reason)
    else:
        assert len([m for m in fused.modules() if isinstance(m, Folded)]) == folded


def test_a_convolution_alone_and_a_block_alone_are_models_too():
    block = trained(ConvNormAct(3, 8, 3, act=nn.GELU))
    fused = to_inference(block)
    assert_same([fused(IMAGE)], [block(IMAGE)], 1e-5)
    assert str(to_inference(nn.Conv2d(3, 4, 3).eval()).fusion) == 'folded: nothing; left: nothing'


def test_what_was_folded_is_said(monkeypatch):
    said = []
    monkeypatch.setattr('rapidnet_mm.deploy.fuse.print_log', lambda *line: said.append(line[0]))
    to_inference(ReXNet().eval())
    assert said == ['inference form of ReXNet: folded: 61 BatchNorms; left: nothing']
