"""Filling models where a small fault would go unnoticed: places, precision, what is told."""

import itertools

import pytest
import torch
from mmdet.models import ResNet
from torch import nn

from rapidnet_mm import UserError
from rapidnet_mm.backbones import RapidNet, ReXNet, VGNet
from rapidnet_mm.weights.content import dataset_meta, state_of
from rapidnet_mm.weights.contract import fixed_tensors, is_fixed_value
from rapidnet_mm.weights.initializer import Pretrained
from rapidnet_mm.weights.load import fill_model, load_pretrained, weights_for
from rapidnet_mm.weights.names import RAPIDNET
from tests.messages import assert_says, refusal
from tests.training import random_statistics


class Detector(nn.Module):
    """The outline of a detector: a backbone and something beside it."""

    def __init__(self):
        super().__init__()
        self.backbone = RapidNet('ti')
        self.head = nn.Conv2d(224, 3, 1)


@pytest.fixture(scope='module')
def source():
    return random_statistics(RapidNet('ti'))


def assert_same(ours, theirs):
    for key, value in theirs.state_dict().items():
        assert ours.state_dict()[key].equal(value), key


WRAPPERS = ['state_dict_ema', 'model_ema', 'state_dict', 'model', 'ema_state_dict']


@pytest.mark.parametrize(('first', 'second'), itertools.pairwise(WRAPPERS))
def test_of_several_weights_the_first_of_the_list_counts(first, second):
    one, other = {'a': torch.ones(1)}, {'a': torch.zeros(1)}
    assert state_of({second: other, first: one}, 'x') == one
    assert state_of({second: other, first: torch.ones(1)}, 'x') == other  # which is no dict


def test_a_prefix_of_parallel_training_goes_once_and_only_in_front():
    state = {'module.a': torch.ones(1), 'b.module.c': torch.zeros(1)}
    assert state_of({'model': state}, 'x') == {
        'a': state['module.a'],
        'b.module.c': state['b.module.c'],
    }


def test_a_checkpoint_without_weights_is_named_with_what_it_holds():
    with pytest.raises(UserError) as error:
        state_of({f'k{k}': k for k in range(9)}, 'my.pth')
    assert_says(str(error.value), 'my.pth', 'k0', 'k7', *WRAPPERS)
    assert 'k8' not in str(error.value)  # eight are enough


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_fixed_kernel_may_be_rounded_and_nothing_more(dtype):
    exact = torch.tensor([0.1, -0.3, 0.7, 0.0], dtype=torch.float64)
    assert is_fixed_value(exact.to(dtype), exact)
    allowed = max(torch.finfo(dtype).eps, 1e-5)
    assert is_fixed_value((exact * (1 + allowed / 2)).to(dtype), exact)
    for index in range(4):
        changed = exact.clone()
        changed[index] += 4 * allowed
        assert not is_fixed_value(changed.to(dtype), exact), index


def test_a_kernel_of_whole_numbers_is_compared_too():
    exact = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    assert is_fixed_value(torch.tensor([1, 0, 2]), exact)
    assert not is_fixed_value(torch.tensor([1, 0, 3]), exact)


def test_what_cannot_be_compared_is_no_other_kernel():
    exact = torch.ones(3, dtype=torch.float64)
    assert is_fixed_value(torch.empty(3, device='meta'), exact)
    assert is_fixed_value(torch.zeros(1), exact)  # of another shape, which is told elsewhere


def test_a_changed_fixed_kernel_is_refused_in_backbones_and_models():
    backbone = VGNet('f_1_0mp')
    state = dict(backbone.state_dict())
    key = next(reversed(fixed_tensors(backbone)))
    state[key] = state[key] * 1.001
    model = nn.Module()
    model.backbone = VGNet('f_1_0mp')
    weights = weights_for(model, {f'backbone.{k}': v for k, v in state.items()}, 'my.pth')
    line = refusal(fill_model, model, weights, 'my.pth')
    assert_says(line, 'my.pth', key, 'VGNet', 'f_1_0mp')


@pytest.mark.parametrize('extra', ['stages.0.9.mixer.scale', 'stem.2.conv.weight'])
def test_layers_that_the_backbone_of_a_model_lacks_are_refused(extra):
    detector = Detector()
    state = {**detector.state_dict(), f'backbone.{extra}': torch.zeros(3)}
    weights = weights_for(detector, {'state_dict': state}, 'my.pth')
    assert_says(refusal(fill_model, detector, weights, 'my.pth'), 'my.pth', extra)


@pytest.mark.parametrize('prefix', ['teacher', 'teacher.', None])
def test_what_lies_under_a_prefix_is_taken(prefix, source, tmp_path):
    place = 'teacher' if prefix else 'backbone'
    state = {f'{place}.{key}': value for key, value in source.state_dict().items()}
    # Without its prefix this one would be a layer that the backbone lacks.
    torch.save({**state, 'stem.9.weight': torch.ones(1)}, tmp_path / 'x.pth')
    target = RapidNet('ti')
    assert load_pretrained(target, str(tmp_path / 'x.pth'), prefix).complete
    assert_same(target, source)


def test_a_prefix_ends_with_its_name(source, tmp_path):
    state = {f'teachers.{key}': value for key, value in source.state_dict().items()}
    torch.save(state, tmp_path / 'x.pth')
    with pytest.raises(UserError, match='0 of'):
        load_pretrained(RapidNet('ti'), str(tmp_path / 'x.pth'), 'teacher')


