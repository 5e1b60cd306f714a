"""Converted and published checkpoints: the same weights, nothing of the training, and a card."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from rapidnet_mm import Inferencer
from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine.config import build_model
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.read import read_checkpoint
from rapidnet_mm.weights.release import convert, packed, publish
from tests.engine.test_runner import CONFIG
from tests.messages import assert_says, refusal
from tests.tools import program, refused, succeeded, tool
from tests.training import random_statistics
from tests.weights.test_published_files import as_mm2
from tests.weights.test_read import Payload

CLASSES = ('disc', 'square', 'triangle', 'star', 'cross')
PALETTE = [(1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15)]
METRICS = {'coco/bbox_mAP': 0.41236, 'classes': {'disc': {'AP': 0.5}, 'star': None}}


@pytest.fixture(scope='module')
def cfg():
    cfg = engine_config.load_config(CONFIG)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture(scope='module')
def model(cfg):
    return random_statistics(MODELS.build(cfg.model))


@pytest.fixture(scope='module')
def trained(model, tmp_path_factory):
    """What a training leaves: optimizer, logs, and weights channels last."""
    path = tmp_path_factory.mktemp('trained') / 'epoch_12.pth'
    state = {
        k: v.to(memory_format=torch.channels_last) if v.dim() == 4 else v
        for k, v in model.state_dict().items()
    }
    meta = {'epoch': 12, 'dataset_meta': {'classes': CLASSES, 'palette': PALETTE}}
    optimizer = {'state': {0: {'exp_avg': torch.ones(1000)}}}
    torch.save({'state_dict': state, 'meta': meta, 'optimizer': optimizer}, path)
    return str(path)


def release(cfg, source, folder, metrics=None):
    return publish(build_model(cfg), CONFIG, cfg.pretty_text, source, folder, metrics)


@pytest.fixture(scope='module')
def published(cfg, trained, tmp_path_factory):
    return publish(
        build_model(cfg),
        CONFIG,
        cfg.pretty_text,
        trained,
        tmp_path_factory.mktemp('published'),
        METRICS,
    )


def assert_same(content, model):
    state = model.state_dict()
    assert content['state_dict'].keys() == state.keys()
    for key, value in state.items():
        assert content['state_dict'][key].equal(value), key


def test_a_published_file_is_named_by_its_hash_and_has_the_weights_alone(published, model):
    weights, card = published
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.name == f'maskrcnn_rapidnet_ti_shapes-{digest[:8]}.safetensors'
    assert card == weights.with_suffix('.md')
    content = read_checkpoint(weights)
    assert set(content) == {'state_dict', 'meta'}
    assert set(content['meta']) == {'dataset_meta'}
    assert_same(content, model)


@pytest.mark.slow
def test_publishing_twice_gives_the_same_file(published, cfg, trained, tmp_path):
    again, card = release(cfg, trained, tmp_path)
    assert again.name == published[0].name
    assert_says(card.read_text(), 'Not measured.')
    release(cfg, trained, tmp_path, METRICS)
    line = refusal(release, cfg, trained, tmp_path)
    assert_says(line, card, 'has metrics, which would be lost', '--metrics')
    assert_says(card.read_text(), '0.4124')


def test_weights_alone_are_not_said_to_be_of_one_kind(published, cfg, tmp_path):
    _, card = release(cfg, str(published[0]), tmp_path)
    assert_says(card.read_text(), 'averaged or not is not known')


def test_the_card_says_what_it_is_how_good_and_made_with_what(published, model):
    weights, card = published
    text = card.read_text()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert_says(text, f'MaskRCNN, {parameters:,} parameters', weights.name, 'epoch 12')
    assert_says(text, f'SHA-256: {hashlib.sha256(weights.read_bytes()).hexdigest()}')
    assert_says(text, '| coco/bbox_mAP | 0.4124 |', '| classes / disc / AP | 0.5000 |')
    assert_says(text, f'rapidnet test {CONFIG} {weights.name}', f'torch {torch.__version__}')
    assert_says(text, 'mmdet', "type='RapidNet'", 'not averaged')


@pytest.mark.parametrize('door', ['/bin/rapidnet', 'C:/rapidnet.exe', '/x/rapidnet_mm/__main__.py'])
def test_the_card_has_commands_for_any_machine(door, cfg, trained, tmp_path, monkeypatch):
    monkeypatch.setattr('sys.argv', [door, 'publish', 'a b.py'])
    _, card = release(cfg, trained, tmp_path)
    assert "    rapidnet publish 'a b.py'" in card.read_text().splitlines()


def test_published_files_go_into_backbones_and_the_inferencer(published, trained, model):
    weights, _ = published
    backbone = RapidNet('ti')
    assert load_pretrained(backbone, str(weights)).complete
    assert backbone.stem[0].conv.weight.equal(model.backbone.stem[0].conv.weight)
    image = np.random.default_rng(0).integers(0, 255, (75, 120, 3), np.uint8)
    before, after = (Inferencer(CONFIG, path, 'cpu') for path in (trained, weights))
    assert after.classes == CLASSES
    assert after._palette == PALETTE
    assert np.array_equal(before(image).boxes, after(image).boxes)


def test_weights_that_mmengine_averaged_are_what_is_published(cfg, model, tmp_path):
    source = MODELS.build(cfg.model)
    source.load_state_dict(model.state_dict())
    hook = EMAHook(momentum=0.5)
    hook.before_run(SimpleNamespace(model=source))
    hook.ema_model.update_parameters(source)  # the first only copies
    for parameter in source.parameters():
        nn.init.constant_(parameter, 3.0)
    hook.ema_model.update_parameters(source)
    averaged = {k: v.clone() for k, v in hook.ema_model.module.state_dict().items()}
    name = 'backbone.stem.0.conv.weight'
    assert not averaged[name].equal(source.state_dict()[name])
    checkpoint = {'state_dict': source.state_dict()}
    hook.before_save_checkpoint(None, checkpoint)
    torch.save(checkpoint, tmp_path / 'ema.pth')
    weights, card = publish(
        build_model(cfg), CONFIG, cfg.pretty_text, str(tmp_path / 'ema.pth'), tmp_path
    )
    content = read_checkpoint(weights)
    for key, value in averaged.items():
        assert content['state_dict'][key].equal(value), key
    assert_says(card.read_text(), 'averaged over the training (EMA)')


@pytest.mark.parametrize('wrapper', ['state_dict_ema', 'model_ema'])
def test_weights_that_others_averaged_are_what_is_published(wrapper, cfg, model, tmp_path):
    plain = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    averaged = as_mm2(model)['state_dict']
    torch.save({'state_dict': plain, wrapper: averaged}, tmp_path / 'ema.pth')
    weights, card = publish(
        build_model(cfg), CONFIG, cfg.pretty_text, str(tmp_path / 'ema.pth'), tmp_path
    )
    assert_same(read_checkpoint(weights), model)
    assert_says(card.read_text(), 'averaged over the training (EMA)')


def test_what_does_not_fill_the_model_is_not_published(cfg, tmp_path):
    torch.save(RapidNet('ti').state_dict(), tmp_path / 'backbone.pth')
    line = refusal(release, cfg, str(tmp_path / 'backbone.pth'), tmp_path / 'out')
    assert_says(line, 'backbone.pth', 'missing (neck.', 'another model')
    assert not (tmp_path / 'out').exists()


def test_a_whole_published_model_is_converted_to_our_names(model, tmp_path):
    torch.save(as_mm2(model), tmp_path / 'mm2.pth')
    target = tmp_path / 'ours.safetensors'
    told = convert(str(tmp_path / 'mm2.pth'), target)
    total = len(model.state_dict())
    assert_says(told, target, f'{total} tensors', 'names of RapidNet translated')
    assert_says(told, f'SHA-256 {hashlib.sha256(target.read_bytes()).hexdigest()}')
    content = read_checkpoint(target)
    assert_same(content, model)
    assert content['meta'] == {'dataset_meta': {'classes': ['a', 'b', 'c']}}


def test_every_bit_of_any_type_survives_conversion(tmp_path):
    shared = torch.arange(6.0)
    state = {
        'half': torch.tensor([1.5, float('nan'), -0.0]).half(),
        'bfloat': torch.tensor([3.0]).bfloat16(),
        'whole': torch.tensor(2**40),
        'yes': torch.tensor([True]),
        'empty': torch.zeros(0, 3),
        'one': shared[:4],
        'other': shared[2:],
        'turned': torch.arange(6.0).reshape(2, 3).t(),
    }
    torch.save(state, tmp_path / 'any.pth')
    told = convert(str(tmp_path / 'any.pth'), tmp_path / 'any.safetensors')
    assert_says(told, '8 tensors, names as they were')
    back = read_checkpoint(tmp_path / 'any.safetensors')['state_dict']
    for key, value in state.items():
        torch.testing.assert_close(back[key], value, rtol=0, atol=0, equal_nan=True)


def test_what_the_format_cannot_hold_is_named(tmp_path):
    torch.save({'odd': torch.eye(2).to_sparse()}, tmp_path / 'x.pth')
    line = refusal(convert, str(tmp_path / 'x.pth'), tmp_path / 'x.safetensors')
    assert_says(line, 'odd is a sparse')
    assert not (tmp_path / 'x.safetensors').exists()


def test_conversion_never_overwrites_its_input(tmp_path):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(packed({'a': torch.ones(2)}))
    (tmp_path / 'link.safetensors').symlink_to(path)
    before = path.read_bytes()
    for target in (path, tmp_path / 'link.safetensors'):
        assert_says(refusal(convert, str(path), target), target, 'is the file to read')
    assert_says(refusal(convert, str(path), tmp_path / 'x.pth'), 'end in .safetensors')
    assert path.read_bytes() == before


def test_a_disk_that_loses_what_was_written_is_noticed(tmp_path, monkeypatch):
    torch.save({'a': torch.ones(2)}, tmp_path / 'x.pth')

    def lossy(data, path):
        path.write_bytes(data[:-1] + b'x')

    monkeypatch.setattr('rapidnet_mm.weights.release.write_output', lossy)
    line = refusal(convert, str(tmp_path / 'x.pth'), tmp_path / 'x.safetensors')
    assert_says(line, 'x.safetensors', 'SHA-256')


@pytest.mark.slow
def test_the_converter_unpickles_only_what_it_is_told_to_trust(tmp_path):
    created = tmp_path / 'created'
    torch.save({'state_dict': {'a': torch.ones(2)}, 'x': Payload(created)}, tmp_path / 'x.pth')
    done = program('convert_checkpoint.py', 'x.pth', 'x.safetensors', cwd=tmp_path)
    refused(done, r'x\.pth holds .*rapidnet convert --trust x\.pth')
    assert not created.exists()
    done = tool('convert_checkpoint.py', 'x.pth', 'x.safetensors', '--trust', cwd=tmp_path)
    assert_says(succeeded(done), 'warning: x.pth', 'can run any code', 'SHA-256 ')
    assert created.exists()
    assert read_checkpoint(tmp_path / 'x.safetensors')['state_dict']['a'].sum() == 2


@pytest.mark.slow
def test_a_published_model_is_measured_by_test_py(trained, shapes, tmp_path):
    (tmp_path / 'metrics.json').write_text(json.dumps(METRICS))
    args = [CONFIG, trained, '--out-dir', tmp_path, '--metrics', tmp_path / 'metrics.json']
    output = succeeded(program('publish_model.py', *args, cwd=shapes))
    (weights,) = tmp_path.glob('*.safetensors')
    assert_says(output, weights, weights.with_suffix('.md'))
    assert_says(weights.with_suffix('.md').read_text(), '0.4124', 'publish_model.py')
    work = ['--work-dir', tmp_path / 'work']
    one = [*work, '--cfg-options', 'test_dataloader.dataset.indices=1']
    assert_says(succeeded(tool('test.py', CONFIG, weights, *one, cwd=shapes)), 'bbox_mAP')
    (tmp_path / 'metrics.json').write_text('[1]')
    refused(tool('publish_model.py', *args, cwd=shapes), 'metrics.json holds no metrics')
