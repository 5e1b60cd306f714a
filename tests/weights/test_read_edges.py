"""Checkpoint files where a small fault would go unnoticed: places, sums, formats, reasons."""

import hashlib
import json
import os
import pathlib

import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from safetensors.torch import save_file

from rapidnet_mm import installation
from rapidnet_mm.weights import locate, read
from rapidnet_mm.weights.read import read_checkpoint
from rapidnet_mm.weights.safetensors_file import METADATA
from tests.messages import assert_says, refusal

STATE = {'weight': torch.arange(3.0)}


@pytest.fixture
def paths(tmp_path):
    """The same tensors as torch writes them now and as it wrote them, and as safetensors."""
    names = {'zip': 'new.pth', 'pickle': 'old.pth', 'safetensors': 'x.safetensors'}
    paths = {kind: tmp_path / name for kind, name in names.items()}
    torch.save({'state_dict': STATE}, paths['zip'])
    torch.save({'state_dict': STATE}, paths['pickle'], _use_new_zipfile_serialization=False)
    save_file(STATE, paths['safetensors'])
    return paths


@pytest.mark.parametrize('kind', ['zip', 'pickle', 'safetensors'])
def test_every_format_is_known_and_read(kind, paths):
    assert read.kind_of(paths[kind]) == kind
    assert read.fault_of(paths[kind]) is None
    for place in ('cpu', torch.device('cpu'), None, lambda storage, _: storage):
        content = read_checkpoint(paths[kind], place)
        assert content['state_dict']['weight'].equal(STATE['weight'])
    assert set(content) == {'state_dict'}


@pytest.mark.parametrize('kind', ['zip', 'pickle'])
def test_tensors_go_where_they_are_wanted(kind, paths):
    assert read_checkpoint(paths[kind], 'meta')['state_dict']['weight'].is_meta


@pytest.mark.parametrize('kind', ['zip', 'safetensors'])
def test_a_file_that_is_cut_off_has_a_fault(kind, paths):
    with open(paths[kind], 'r+b') as file:
        file.truncate(paths[kind].stat().st_size - 2)
    assert_says(read.fault_of(paths[kind]), 'cut off' if kind == 'safetensors' else 'damaged')


def test_a_file_of_another_kind_has_a_fault_that_shows_its_beginning(tmp_path):
    path = tmp_path / 'x'
    path.write_bytes(b'')
    assert read.kind_of(path) is None
    assert_says(read.fault_of(path), 'empty')
    path.write_bytes(b'<html>no such file</html>')
    assert read.kind_of(path) is None
    assert_says(read.fault_of(path), '<html>')
    assert 'empty' not in read.fault_of(path)


def test_what_a_safetensors_file_says_of_itself_is_kept(tmp_path):
    meta = {'classes': ['cat', 'dog'], 'epoch': 12}
    save_file(STATE, tmp_path / 'x', {METADATA: json.dumps(meta), 'format': 'pt'})
    assert read_checkpoint(tmp_path / 'x')['meta'] == meta


@pytest.mark.parametrize('change', [str, str.upper])
def test_a_sum_may_be_in_capitals(change, paths):
    right = hashlib.sha256(paths['zip'].read_bytes()).hexdigest()
    assert read_checkpoint(paths['zip'], sha256=change(right))['state_dict'].keys() == STATE.keys()


@pytest.mark.parametrize('wrong', ['', 'ab' * 31, 'ab' * 33, 'xy' * 32, f'{"ab" * 32}\n'])
def test_what_is_no_sum_is_refused_as_such(wrong, paths):
    line = refusal(read_checkpoint, paths['zip'], 'cpu', wrong)
    assert_says(line, '64 hexadecimal digits', paths['zip'])


def test_a_wrong_sum_of_a_download_tells_how_to_get_another(paths, monkeypatch):
    monkeypatch.setattr(locate, 'downloaded', lambda *_: paths['zip'])
    local = refusal(read_checkpoint, paths['zip'], 'cpu', 'ab' * 32)
    remote = refusal(read_checkpoint, 'https://example.org/new.pth', 'cpu', 'ab' * 32)
    assert_says(remote, paths['zip'], 'delete it')
    assert 'delete it' not in local


def test_folders_and_missing_files_are_told_apart(tmp_path):
    assert_says(refusal(read_checkpoint, tmp_path), tmp_path, 'is a folder')
    assert_says(refusal(read_checkpoint, tmp_path / 'x'), tmp_path / 'x', 'does not exist')


