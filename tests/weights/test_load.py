import argparse
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from rapidnet_mm import UserError
from rapidnet_mm.backbones.rapidnet import ARCHS, RapidNet
from rapidnet_mm.weights.content import dataset_meta, state_of
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.names import NAME_TABLES, RAPIDNET
from rapidnet_mm.weights.read import read_checkpoint
from rapidnet_mm.weights.translate import to_ours
from tests.checkpoints import fill_from

HEADS = {'prediction.1.weight': torch.zeros(4, 2, 1, 1), 'head.weight': torch.zeros(10, 4)}


class Detector(nn.Module):
    """The outline of a detector: a backbone and something beside it."""

    def __init__(self, arch='ti', classes=3):
        super().__init__()
        self.backbone = RapidNet(arch)
        self.head = nn.Conv2d(224, classes, 1)


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(1)
    model = RapidNet('ti')
    for value in model.state_dict().values():
        if value.is_floating_point():
            nn.init.uniform_(value, 0.1, 1)
    return model


@pytest.fixture(scope='module')
def published(model):
    return {RAPIDNET.to_published(key): value for key, value in model.state_dict().items()}


def assert_same(ours, theirs):
    for key, value in theirs.state_dict().items():
        assert ours.state_dict()[key].equal(value), key


def save(content, tmp_path):
    torch.save(content, tmp_path / 'weights.pth')
    return str(tmp_path / 'weights.pth')


@pytest.mark.parametrize('arch', ARCHS)
def test_names_translate_there_and_back(arch):
    with torch.device('meta'):
        keys = list(RapidNet(arch).state_dict())
    there = [RAPIDNET.to_published(key) for key in keys]
    assert len(set(there)) == len(keys)
    assert [RAPIDNET.to_ours(key) for key in there] == keys
    assert RAPIDNET.recognises(there)
    assert not any(table.recognises(keys) for table in NAME_TABLES.values())


@pytest.mark.slow
@pytest.mark.parametrize('wrapper', ['state_dict_ema', 'model_ema', 'state_dict', 'model', None])
def test_published_classifiers_fill_the_backbone_in_whole(wrapper, model, published, tmp_path):
    weights = {**published, **HEADS}
    content = weights
    if wrapper:
        content = {
            wrapper: weights,
            'args': argparse.Namespace(lr=0.1),
            'optimizer': {'state': {0: {'step': 3}}},
            'epoch': 300,
            'metric': np.float64(76.3),
        }
    target = RapidNet('ti', init_cfg=dict(type='Pretrained', checkpoint=save(content, tmp_path)))
    target.init_weights()
    assert_same(target, model)


def test_averaged_weights_come_before_the_plain_ones(model, published, tmp_path):
    plain = {key: torch.zeros_like(value) for key, value in published.items()}
    target = RapidNet('ti')
    load_pretrained(target, save({'state_dict': plain, 'state_dict_ema': published}, tmp_path))
    assert_same(target, model)


@pytest.mark.slow
def test_published_detectors_fill_backbone_and_head(model, published, tmp_path):
    state = {f'backbone.{key}': value for key, value in published.items()}
    state |= {'head.weight': torch.full((3, 224, 1, 1), 2.0), 'head.bias': torch.ones(3)}
    detector, backbone = Detector(), RapidNet('ti')
    content = {'state_dict': state, 'meta': {'epoch': 12}}
    assert fill_from(detector, content).complete
    assert_same(detector.backbone, model)
    assert detector.head.weight.eq(2).all()
    load_pretrained(backbone, save(content, tmp_path))
    assert_same(backbone, model)


@pytest.mark.slow
def test_our_own_files_go_in_as_they_are(model, tmp_path):
    for content in (model.state_dict(), {'state_dict': model.state_dict()}):
        target = RapidNet('ti')
        assert load_pretrained(target, save(content, tmp_path)).complete
        assert_same(target, model)


@pytest.mark.slow
def test_parallel_training_prefixes_are_removed(model, published, tmp_path):
    target = RapidNet('ti')
    load_pretrained(target, save({f'module.{k}': v for k, v in published.items()}, tmp_path))
    assert_same(target, model)


def test_counters_stored_as_one_element_or_missing_are_fine(published, tmp_path):
    counters = {k: v.reshape(1) if v.dim() == 0 else v for k, v in published.items()}
    without = {k: v for k, v in published.items() if not k.endswith('num_batches_tracked')}
    for state in (counters, without):
        assert load_pretrained(RapidNet('ti'), save(state, tmp_path)).complete


def test_another_variant_is_named(published, tmp_path):
    path = save(published, tmp_path)
    with pytest.raises(UserError, match="is a RapidNet arch='ti', but the config has arch='m'"):
        load_pretrained(RapidNet('m'), path)
    with pytest.raises(UserError, match="is a RapidNet arch='ti', but the config has arch='s'"):
        fill_from(Detector('s'), {f'backbone.{k}': v for k, v in published.items()})