@pytest.mark.slow
@pytest.mark.parametrize('place', ['', 'backbone.', 'backbone.backbone.'])
def test_a_backbone_is_found_wherever_it_lies_in_a_file(place, source, tmp_path):
    state = {place + key: value for key, value in source.state_dict().items()}
    torch.save(state | {'head.weight': torch.ones(2)}, tmp_path / 'x.pth')
    target = RapidNet('ti')
    coverage = load_pretrained(target, str(tmp_path / 'x.pth'))
    assert_same(target, source)
    assert coverage.unused == ([] if place else ['head.weight'])


def test_a_single_number_may_have_a_shape_and_others_may_not(source, tmp_path):
    key = 'stages.0.0.mixer.scale'
    state = dict(source.state_dict())
    state[key] = state[key].flatten()  # as many numbers, of another shape
    torch.save(state, tmp_path / 'x.pth')
    with pytest.raises(UserError, match=f'1 of another shape .{key}'):
        load_pretrained(RapidNet('ti'), str(tmp_path / 'x.pth'))


def test_another_variant_is_refused_even_where_a_partial_file_is_allowed(source, tmp_path):
    torch.save(source.state_dict(), tmp_path / 'x.pth')
    with pytest.raises(UserError, match=r'x\.pth is a RapidNet .*ti.*, but .*s'):
        load_pretrained(RapidNet('s'), str(tmp_path / 'x.pth'), allow_partial=True)


def test_a_partial_file_leaves_what_it_lacks_as_it_was(source, tmp_path):
    state = dict(source.state_dict())
    lacking = [key for key in state if key.startswith('stages.3.')]
    torch.save({k: v for k, v in state.items() if k not in lacking}, tmp_path / 'x.pth')
    target = RapidNet('ti')
    before = {key: target.state_dict()[key].clone() for key in lacking}
    coverage = load_pretrained(target, str(tmp_path / 'x.pth'), allow_partial=True)
    assert not coverage.complete
    counters = {key for key in lacking if key.endswith('num_batches_tracked')}
    assert set(coverage.missing) == set(lacking) - counters
    for key, value in target.state_dict().items():
        assert value.equal(before.get(key, state[key])), key


def test_what_is_missing_is_named_twice_at_most(source, tmp_path):
    state = dict(source.state_dict())
    keys = [key for key in state if key.endswith('.scale')]
    for count, shown in ((1, [keys[0]]), (2, keys[:2]), (3, [*keys[:2], '...'])):
        torch.save({k: v for k, v in state.items() if k not in keys[:count]}, tmp_path / 'x.pth')
        with pytest.raises(UserError) as error:
            load_pretrained(RapidNet('ti'), str(tmp_path / 'x.pth'))
        assert f'{count} missing ({", ".join(shown)})' in str(error.value)


def test_a_family_is_named_only_where_the_names_are_published(source, tmp_path):
    published = {RAPIDNET.to_published(key): v for key, v in source.state_dict().items()}
    for state, named in ((source.state_dict(), False), (published, True)):
        torch.save(state, tmp_path / 'x.pth')
        line = refusal(load_pretrained, ReXNet(), str(tmp_path / 'x.pth'))
        assert ('names of RapidNet' in line) == named


def test_of_a_host_the_better_fit_counts_and_what_does_not_fit_is_allowed(tmp_path):
    host, given = ResNet(18), ResNet(18)
    state = {f'backbone.{key}': value for key, value in given.state_dict().items()}
    del state['backbone.conv1.weight']
    torch.save({'state_dict': state}, tmp_path / 'x.pth')
    before = host.conv1.weight.clone()
    Pretrained(str(tmp_path / 'x.pth'))(host)
    assert host.layer4[1].conv2.weight.equal(given.layer4[1].conv2.weight)
    assert host.conv1.weight.equal(before)
    with pytest.raises(UserError, match=r'1 missing .conv1\.weight'):
        Pretrained(str(tmp_path / 'x.pth'), allow_partial=False)(ResNet(18))
    with pytest.raises(UserError, match='0 of'):
        Pretrained(str(tmp_path / 'x.pth'), prefix='neck')(ResNet(18))


@pytest.mark.parametrize(
    ('meta', 'expected'),
    [
        ({'dataset_meta': {'classes': ('a', 'b')}, 'CLASSES': ('c',)}, ('a', 'b')),
        ({'CLASSES': ['a', 3]}, ('a', '3')),
        ({'dataset_meta': {}, 'CLASSES': ('c',)}, ('c',)),
    ],
)
def test_classes_are_those_of_the_newer_way_of_saying_it(meta, expected):
    assert dataset_meta({'meta': meta}) == {'classes': expected}


@pytest.mark.parametrize('key', ['dataset_meta', None])
def test_colours_are_kept_as_whole_numbers(key):
    colours = [[1.0, 2, 3], (4, 5, 6)]
    names = ('classes', 'palette') if key else ('CLASSES', 'PALETTE')
    meta = dict(zip(names, (('a', 'b'), colours), strict=True))
    found = dataset_meta({'meta': {key: meta} if key else meta})
    assert found == {'classes': ('a', 'b'), 'palette': [(1, 2, 3), (4, 5, 6)]}
    meta[names[1]] = 'random'
    assert dataset_meta({'meta': {key: meta} if key else meta}) == {'classes': ('a', 'b')}


def test_a_checkpoint_without_meta_tells_no_classes():
    assert dataset_meta({}) is None
