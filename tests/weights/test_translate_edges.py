"""Names where a small fault would go unnoticed: heads, what is not known, nearly known files."""

import pytest
import torch

from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.weights.names import NAME_TABLES, RAPIDNET
from rapidnet_mm.weights.translate import to_ours

HEADS = {
    'head.weight': torch.rand(10, 4),
    'dist_head.weight': torch.rand(10, 4, 1, 1),
    'prediction.1.weight': torch.rand(4, 2, 3, 3),
    'prediction.2.num_batches_tracked': torch.tensor(3),
}


@pytest.fixture(scope='module')
def published():
    with torch.device('meta'):
        state = RapidNet('ti').state_dict()
    return {RAPIDNET.to_published(key): value for key, value in state.items()}


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_what_the_table_does_not_know_stays_under_its_name(prefix, published):
    extra = {f'{prefix}some.counter': torch.ones(2), 'neck.weight': torch.ones(3)}
    weights = to_ours({f'{prefix}{key}': value for key, value in published.items()} | extra)
    assert weights.family == 'RapidNet'
    assert not weights.dropped
    for key, value in extra.items():
        assert weights.state[key] is value
    assert len(weights.state) == len(published) + 2
    for key, value in published.items():
        assert weights.state[prefix + RAPIDNET.to_ours(key)] is value


def test_a_published_classifier_becomes_a_whole_one_of_ours(published):
    weights = to_ours({**published, **HEADS})
    assert set(weights.dropped) == set(HEADS)
    assert set(weights.head) == set(HEADS)
    whole = weights.as_classifier()
    inner = {f'backbone.{RAPIDNET.to_ours(key)}' for key in published}
    names = {RAPIDNET.head_to_ours(key) for key in HEADS}
    assert None not in names
    assert set(whole.state) == inner | names
    assert not whole.dropped
    assert not whole.head
    assert whole.family == 'RapidNet'
    assert whole.as_classifier() is whole


def test_only_pointwise_heads_become_linear(published):
    state = to_ours({**published, **HEADS}).as_classifier().state
    for key, value in HEADS.items():
        expected = value.flatten(1) if key == 'dist_head.weight' else value
        assert state[RAPIDNET.head_to_ours(key)].equal(expected), key


def test_only_what_a_model_has_of_the_head_is_taken(published):
    weights = to_ours({**published, **HEADS})
    name = RAPIDNET.head_to_ours('head.weight')
    some = weights.with_head({name, 'something else'})
    assert some.state.keys() == weights.state.keys() | {name}
    assert set(some.dropped) == set(HEADS) - {'head.weight'}
    assert not some.head


def test_a_backbone_alone_has_no_head(published):
    weights = to_ours(published)
    assert weights.as_classifier() is weights


@pytest.mark.parametrize(('kept', 'family'), [(0.6, 'RapidNet'), (0.5, None), (0.4, None)])
def test_a_file_is_of_a_family_if_it_has_more_than_half_of_its_names(kept, family, published):
    keys = list(published)[:100]
    count = round(kept * len(keys))
    state = {key if k < count else f'x{k}': published[key] for k, key in enumerate(keys)}
    weights = to_ours(state)
    assert weights.family == family
    if family is None:
        assert weights.state == state
        assert weights.state is not state


@pytest.mark.parametrize('name', NAME_TABLES)
def test_a_table_translates_heads_and_drops_them(name):
    table = NAME_TABLES[name]
    assert table.dropped
    for published in table.dropped:
        assert table.to_ours(f'{published.rstrip(".")}.weight') is None