def test_the_home_folder_may_be_a_tilde(paths, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert read_checkpoint(f'~/{paths["zip"].name}')['state_dict'].keys() == STATE.keys()


@pytest.mark.parametrize('reader', [read_checkpoint, read.unpickle])
def test_a_file_that_holds_no_dict_is_named_with_what_it_holds(reader, tmp_path, capsys):
    torch.save([torch.ones(1)], tmp_path / 'x.pth')
    assert_says(refusal(reader, tmp_path / 'x.pth'), tmp_path / 'x.pth', 'list')
    assert ('warning' in capsys.readouterr().err) == (reader is read.unpickle)


def test_the_size_of_a_damaged_file_is_told(tmp_path):
    (tmp_path / 'x.pth').write_bytes(b'x' * 1234)
    assert_says(refusal(read_checkpoint, tmp_path / 'x.pth'), '1234 bytes')


@pytest.mark.parametrize('forced', [None, '1'])
def test_unpickling_leaves_the_environment_as_it_was(forced, paths, tmp_path, monkeypatch):
    monkeypatch.delenv(read.FORCE_SAFE, raising=False)
    if forced:
        monkeypatch.setenv(read.FORCE_SAFE, forced)
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'PK')
    assert read.unpickle(paths['zip'])['state_dict']['weight'].equal(STATE['weight'])
    assert os.environ.get(read.FORCE_SAFE) == forced
    assert_says(refusal(read.unpickle, broken), broken, 'even with --trust')
    assert os.environ.get(read.FORCE_SAFE) == forced


def test_unpickling_reads_safetensors_too_and_puts_tensors_on_the_cpu(paths, monkeypatch):
    assert read.unpickle(paths['safetensors'])['state_dict']['weight'].equal(STATE['weight'])
    places, load = [], torch.load

    def record(path, map_location, **arguments):
        places.append(map_location)
        return load(path, map_location=map_location, **arguments)

    monkeypatch.delenv(read.FORCE_SAFE, raising=False)
    monkeypatch.setattr(torch, 'load', record)
    read.unpickle(paths['zip'])
    assert places == ['cpu']


def test_torch_is_told_to_refuse_and_no_longer_to_allow(monkeypatch):
    monkeypatch.setenv(installation.FORCE_UNSAFE, '1')
    monkeypatch.delenv(installation.FORCE_SAFE, raising=False)
    installation.forbid_unpickling()
    installation.forbid_unpickling()
    assert installation.FORCE_UNSAFE not in os.environ
    assert os.environ[installation.FORCE_SAFE] == '1'


def test_an_old_name_leads_to_the_new_one(paths, monkeypatch):
    monkeypatch.setattr(mmengine_checkpoint, 'get_deprecated_model_names', lambda: {'old': 'new'})
    monkeypatch.setattr(mmengine_checkpoint, 'get_external_models', lambda: {'new': 'new.pth'})
    monkeypatch.setattr(mmengine_checkpoint, '_get_mmengine_home', lambda: str(paths['zip'].parent))
    for name in ('old', 'new'):
        assert read.locate(f'open-mmlab://{name}') == paths['zip']
    assert_says(refusal(read.locate, 'openmmlab://newer'), 'openmmlab://newer', 'is new')


@pytest.mark.parametrize('wrapped', [True, False])
def test_only_the_backbone_of_a_classifier_by_name_is_given(wrapped, tmp_path, monkeypatch):
    state = {'backbone.backbone.weight': torch.ones(1), 'head.weight': torch.ones(1)}
    torch.save({'state_dict': state} if wrapped else state, tmp_path / 'm.pth')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setattr(mmengine_checkpoint, 'get_mmcls_models', lambda: {'m': 'm.pth'})
    content = CheckpointLoader.load_checkpoint('mmcls://m')
    assert content == {'state_dict': {'backbone.weight': torch.ones(1)}}
    whole = CheckpointLoader.load_checkpoint(str(tmp_path / 'm.pth'))
    assert whole.keys() == ({'state_dict'} if wrapped else state.keys())


def test_paths_of_trainings_are_read(tmp_path):
    kept = {'out': pathlib.PurePosixPath('a/b'), 'root': pathlib.Path('c')}
    torch.save({'args': kept}, tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth')['args'] == kept
