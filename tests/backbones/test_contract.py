"""The contract that all families share; what is particular to one is in its own file."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

import rapidnet_mm.models  # noqa: F401  registers
from rapidnet_mm import UserError
from rapidnet_mm.backbones import RapidNet, TappedBackbone
from rapidnet_mm.backbones.base import DEFAULT_INIT
from rapidnet_mm.backbones.layers import DropPath
from rapidnet_mm.weights.contract import fixed_tensors
from tests.training import assert_same_training, random_statistics, train_one_step

FAMILIES = {
    'RapidNet': dict(type='RapidNet', arch='ti'),
    'ReXNet': dict(type='ReXNet', width_mult=1.0),
    'ReXNetLite': dict(type='ReXNetLite', width_mult=1.0),
    'ReXNetPlain': dict(type='ReXNetPlain'),
    'TFEfficientNet': dict(type='TFEfficientNet', arch='b0'),
    'MobileViG': dict(type='MobileViG', arch='ti'),
    'VGNet': dict(type='VGNet', arch='g_1_0mp'),
}
FOUR_STAGES = ('RapidNet', 'ReXNetPlain', 'MobileViG', 'VGNet')
STAGES = {family: 4 if family in FOUR_STAGES else 5 for family in FAMILIES}
WITH_SHORTCUTS = [f for f in FAMILIES if f not in ('ReXNetPlain', 'VGNet')]
OF_ALL_VARIANTS = [
    *(dict(type='RapidNet', arch=arch) for arch in ('ti', 's', 'm', 'b')),
    *(dict(type='ReXNet', width_mult=width) for width in (0.9, 1.0, 3.0)),
    *(dict(type='ReXNetLite', width_mult=width) for width in (0.7, 2.0)),
    dict(type='ReXNetPlain'),
    *(dict(type='TFEfficientNet', arch=arch) for arch in ('b0', 'b1', 'b2')),
    *(dict(type='MobileViG', arch=arch) for arch in ('ti', 's')),
    *(dict(type='VGNet', arch=a) for a in ('g_1_0mp', 'c_1_5mp_se', 'f_2_0mp', 'e_2_5mp_se')),
]
all_families = pytest.mark.parametrize('family', FAMILIES)


def build(family, **arguments):
    return MODELS.build({**FAMILIES[family], **arguments})


def parts(model):
    """Prefixes of the names in the stem, and in every stage."""
    if hasattr(model, 'stem'):
        return [('stem.',), *((f'stages.{i}.',) for i in range(len(model.stages)))]
    return [('layers.0.', 'layers.1.'), *((f'layers.{i}.',) for i in range(2, len(model.layers)))]


@pytest.mark.slow
@pytest.mark.parametrize('config', OF_ALL_VARIANTS, ids=lambda c: '-'.join(map(str, c.values())))
def test_maps_have_the_declared_channels_and_strides_at_any_size(config):
    indices = tuple(range(STAGES[config['type']]))
    with torch.device('meta'):
        model = MODELS.build({**config, 'out_indices': indices})
    assert model.out_strides == (4, 8, 16, 32, 32)[: len(indices)]
    for size in ((217, 333), (64, 32), (33, 97)):
        maps = model(torch.empty(2, 3, *size, device='meta'))
        assert [tuple(m.shape) for m in maps] == [
            (2, channels, -(-size[0] // stride), -(-size[1] // stride))
            for channels, stride in zip(model.out_channels, model.out_strides, strict=True)
        ]


@all_families
def test_feature_info_names_the_modules_that_return_the_maps(family):
    config = {**FAMILIES[family], 'out_indices': tuple(range(STAGES[family]))}
    model = random_statistics(MODELS.build(config)).eval()
    tapped = TappedBackbone(config, [info.module for info in model.feature_info]).eval()
    tapped.backbone.load_state_dict(model.state_dict())
    assert tapped.feature_info == model.feature_info
    image = torch.randn(1, 3, 33, 65)
    for ours, expected in zip(tapped(image), model(image), strict=True):
        assert ours.equal(expected)


@all_families
def test_odd_sizes_run_for_real(family):
    maps = build(family).eval()(torch.randn(1, 3, 217, 333))
    assert [tuple(m.shape[2:]) for m in maps] == [(55, 84), (28, 42), (14, 21), (7, 11)]
    assert all(m.isfinite().all() for m in maps)


@all_families
def test_out_indices_choose_the_maps(family):
    last = STAGES[family] - 1
    full = random_statistics(build(family, out_indices=tuple(range(last + 1)))).eval()
    model = build(family, out_indices=(1, last)).eval()
    model.load_state_dict(full.state_dict())
    assert model.out_channels == (full.out_channels[1], full.out_channels[last])
    assert model.out_strides == (8, 32)
    image = torch.randn(1, 3, 64, 96)
    expected = full(image)
    for ours, index in zip(model(image), (1, last), strict=True):
        assert ours.equal(expected[index])


@all_families
def test_the_last_convolution_is_built_only_where_it_is_asked_for(family):
    four = set(build(family).state_dict())
    more = set(build(family, out_indices=range(STAGES[family])).state_dict()) - four
    assert {key.split('.')[1] for key in more} == {
        'TFEfficientNet': {'6'},
        'ReXNet': {'4'},
        'ReXNetLite': {'4'},
    }.get(family, set())


@all_families
def test_every_parameter_gets_a_finite_gradient(family):
    model = random_statistics(build(family))
    sum(output.square().mean() for output in model(torch.randn(2, 3, 64, 96))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ('family', 'frozen'), [(f, k) for f in FAMILIES for k in range(STAGES[f] + 1)]
)
def test_frozen_stages_do_not_change_in_a_training_step(family, frozen):
    model = build(family, frozen_stages=frozen, out_indices=range(STAGES[family]))
    changed = train_one_step(model)
    *still, following = [*parts(model), ()][: frozen + 2]
    assert not {key for key in changed if key.startswith(sum(still, ()))}
    if following:
        assert any(key.startswith(following) and 'running_mean' in key for key in changed)
        assert any(key.startswith(following) and key.endswith('.weight') for key in changed)


@pytest.mark.parametrize('family', [f for f in FAMILIES if STAGES[f] == 5])
def test_everything_can_be_frozen_where_the_last_convolution_is_not_built(family):
    assert not train_one_step(build(family, frozen_stages=5))


@all_families
def test_frozen_parameters_are_frozen_before_an_optimizer_looks(family):
    model = build(family, frozen_stages=1)
    stem, first, *others = parts(model)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(stem + first), name
        assert parameter.requires_grad == name.startswith(sum(others, ())), name


@all_families
@pytest.mark.parametrize('synced', [False, True])
def test_norm_eval_keeps_running_statistics_and_trains_the_rest(family, synced):
    model = build(family, norm_eval=True)
    if synced:  # what the runner does with sync_bn, after the model is built
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    changed = train_one_step(model)
    assert changed == set(dict(model.named_parameters()))


@all_families
def test_by_default_batch_norm_is_trained(family):
    model = build(family)
    assert train_one_step(model) == model.state_dict().keys() - fixed_tensors(model).keys()


@all_families
def test_evaluation_mode_is_evaluation_mode_with_norm_eval_and_frozen_stages(family):
    model = build(family, norm_eval=True, frozen_stages=2)
    assert model.train(False) is model
    assert not any(module.training for module in model.modules())


@pytest.mark.slow
@all_families
@pytest.mark.parametrize('images', [1, 2])
def test_recomputation_gives_the_same_gradients_and_statistics(family, images):
    plain = random_statistics(build(family)).double()
    again = build(family, with_cp=True).double()
    again.load_state_dict(plain.state_dict())
    for model in (plain, again):
        for module in model.modules():
            if hasattr(module, 'rate'):
                module.rate = 0.0  # the default of RapidNet draws random numbers
    assert_same_training(again, plain, torch.randn(images, 3, 64, 96, dtype=torch.float64))


@all_families
def test_recomputation_keeps_fewer_activations(family):
    def kept(with_cp):
        sizes = []
        model = build(family, with_cp=with_cp)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.append(t.numel()) or t, lambda t: t
        ):
            model(torch.randn(1, 3, 64, 96))
        return sum(sizes)

    assert kept(True) < 0.6 * kept(False)


@pytest.mark.parametrize('family', WITH_SHORTCUTS)
def test_drop_path_drops_branches_in_training_only(family):
    model = random_statistics(build(family, drop_path_rate=0.99)).eval()
    image = torch.randn(2, 3, 64, 96)
    assert model(image)[3].equal(model(image)[3])
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # so that only stochastic depth makes a difference
    assert not model(image)[3].equal(model(image)[3])


def test_drop_path_keeps_the_expectation():
    torch.manual_seed(0)
    dropped = DropPath(0.25).train()(torch.ones(20_000, 1, 1, 1))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_small_rates_drop_as_often_in_bfloat16():
    torch.manual_seed(0)
    dropped = DropPath(0.001).train()(torch.ones(1_000_000, 1, dtype=torch.bfloat16))
    assert (dropped == 0).sum().item() == pytest.approx(1000, abs=130)  # four deviations


def test_files_and_drawn_weights_are_kept_apart_and_init_cfg_can_be_replaced(tmp_path):
    drawn = dict(type='Constant', layer='Conv2d', val=0.25)
    file = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    model = RapidNet('ti', init_cfg=[drawn, file])
    assert (model.init_cfg, model.pretrained) == ([drawn], [file])
    model.init_cfg = file
    assert (model.init_cfg, model.pretrained) == ([DEFAULT_INIT], [file])
    model.init_cfg = None
    assert (model.init_cfg, model.pretrained) == ([DEFAULT_INIT], [])


def test_a_file_is_loaded_again_when_weights_are_initialised_again(tmp_path):
    torch.save(RapidNet('ti').state_dict(), tmp_path / 'weights.pth')
    file = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    model = RapidNet('ti', init_cfg=file)
    model.init_weights()
    loaded = model.stem[0].conv.weight.clone()
    nn.init.zeros_(model.stem[0].conv.weight)
    model.init_weights()
    assert model.stem[0].conv.weight.equal(loaded)


@pytest.mark.parametrize('init_cfg', ['file.pth', dict(checkpoint='file.pth'), [3]])
def test_an_init_cfg_without_a_type_is_refused(init_cfg):
    with pytest.raises(UserError, match=r'RapidNet: init_cfg=.*needs a type'):
        RapidNet('ti', init_cfg=init_cfg)


@pytest.mark.parametrize('name', ['droppath_rate', 'stem', 'channels', 'widths', 'use_se'])
@all_families
def test_an_argument_that_does_not_exist_is_refused_by_the_name_of_the_class(family, name):
    with pytest.raises((UserError, TypeError), match=f"unexpected keyword argument '{name}'") as e:
        build(family, **{name: 1})
    assert family in str(e.value)
    if family != 'TFEfficientNet':  # its arguments are all its own, so Python names them
        assert all(argument in str(e.value) for argument in ('frozen_stages', 'init_cfg'))


@pytest.mark.parametrize(
    'norm_cfg',
    ['BN', dict(type='GN'), dict(type='GN', num_groups=5), dict(type='BN', epsilon=1e-3)],
    ids=str,
)
def test_a_norm_that_does_not_go_is_refused_in_one_line(norm_cfg):
    with pytest.raises(UserError, match='norm_cfg=') as error:
        RapidNet('ti', norm_cfg=norm_cfg)
    assert '\n' not in str(error.value)
    assert not str(error.value).endswith(': ')


@all_families
def test_scale_and_shift_of_the_norms_can_be_fixed(family):
    model = build(family, norm_cfg=dict(type='BN', requires_grad=False))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())


IMPOSSIBLE = [
    (dict(out_indices=(0, 5)), r'out_indices=\(0, 5\) must be ascending stages out of 0, 1'),
    (dict(out_indices=(2, 1)), 'ascending'),
    (dict(out_indices=()), r'out_indices=\(\)'),
    (dict(frozen_stages=6), 'frozen_stages=6 must be -1'),
    (dict(frozen_stages=-2), 'frozen_stages=-2'),
    (dict(drop_path_rate=1.5), 'drop_path_rate=1.5 must be in'),
    (dict(drop_path_rate=-0.1), 'drop_path_rate=-0.1 must be in'),
]


@pytest.mark.parametrize(
    ('family', 'arguments', 'message'),
    [
        (family, *case)
        for family in FAMILIES
        for case in IMPOSSIBLE
        if family in WITH_SHORTCUTS or 'drop_path_rate' not in case[0]
    ],
)
def test_impossible_arguments_are_refused_with_what_is_allowed(family, arguments, message):
    with pytest.raises(UserError, match=f'^{family}: .*{message}') as error:
        build(family, **arguments)
    assert '\n' not in str(error.value)