def test_a_partial_file_is_an_error_unless_it_is_allowed(published, tmp_path):
    gap = 'backbone.2.7.mixer.fc1.0.weight'
    path = save({k: v for k, v in published.items() if k != gap}, tmp_path)
    with pytest.raises(UserError, match=r'506 of 507 .*1 missing .*stages\.2\.7\.mixer') as error:
        load_pretrained(RapidNet('ti'), path)
    assert '\n' not in str(error.value)
    config = dict(type='Pretrained', checkpoint=path, allow_partial=True)
    RapidNet('ti', init_cfg=config).init_weights()


@pytest.mark.slow
def test_heads_of_other_classes_are_left_when_only_the_backbone_is_required(model):
    source, target = Detector(classes=5), Detector(classes=3)
    source.backbone.load_state_dict(model.state_dict())
    coverage = fill_from(target, source.state_dict(), require='backbone.')
    assert coverage.misshapen == ['head.weight', 'head.bias']
    assert_same(target.backbone, model)
    with pytest.raises(UserError, match='2 of another shape'):
        fill_from(target, source.state_dict())


def test_weights_of_something_else_are_refused(tmp_path):
    path = save({'layer1.0.conv1.weight': torch.zeros(64, 64, 1, 1)}, tmp_path)
    with pytest.raises(UserError, match='0 of 438 tensors'):
        load_pretrained(RapidNet('ti'), path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'not a checkpoint at all', 'is no checkpoint'),
        (b'PK\x03\x04 cut off', 'is damaged: it is cut off'),
        (None, 'does not exist'),
    ],
)
def test_files_that_are_no_checkpoints_are_named(content, message, tmp_path):
    path = tmp_path / 'some.pth'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


def test_a_truncated_checkpoint_is_named(model, tmp_path):
    path = save(model.state_dict(), tmp_path)
    with open(path, 'r+b') as file:
        file.truncate(100_000)
    with pytest.raises(UserError, match='damaged'):
        read_checkpoint(path)


def test_a_checkpoint_without_tensors_is_named():
    with pytest.raises(UserError, match=r"^checkpoint file .*no weights.*\['epoch'\]"):
        state_of({'epoch': 3}, 'file')


def test_a_training_state_with_its_logs_is_read(tmp_path):
    history = HistoryBuffer([1.0, 0.5], [1, 1])
    path = save({'message_hub': {'log_scalars': {'loss': history}}, 'n': np.int64(3)}, tmp_path)
    content = read_checkpoint(path)
    assert content['message_hub']['log_scalars']['loss'].mean(2) == 0.75
    assert content['n'] == 3


@pytest.mark.slow
def test_files_written_under_another_numpy_are_read(tmp_path):
    # NumPy 1 and 2 name the module of their reconstruction function differently.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        code = (
            'import sys, numpy, torch\n'
            'import numpy.core.multiarray as m\n'
            f'm._reconstruct.__module__ = {module!r}\n'
            f'sys.modules[{module!r}] = m\n'
            "torch.save({'x': numpy.arange(3)}, sys.argv[1])\n"
        )
        path = tmp_path / 'numpy.pth'
        subprocess.run([sys.executable, '-W', 'ignore', '-c', code, str(path)], check=True)
        assert read_checkpoint(path)['x'].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    'meta',
    ['trained by hand', [1], {'CLASSES': 5}, {'dataset_meta': [1]}, {'dataset_meta': {}}],
    ids=str,
)
def test_a_meta_of_another_kind_tells_no_classes(meta):
    assert dataset_meta({'meta': meta}) is None


def test_a_single_class_may_be_a_string():
    assert dataset_meta({'meta': {'CLASSES': 'balloon'}}) == {'classes': ('balloon',)}


def test_keys_that_are_no_names_are_no_weights():
    weight = torch.ones(1)
    assert state_of({'state_dict': {0: torch.zeros(1), 'a': weight}}, 'x') == {'a': weight}


def test_unknown_names_stay_as_they_are():
    state = {'neck.weight': torch.zeros(1)}
    assert to_ours(state) == (state, [], None, {})


def test_pickles_without_torch_are_refused(tmp_path):
    path = tmp_path / 'plain.pkl'
    path.write_bytes(pickle.dumps({'a': 1}, protocol=4))
    with pytest.raises(UserError):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ('extra', 'accepted'),
    [
        ('stages.3.5.ffn.branch.expand.conv.weight', False),
        ('stages.0.9.mixer.scale', False),
        ('stem.2.conv.weight', False),
        ('stages.3.4.num_batches_tracked', True),  # a counter, as other tools leave
        ('stages.7.0.conv.weight', True),  # a whole stage that this backbone does without
    ],
)
def test_layers_that_the_backbone_lacks_are_refused(extra, accepted, tmp_path):
    model = RapidNet('ti')
    torch.save({**model.state_dict(), extra: torch.zeros(3)}, path := str(tmp_path / 'x.pth'))
    if accepted:
        assert load_pretrained(model, path).complete
        return
    with pytest.raises(UserError) as error:
        load_pretrained(model, path)
    assert extra in str(error.value)
    assert path in str(error.value)
    assert load_pretrained(model, path, allow_partial=True).complete
