"""``rapidnet weights``: the list, the fetching, and what a file is said to hold."""

import argparse
import hashlib
import os
from pathlib import Path

import pytest
import torch

from rapidnet_mm.backbones import MobileViG, RapidNet, ReXNet, ReXNetLite, VGNet
from rapidnet_mm.commands.main import main
from rapidnet_mm.installation import FORCE_SAFE
from rapidnet_mm.models.efficientnet import TFEfficientNet
from rapidnet_mm.weights.known import KNOWN
from rapidnet_mm.weights.names import RAPIDNET
from tests.hub import hub_at
from tests.messages import assert_says

FILE = 'SLDGroup/RapidNet/resolve/main/RapidNet_Ti.pth'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FORCE_SAFE, os.environ.get(FORCE_SAFE, ''))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path


@pytest.fixture
def hub(folder, monkeypatch):
    with hub_at(monkeypatch, folder / 'hub') as hub:
        yield hub


@pytest.fixture
def weights(capsys):
    """A function that runs the command; returns its status and what it prints."""

    def command(*arguments):
        with pytest.raises(SystemExit) as end:
            main(['weights', *map(str, arguments)])
        output = capsys.readouterr()
        return end.value.code or 0, output.out, output.err

    return command


def facts(text):
    lines = (line.partition('  ') for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines}


def published(model):
    """A classifier under the names of RapidNet's authors, as their training saves it."""
    state = {RAPIDNET.to_published(key): value for key, value in model.state_dict().items()}
    heads = {'head.weight': torch.zeros(9, 224), 'dist_head.weight': torch.zeros(9, 224)}
    return dict(
        state_dict={**state, **heads},
        state_dict_ema={**state, **heads},
        optimizer=dict(state={}, param_groups=[]),
        epoch=299,
        args=argparse.Namespace(lr=0.1),
    )


def test_the_list_has_every_name_and_where_its_file_is(weights, hub):
    Path('checkpoints').mkdir()
    torch.save({}, 'checkpoints/rapidnet_m.pth')
    status, output, _ = weights('list')
    assert status == 0
    rows = {line.split()[1]: line for line in output.splitlines() if line.startswith('| ')}
    assert set(KNOWN) <= set(rows)
    for name, where in (
        ('rapidnet_m', 'checkpoints/rapidnet_m.pth'),
        ('rapidnet_b', 'to fetch'),
        ('rexnet_090', 'no public file'),
        ('rexnet_lite_100', 'by hand'),
    ):
        assert where in rows[name]
    assert hub.asked == []


def test_a_name_has_all_its_facts_and_what_is_not_known_is_said_so(weights):
    _, output, _ = weights('list', 'rapidnet_m', 'rexnet_100')
    assert_says(output, KNOWN['rexnet_100'].sha256, '77.862', *KNOWN['rexnet_100'].others)
    assert facts(output.split('name ')[1])['SHA-256'] == 'not known'
    status, _, error = weights('list', 'rapidnet_x')
    assert status == 2
    assert 'rapidnet_x' in error


def test_fetching_shows_progress_and_copies_into_a_folder(weights, hub, folder):
    torch.save(published(RapidNet('ti')), folder / 'file.pth')
    hub.files[FILE] = (folder / 'file.pth').read_bytes()
    hub.files['timm/x.in1k/resolve/main/model.safetensors'] = b''
    status, output, error = weights('fetch', 'rapidnet_ti', '--out-dir', 'checkpoints')
    assert status == 0, error
    assert_says(output, 'rapidnet_ti: checkpoints/RapidNet_Ti.pth')
    assert_says(error, f'{hub.url}/{FILE}', str(folder / 'hub'))
    assert Path('checkpoints/RapidNet_Ti.pth').read_bytes() == hub.files[FILE]
    assert 'checkpoints/RapidNet_Ti.pth' in weights('fetch', 'rapidnet_ti')[1]
    assert weights('fetch', 'rapidnet_ti', '--out-dir', 'checkpoints')[0] == 0
    assert len(hub.sent) == 1
    status, _, error = weights('fetch', 'rexnet_090')
    assert status == 2
    assert len(error.splitlines()) == 1


def test_a_file_with_a_general_name_is_copied_under_its_own(weights, hub):
    from safetensors.torch import save

    hub.files['timm/x.in1k/resolve/main/model.safetensors'] = save({'weight': torch.ones(2)})
    _, output, error = weights('fetch', 'timm/x.in1k', '--out-dir', 'out')
    assert 'out/x.in1k.safetensors' in output, error


def test_a_folder_that_cannot_be_written_is_said_before_fetching(weights, hub):
    Path('out').write_text('a file')
    status, _, error = weights('fetch', 'rapidnet_ti', '--out-dir', 'out/inside')
    assert (status, len(error.splitlines())) == (2, 1)
    assert hub.asked == []


def test_a_published_file_is_described(weights, monkeypatch):
    torch.save(published(RapidNet('ti')), 'x.pth')
    digest = hashlib.sha256(Path('x.pth').read_bytes()).hexdigest()
    monkeypatch.setitem(KNOWN, 'mine', KNOWN['rapidnet_ti']._replace(sha256=digest[:8]))
    shown = facts(weights('show', 'x.pth')[1])
    assert shown['SHA-256'] == digest
    assert shown['known as'] == 'mine'
    assert shown['names'] == 'of RapidNet'
    assert shown['backbone'] == "RapidNet arch='ti'"
    assert shown['holds'] == 'a classifier'
    assert shown['weights'].startswith('averaged')
    assert_says(shown['training'], 'epoch 299', 'optimizer')
    assert shown['classes'] == 'not named'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('build', 'expected'),
    [
        (lambda: MobileViG('s'), "MobileViG arch='s'"),
        (lambda: ReXNet(1.3, out_indices=(4,)), 'ReXNet width_mult=1.3'),
        (lambda: ReXNetLite(1.5, out_indices=(4,)), 'ReXNetLite width_mult=1.5'),
        (lambda: TFEfficientNet('b1'), "TFEfficientNet arch='b1'"),
        (lambda: VGNet('g_1_0mp'), "VGNet arch='g_1_0mp'"),
        (lambda: torch.nn.Linear(2, 3), 'not known'),
    ],
)
def test_backbones_of_our_own_files_are_recognised_anywhere(build, expected, weights):
    state = build().state_dict()
    meta = dict(dataset_meta=dict(classes=('cat', 'dog')))
    for prefix, holds in (('', 'a backbone'), ('backbone.', 'a detector')):
        content = {f'{prefix}{key}': value for key, value in state.items()}
        if prefix:
            content['roi_head.bbox_head.fc_cls.bias'] = torch.zeros(3)
        torch.save(dict(state_dict=content, meta=meta), 'x.pth')
        shown = facts(weights('show', 'x.pth')[1])
        assert expected in shown['backbone']
        assert shown['holds'] == holds
        assert shown['training'] == 'no state of a training'
        assert shown['classes'] == '2: cat, dog'


def test_all_keys_can_be_listed(weights):
    torch.save({'state_dict': {'a.weight': torch.zeros(2, 3), 'a.bias': torch.zeros(2)}}, 'x.pth')
    lines = weights('show', 'x.pth', '--keys')[1].splitlines()
    assert lines[-2:] == ['a.weight  (2, 3)', 'a.bias  (2,)']


def test_a_file_that_is_no_checkpoint_is_a_line(weights):
    Path('x.pth').write_text('<html>')
    status, _, error = weights('show', 'x.pth')
    assert (status, len(error.splitlines())) == (2, 1)
    assert 'x.pth' in error
