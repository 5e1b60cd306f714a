"""Files are read whoever wrote them, and none of them runs code, whichever way it is reached."""

import argparse
import hashlib
import json
import os
import pathlib
import sys
from functools import partial

import numpy as np
import pytest
import torch
from mmdet.models import ResNet
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from safetensors.torch import save_file

from rapidnet_mm import Inferencer, UserError, installation
from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.commands.main import execute
from rapidnet_mm.engine.runner import build_runner
from rapidnet_mm.weights import read as reading
from rapidnet_mm.weights.initializer import Pretrained
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.read import read_checkpoint
from tests.engine.test_runner import CONFIG, shapes_config
from tests.messages import assert_says, refusal
from tests.server import serving


class Payload:
    """Unpickled without care, this creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


class StealthyPayload:
    """The same through the one name that is on the list of harmless ones for MMEngine's logs."""

    def __reduce__(self):
        return getattr, (argparse.Namespace, '__init__')


@pytest.fixture
def created(tmp_path):
    """The file that reading ``malicious`` without care would create."""
    return tmp_path / 'created'


@pytest.fixture
def malicious(tmp_path, created):
    path = tmp_path / 'malicious.pth'
    torch.save({'state_dict': {'weight': torch.ones(1)}, 'meta': Payload(created)}, path)
    return str(path)


def assert_refused(created, function, *arguments):
    line = refusal(function, *arguments)
    assert_says(line, 'could run code', 'rapidnet convert --trust')
    assert not created.exists()


def test_the_malicious_file_would_really_create_one(malicious, created, monkeypatch):
    monkeypatch.delenv(reading.FORCE_SAFE, raising=False)  # as a tool run in this process left it
    torch.load(malicious, weights_only=False)
    assert created.exists()


def test_the_list_of_harmless_types_is_no_way_round(tmp_path):
    torch.save({'x': StealthyPayload()}, tmp_path / 'x.pth')
    with pytest.raises(UserError):
        read_checkpoint(tmp_path / 'x.pth')


def test_functions_that_torch_never_allows_are_refused_with_the_way_out(created, tmp_path):
    class Command(Payload):
        def __reduce__(self):
            return os.system, (f'touch {self.path}',)

    torch.save({'x': torch.ones(1), 'y': Command(created)}, tmp_path / 'x.pth')
    assert_refused(created, read_checkpoint, tmp_path / 'x.pth')


def test_init_cfg_runs_no_code(malicious, created):
    for backbone in (RapidNet('ti'), ResNet(18)):
        init_cfg = dict(type='Pretrained', checkpoint=malicious)
        backbone.init_cfg = init_cfg
        assert_refused(created, backbone.init_weights)
        backbone.init_cfg = {**init_cfg, 'prefix': 'backbone'}
        assert_refused(created, backbone.init_weights)


@pytest.mark.slow
def test_training_resuming_and_testing_run_no_code(malicious, created, shapes, tmp_path):
    for options in (dict(), dict(resume=True)):
        cfg = shapes_config(shapes, tmp_path, load_from=malicious, **options)
        assert_refused(created, lambda cfg=cfg: build_runner(cfg).train())
    cfg = shapes_config(shapes, tmp_path, load_from=malicious)
    assert_refused(created, build_runner(cfg, mode='test').test)
    assert_refused(created, Inferencer, CONFIG, malicious)


@pytest.mark.parametrize(
    'prefix',
    ['', 'http', 'torchvision', 'modelzoo', 'open-mmlab', 'openmmlab', 'openmmlab file', 'mmcls'],
)
def test_every_prefix_that_mmengine_knows_is_read_without_running_code(
    prefix, malicious, created, tmp_path, monkeypatch
):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    with serving() as site:
        site.files['/m.pth'] = pathlib.Path(malicious).read_bytes()
        url = f'{site.url}/m.pth'
        monkeypatch.setattr(mmengine_checkpoint, 'get_torchvision_models', lambda: {'m': url})
        monkeypatch.setattr(mmengine_checkpoint, 'get_mmcls_models', lambda: {'m': url})
        target = 'malicious.pth' if prefix.endswith('file') else url
        (tmp_path / 'open_mmlab.json').write_text(json.dumps({'m': target}))
        names = {'': malicious, 'http': url}
        name = names.get(prefix, f'{prefix.removesuffix(" file")}://m')
        assert_refused(created, CheckpointLoader.load_checkpoint, name)


