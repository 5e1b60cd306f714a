import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rapidnet_mm import UserError
from rapidnet_mm.backbones.layers import DropPath
from rapidnet_mm.backbones.rapidnet import ARCHS, RapidNet, published_drop_rates
from rapidnet_mm.name_tables import RAPIDNET

from .reference import assert_equals_recorded, published_state, recorded, reference_input

# Published: parameters with both heads, G at 224 with them, G at 512 without (supplement).
PUBLISHED = {
    'ti': (6_627_840, 0.617, 3.22),
    's': (9_213_088, 0.897, 4.68),
    'm': (17_304_496, 1.597, 8.34),
    'b': (30_556_496, 3.354, 17.52),
}


def head_sizes(arch):
    """Parameters and multiply-accumulates of the classifier with its two heads of 1000 classes."""
    width, channels = arch.head_channels, arch.channels[-1]
    params = channels * width + width + 2 * width + 2 * (width * 1000 + 1000)
    return params, channels * width + 2 * width * 1000


def giga_macs(arch, size):
    with torch.device('meta'):
        model, image = RapidNet(arch), torch.empty(1, 3, size, size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image)
    return counter.get_total_flops() / 2 / 1e9


def random_statistics(model):
    """Scales and BatchNorm statistics as after a training: nothing is left at 0 or 1."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for name, parameter in model.named_parameters():
        if name.endswith('scale'):
            nn.init.uniform_(parameter, 0.3, 0.6)
    return model


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
    assert count + head_sizes(ARCHS[arch])[0] == PUBLISHED[arch][0]


@pytest.mark.parametrize('arch', ARCHS)
def test_multiply_accumulates_equal_the_paper(arch):
    _, with_head, without_head = PUBLISHED[arch]
    assert giga_macs(arch, 512) == pytest.approx(without_head, rel=0.005)
    assert giga_macs(arch, 224) + head_sizes(ARCHS[arch])[1] / 1e9 == pytest.approx(
        with_head, rel=0.005
    )


@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('size', [(217, 333), (64, 32), (33, 97)])
def test_maps_have_the_declared_channels_and_strides_at_any_size(arch, size):
    with torch.device('meta'):
        model, image = RapidNet(arch), torch.empty(2, 3, *size)
    maps = model(image)
    assert len(maps) == 4
    for output, channels, stride in zip(maps, model.out_channels, model.out_strides, strict=True):
        assert output.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_odd_sizes_run_for_real():
    maps = RapidNet('ti').eval()(torch.randn(1, 3, 217, 333))
    assert [tuple(m.shape[2:]) for m in maps] == [(55, 84), (28, 42), (14, 21), (7, 11)]
    assert all(m.isfinite().all() for m in maps)


def test_out_indices_choose_the_maps():
    model = RapidNet('ti', out_indices=(1, 3)).eval()
    full = RapidNet('ti').eval()
    full.load_state_dict(model.state_dict())
    image = torch.randn(1, 3, 64, 96)
    assert model.out_channels == (64, 224)
    assert model.out_strides == (8, 32)
    for ours, index in zip(model(image), (1, 3), strict=True):
        torch.testing.assert_close(ours, full(image)[index])


def test_it_is_built_by_name_without_a_prefix():
    assert isinstance(MODELS.build(dict(type='RapidNet', arch='ti')), RapidNet)


def test_every_parameter_gets_a_finite_gradient():
    model = random_statistics(RapidNet('ti'))
    sum(output.square().mean() for output in model(torch.randn(2, 3, 64, 96))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def train_one_step(model):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    assert model.train() is model
    loss = sum(output.square().mean() for output in model(torch.randn(2, 3, 64, 96)))
    if loss.requires_grad:  # not where all stages are frozen
        loss.backward()
    optimizer.step()
    return {key for key, value in model.state_dict().items() if not value.equal(before[key])}


@pytest.mark.parametrize('frozen', range(5))
def test_frozen_stages_do_not_change_in_a_training_step(frozen):
    model = RapidNet('ti', frozen_stages=frozen)
    changed = train_one_step(model)
    still = ('stem.', *(f'stages.{index}.' for index in range(frozen)))
    assert not {key for key in changed if key.startswith(still)}
    if frozen < 4:
        assert any(key.startswith(f'stages.{frozen}.') for key in changed)
        assert any('running_mean' in key for key in changed)


def test_frozen_parameters_are_frozen_before_an_optimizer_looks():
    model = RapidNet('ti', frozen_stages=1)
    assert not any(p.requires_grad for p in model.stem.parameters())
    assert not any(p.requires_grad for p in model.stages[0].parameters())
    assert all(p.requires_grad for p in model.stages[1].parameters())


def test_norm_eval_keeps_running_statistics_and_trains_the_rest():
    changed = train_one_step(RapidNet('ti', norm_eval=True))
    assert changed
    assert not {key for key in changed if 'running' in key or 'num_batches' in key}


def test_by_default_batch_norm_is_trained_as_published():
    changed = train_one_step(RapidNet('ti'))
    assert 'stem.0.norm.running_mean' in changed
    assert 'stem.0.norm.weight' in changed


def test_evaluation_mode_is_evaluation_mode_with_norm_eval_and_frozen_stages():
    model = RapidNet('ti', norm_eval=True, frozen_stages=2)
    assert model.train(False) is model
    assert not any(module.training for module in model.modules())


def test_recomputation_gives_the_same_gradients_and_statistics():
    torch.manual_seed(0)
    plain = random_statistics(RapidNet('ti', drop_path_rate=0.0)).double()
    again = RapidNet('ti', drop_path_rate=0.0, with_cp=True).double()
    again.load_state_dict(plain.state_dict())
    image = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    for model in (plain, again):
        model.train()
        sum(output.square().mean() for output in model(image)).backward()
    for ours, theirs in zip(again.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for (key, ours), theirs in zip(
        again.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        assert ours.equal(theirs), key


def test_recomputation_keeps_fewer_activations():
    def kept(with_cp):
        sizes = []
        model = RapidNet('ti', with_cp=with_cp)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.append(t.numel()) or t, lambda t: t
        ):
            model(torch.randn(1, 3, 64, 96))
        return sum(sizes)

    assert kept(True) < 0.6 * kept(False)


@pytest.mark.parametrize('arch', ARCHS)
def test_effective_drop_rates_stay_under_the_published_bound(arch):
    rates = published_drop_rates(ARCHS[arch], 0.1)
    assert 0 < max(map(max, rates)) < 0.022
    assert rates[0] == [0.0] * len(rates[0])


def test_drop_path_drops_branches_in_training_only():
    model = random_statistics(RapidNet('ti', drop_path_rate=0.99)).eval()
    image = torch.randn(2, 3, 64, 96)
    assert model(image)[3].equal(model(image)[3])
    model.train()
    assert not model(image)[3].equal(model(image)[3])
    rates = {m.rate for m in model.modules() if hasattr(m, 'rate')}
    assert max(rates) == pytest.approx(0.99 * 3 / 15)


def test_drop_path_keeps_the_expectation():
    torch.manual_seed(0)
    dropped = DropPath(0.25).train()(torch.ones(20_000, 1, 1, 1))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_other_normalisation_layers_can_be_chosen():
    model = RapidNet('ti', norm_cfg=dict(type='GN', num_groups=4))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    frozen = RapidNet('ti', norm_cfg=dict(type='BN', requires_grad=False))
    assert not frozen.stem[0].norm.weight.requires_grad


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(arch='xl'), r"no arch 'xl'; choose one of \['b', 'm', 's', 'ti'\]"),
        (dict(out_indices=(0, 4)), 'out_indices'),
        (dict(out_indices=(2, 1)), 'ascending'),
        (dict(frozen_stages=5), 'frozen_stages=5'),
        (dict(drop_path_rate=1.5), 'drop_path_rate=1.5'),
        (dict(norm_cfg=dict(type='BatchNorm')), 'BatchNorm'),
    ],
)
def test_impossible_arguments_are_refused_with_what_is_allowed(arguments, message):
    with pytest.raises(UserError, match=message):
        RapidNet(**arguments)
