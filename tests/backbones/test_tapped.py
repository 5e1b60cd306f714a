import copy
import gc
import pickle
import weakref

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from torch import nn

import rapidnet_mm.models  # noqa: F401  registers
from rapidnet_mm.backbones import ReXNet, TappedBackbone
from tests.messages import assert_says, refusal
from tests.training import assert_same_training, random_statistics, train_one_step

REXNET = dict(type='ReXNet', out_indices=(4,))
TAPS = ['stages.3.0.expand', 'stages.4.0']
EFFICIENTNET = dict(type='TFEfficientNet', out_indices=(4,))
CASES = {
    'ReXNet': (REXNET, TAPS, (768, 1280)),
    'ReXNetLite': ({**REXNET, 'type': 'ReXNetLite'}, TAPS, (768, 1280)),
    'TFEfficientNet': (EFFICIENTNET, ['layers.5.0.expand_conv', 'layers.6'], (672, 1280)),
}
all_cases = pytest.mark.parametrize(('config', 'taps', 'channels'), CASES.values(), ids=CASES)
IMAGE = torch.randn(2, 3, 65, 96, generator=torch.Generator().manual_seed(0))


def tapped(config=REXNET, taps=TAPS):
    return random_statistics(TappedBackbone(config, taps)).eval()


def assert_same_maps(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.equal(other)


def test_maps_are_what_the_modules_give():
    model = tapped()
    backbone = model.backbone
    x = backbone.stem(IMAGE)
    for stage in backbone.stages[:3]:
        x = stage(x)
    expansion = backbone.stages[3][0].expand(x)
    assert_same_maps(model(IMAGE), (expansion, *backbone(IMAGE)))


def test_stages_can_be_tapped_as_they_are_returned():
    model = tapped(dict(type='ReXNet'), ['stages.0.1', 'stages.1.1', 'stages.2.5', 'stages.3.4'])
    assert_same_maps(model(IMAGE), model.backbone(IMAGE))
    assert model.out_channels == model.backbone.out_channels
    assert model.out_strides == model.backbone.out_strides


def test_maps_come_in_the_order_of_the_taps():
    model = tapped()
    swapped = TappedBackbone(REXNET, TAPS[::-1]).eval()
    swapped.load_state_dict(model.state_dict())
    assert_same_maps(swapped(IMAGE), model(IMAGE)[::-1])
    assert swapped.out_channels == model.out_channels[::-1]


@all_cases
def test_channels_and_strides_are_told(config, taps, channels):
    model = TappedBackbone(config, taps)
    assert model.out_channels == channels
    assert model.out_strides == (16, 32)
    assert [(m.shape[1], *m.shape[2:]) for m in model.eval()(IMAGE)] == [
        (channels[0], 5, 6),
        (channels[1], 3, 3),
    ]
    assert not [p for p in model.parameters() if p.is_meta]


@pytest.mark.parametrize(
    ('tap', 'nearest'),
    [
        ('stages.3.0.expansion', 'stages.3.0.expand'),
        ('stage.4.0', 'stages.4.0'),
        ('backbone.stages.4.0', 'stages.4.0'),
    ],
)
def test_a_tap_that_does_not_exist_is_refused_with_the_nearest(tap, nearest):
    line = refusal(TappedBackbone, REXNET, ['stages.4.0', tap])
    assert_says(line, f'ReXNet has no module {tap!r} to tap', f'the nearest is {nearest!r}')


def test_the_backbone_itself_is_no_tap():
    assert_says(refusal(TappedBackbone, REXNET, ['']), "no module ''")


@pytest.mark.parametrize('tap', ['stages.3', 'stages.3.4'])
def test_a_tap_that_is_never_called_is_refused(tap):
    model = TappedBackbone(dict(type='ReXNet', out_indices=(0,)), ['stages.0.1', tap])
    line = refusal(model, IMAGE)
    assert_says(line, f'ReXNet never calls {tap}:', 'out_indices', 'container')
    assert_says(refusal(lambda: model.out_channels), f'ReXNet never calls {tap}:')


@all_cases
def test_recomputation_gives_the_same_gradients_and_statistics(config, taps, channels):
    plain = tapped(config, taps).double()
    again = TappedBackbone({**config, 'with_cp': True}, taps).double()
    again.load_state_dict(plain.state_dict())
    assert_same_training(again, plain, IMAGE.double())
    assert plain.out_channels == channels


@pytest.mark.slow
@all_cases
@pytest.mark.parametrize('with_cp', [False, True])
def test_no_map_outlives_its_step(config, taps, channels, with_cp):
    model = TappedBackbone({**config, 'with_cp': with_cp}, taps).train()
    maps = model(IMAGE)
    kept = [weakref.ref(m) for m in maps]
    sum(m.square().mean() for m in maps).backward()
    assert len(kept) == len(channels)
    del maps
    gc.collect()
    assert not [ref for ref in kept if ref() is not None]


def test_a_copy_taps_itself():
    model = tapped()
    clone = copy.deepcopy(model)
    expected = model(IMAGE)
    assert_same_maps(clone(IMAGE), expected)
    for parameter in clone.parameters():
        nn.init.zeros_(parameter)
    assert not any(m.any() for m in clone(IMAGE))
    assert_same_maps(model(IMAGE), expected)
    del model
    assert not any(m.any() for m in clone(IMAGE))


def test_a_moving_average_of_it_gives_maps():
    model = tapped()
    average = ExponentialMovingAverage(model, update_buffers=True)
    average.update_parameters(model)
    assert_same_maps(average(IMAGE), model(IMAGE))


def test_it_survives_pickling():
    model = tapped()
    assert_same_maps(pickle.loads(pickle.dumps(model))(IMAGE), model(IMAGE))


@pytest.mark.slow
@all_cases
def test_it_exports_with_the_same_outputs(config, taps, channels):
    model = tapped(config, taps)
    expected = model(IMAGE)
    exported = torch.export.export(model, (IMAGE,)).module()
    for one, other, width in zip(exported(IMAGE), expected, channels, strict=True):
        torch.testing.assert_close(one, other)
        assert one.shape[1] == width
    assert_same_maps(model(IMAGE), expected)  # and still works


@pytest.mark.slow
def test_it_compiles_with_the_same_outputs():
    model = tapped()
    compiled = torch.compile(copy.deepcopy(model), backend='eager')
    for one, other in zip(compiled(IMAGE), model(IMAGE), strict=True):
        torch.testing.assert_close(one, other)


def test_modes_and_freezing_are_those_of_the_backbone():
    config = {**REXNET, 'frozen_stages': 2, 'norm_eval': True}
    model = TappedBackbone(config, TAPS)
    changed = train_one_step(model)
    frozen = ('backbone.stem.', 'backbone.stages.0.', 'backbone.stages.1.')
    trained = {n for n, _ in model.named_parameters() if not n.startswith(frozen)}
    assert changed == trained
    assert model.eval() is model
    assert not any(module.training for module in model.modules())


def test_by_default_everything_is_trained():
    model = TappedBackbone(REXNET, TAPS)
    assert train_one_step(model) == set(model.state_dict())


def test_weights_are_those_of_the_backbone(tmp_path):
    source = random_statistics(ReXNet(out_indices=(4,)))
    torch.save(source.state_dict(), tmp_path / 'weights.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    model = TappedBackbone({**REXNET, 'init_cfg': init_cfg}, TAPS)
    model.init_weights()
    for key, value in model.backbone.state_dict().items():
        assert value.equal(source.state_dict()[key]), key


@pytest.mark.parametrize('taps', [[], 'stages.3.0'])
def test_taps_that_are_no_list_of_names_are_refused(taps):
    line = refusal(lambda: TappedBackbone(dict(type='ReXNetPlain'), taps))
    assert_says(line, 'must be a list of names')