@pytest.mark.parametrize('name', ['pavi://m', 's3://m', 'ceph:s3://m', 'petrel://m', 'ftp://m'])
def test_other_places_are_refused(name):
    assert_says(refusal(CheckpointLoader.load_checkpoint, name), name, 'https', 'torchvision')


def test_mmengine_has_no_loader_that_is_not_ours():
    loaders = set(CheckpointLoader._schemes.values())
    assert loaders == {reading.load_from_checked}


def test_a_name_that_is_not_in_the_list_is_refused_with_the_nearest():
    line = refusal(read_checkpoint, 'torchvision://resnet5')
    assert_says(line, 'torchvision://resnet5', 'the nearest is resnet50')


def test_classifiers_of_mmclassification_give_a_host_their_backbone(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    source = ResNet(18)
    state = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save({'state_dict': {**state, 'head.fc.weight': torch.ones(2)}}, tmp_path / 'm.pth')
    with serving() as site:
        site.files['/m.pth'] = (tmp_path / 'm.pth').read_bytes()
        models = {'resnet18': f'{site.url}/m.pth'}
        monkeypatch.setattr(mmengine_checkpoint, 'get_mmcls_models', lambda: models)
        content = CheckpointLoader.load_checkpoint('mmcls://resnet18')
        assert set(content['state_dict']) == set(source.state_dict())
        target = ResNet(18, init_cfg=dict(type='Pretrained', checkpoint='mmcls://resnet18'))
        target.init_weights()
    assert target.layer4[1].conv2.weight.equal(source.layer4[1].conv2.weight)


def test_in_our_tools_torch_itself_refuses_to_run_code(malicious, created, monkeypatch):
    monkeypatch.setenv(installation.FORCE_UNSAFE, '1')
    monkeypatch.setenv(reading.FORCE_SAFE, '0')
    installation.forbid_unpickling()
    with pytest.raises(Exception, match='Weights only load failed'):
        torch.load(malicious, weights_only=False)
    assert not created.exists()


def test_every_command_runs_so(malicious, created, monkeypatch):
    monkeypatch.setenv(reading.FORCE_SAFE, '0')
    with pytest.raises(Exception, match='Weights only load failed'):
        execute(lambda _: torch.load(malicious, weights_only=False), None)
    assert not created.exists()


def test_only_an_explicit_wish_unpickles_and_warns(malicious, created, monkeypatch, capsys):
    monkeypatch.setenv(reading.FORCE_SAFE, '1')
    assert reading.unpickle(malicious)['state_dict']['weight'].item() == 1
    assert created.exists()
    assert_says(capsys.readouterr().err, 'warning', malicious, 'can run any code')
    created.unlink()
    assert_refused(created, read_checkpoint, malicious)  # it holds for that one file


def test_a_trusted_file_that_needs_what_is_not_installed_is_named(tmp_path, monkeypatch):
    module = type(sys)('no_such_training_code')
    module.State = type('State', (), {'__module__': module.__name__})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    torch.save({'x': module.State()}, tmp_path / 'x.pth')
    monkeypatch.delitem(sys.modules, module.__name__)
    line = refusal(reading.unpickle, tmp_path / 'x.pth')
    assert_says(line, 'x.pth', "No module named 'no_such_training_code'")


def test_what_trainings_keep_beside_the_weights_is_read(tmp_path):
    args = argparse.Namespace(lr=0.1, output_dir=pathlib.Path('work'), drop=None)
    beside = {'args': args, 'optimizer': {'state': {0: {'step': 3}}}, 'acc': np.float64(76.3)}
    torch.save({'model': {'weight': torch.ones(2)}, **beside}, tmp_path / 'x.pth')
    content = read_checkpoint(tmp_path / 'x.pth')
    assert content['args'] == args
    assert type(content['args'].output_dir) is pathlib.PurePosixPath  # on Windows too
    assert content['optimizer'] == beside['optimizer']


@pytest.mark.parametrize('name', ['weights.safetensors', 'weights.pth', 'weights'])
def test_safetensors_are_known_by_their_content(name, tmp_path):
    state = {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.tensor(3)}
    save_file(state, tmp_path / name, {'format': 'pt'})
    content = read_checkpoint(tmp_path / name)
    assert content['state_dict']['a'].equal(state['a'])
    assert content['state_dict']['b'].equal(state['b'])
    with open(tmp_path / name, 'r+b') as file:
        file.truncate(100)
    assert_says(refusal(read_checkpoint, tmp_path / name), name, 'damaged')


@pytest.mark.parametrize('length', [0x80, 0x4B50, 0x180])
def test_safetensors_are_known_whatever_their_first_bytes(length, tmp_path):
    # the length of the header comes first, and may begin like a pickle (0x80) or a zip ('PK')
    entry = {'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}}
    header = json.dumps(entry).encode().ljust(length)
    data = length.to_bytes(8, 'little') + header + np.float32(3).tobytes()
    (tmp_path / 'x.pth').write_bytes(data)
    assert read_checkpoint(tmp_path / 'x.pth')['state_dict']['a'].item() == 3
    assert reading.fault_of(tmp_path / 'x.pth') is None


def test_a_pinned_sum_is_checked_before_anything_is_loaded(tmp_path):
    source = RapidNet('ti')
    torch.save(source.state_dict(), tmp_path / 'weights.pth')
    right = hashlib.sha256((tmp_path / 'weights.pth').read_bytes()).hexdigest()
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'), sha256=right)
    target = RapidNet('ti', init_cfg=init_cfg)
    target.init_weights()
    assert target.stem[0].conv.weight.equal(source.stem[0].conv.weight)
    wrong = {**init_cfg, 'sha256': 'ab' * 32}
    for module in (RapidNet('ti', init_cfg=wrong), ResNet(18, init_cfg=wrong)):
        assert_says(refusal(module.init_weights), 'weights.pth', right, 'ab' * 32)
    empty = torch.nn.Linear(1, 1)
    before = empty.weight.item()
    torch.save({'weight': torch.ones(1, 1), 'bias': torch.ones(1)}, tmp_path / 'linear.pth')
    arguments = dict(checkpoint=str(tmp_path / 'linear.pth'), sha256='ab' * 32)
    for fill in (partial(load_pretrained, empty), lambda **kw: Pretrained(**kw)(empty)):
        refusal(partial(fill, **arguments))
        assert empty.weight.item() == before
    target.init_cfg = {**init_cfg, 'sha256': right[:8]}
    assert_says(refusal(target.init_weights), right[:8], '64 hexadecimal digits')


@pytest.mark.parametrize(
    ('checkpoint', 'told'),
    [
        ('classifier', '100 of 100 tensors loaded, 2 unused (fc.weight, fc.bias)'),
        ('partial', '99 of 100 tensors loaded, 1 missing (conv1.weight)'),
    ],
)
def test_a_backbone_of_a_host_tells_what_it_took(checkpoint, told, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'rapidnet_mm.weights.initializer.print_log', lambda line, **_: lines.append(line)
    )
    state = {k: v for k, v in ResNet(18).state_dict().items() if 'num_batches' not in k}
    if checkpoint == 'partial':
        del state['conv1.weight']
    else:
        state |= {'fc.weight': torch.ones(2, 512), 'fc.bias': torch.ones(2)}
    torch.save(state, tmp_path / 'x.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth'))
    backbone = ResNet(18, init_cfg=init_cfg)
    backbone.init_weights()
    assert lines == [f'ResNet from {tmp_path}/x.pth: {told}']
    assert backbone.layer4[1].conv2.weight.equal(state['layer4.1.conv2.weight'])
    if checkpoint == 'partial':
        strict = ResNet(18, init_cfg={**init_cfg, 'allow_partial': False})
        assert_says(refusal(strict.init_weights), told)


def test_a_file_that_fills_nothing_of_a_host_is_refused(tmp_path):
    torch.save(RapidNet('ti').state_dict(), tmp_path / 'x.pth')
    backbone = ResNet(18, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth')))
    with pytest.raises(UserError, match='0 of 100 tensors loaded'):
        backbone.init_weights()
