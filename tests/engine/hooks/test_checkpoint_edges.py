"""Checkpoints where a small fault would go unnoticed: rubbish, text files, removal, the newest."""

import os
from types import SimpleNamespace

import pytest
import torch
from mmengine.fileio import LocalBackend, get_file_backend

from rapidnet_mm.engine.hooks import AtomicBackend, AtomicCheckpointHook
from rapidnet_mm.engine.hooks import checkpoint as module
from rapidnet_mm.engine.hooks.checkpoint import _RemovesLater, checkpoint_files, latest_checkpoint
from rapidnet_mm.files import write_atomically


def before_train(folder):
    hook = AtomicCheckpointHook(interval=1)
    hub = SimpleNamespace(pop_info=lambda *_: None, update_info=lambda *_: None, runtime_info={})
    hook.before_train(
        SimpleNamespace(
            work_dir=str(folder),
            message_hub=hub,
            logger=SimpleNamespace(info=lambda _: None),
        )
    )


@pytest.mark.parametrize('name', ['epoch_3.pth', 'iter_200.pth', 'best_mAP_epoch_3.pth'])
def test_half_written_checkpoints_of_every_kind_are_cleared_away(name, tmp_path):
    (tmp_path / f'.{name}.123.partial').write_bytes(b'half')
    kept = {name, f'.{name}', '.other.123.partial', 'notes.partial'}
    for other in kept:
        (tmp_path / other).write_bytes(b'whole')
    before_train(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_only_the_main_process_clears_away(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'is_main_process', lambda: False)
    (tmp_path / '.epoch_3.pth.123.partial').write_bytes(b'half')
    before_train(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_another_backend_can_be_chosen():
    assert AtomicCheckpointHook(backend_args=dict(backend='local')).backend_args == dict(
        backend='local'
    )


def test_a_write_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    target, moments = tmp_path / 'new/folder/epoch_1.pth', []
    rename, sync = os.replace, os.fsync

    def record(name, function, *arguments):
        partial = [path.read_bytes() for path in target.parent.iterdir() if path != target]
        moments.append((name, partial, target.exists()))
        return function(*arguments)

    monkeypatch.setattr(os, 'fsync', lambda *arguments: record('sync', sync, *arguments))
    monkeypatch.setattr(os, 'replace', lambda *arguments: record('rename', rename, *arguments))
    write_atomically(b'whole', target)
    whole = [b'whole']
    assert moments[:2] == [('sync', whole, False), ('rename', whole, False)]
    assert moments[2:] == [('sync', [], True)]  # the folder, with the new name in it
    assert [path.name for path in target.parent.iterdir()] == ['epoch_1.pth']
    assert target.read_bytes() == b'whole'


def test_texts_are_written_atomically_in_their_encoding(tmp_path, monkeypatch):
    backend = get_file_backend(backend_args=dict(backend='atomic'))
    assert type(backend) is AtomicBackend
    backend.put_text('später', tmp_path / 'last')
    assert (tmp_path / 'last').read_bytes() == 'später'.encode()
    backend.put_text('später', str(tmp_path / 'last'), encoding='latin-1')
    assert (tmp_path / 'last').read_bytes() == 'später'.encode('latin-1')
    monkeypatch.setattr(os, 'replace', lambda *_: pytest.fail('written'))
    with pytest.raises(pytest.fail.Exception):
        backend.put_text('new', tmp_path / 'last')


def test_a_file_goes_at_the_end_unless_it_is_another_by_then(tmp_path):
    old, again = tmp_path / 'epoch_1.pth', tmp_path / 'epoch_2.pth'
    for path in (old, again):
        path.write_bytes(b'old')
    backend = _RemovesLater(LocalBackend())
    for path in (old, again):
        backend.remove(str(path))
    assert old.exists()
    assert again.exists()
    write_atomically(b'new', again)
    backend.flush()
    assert not old.exists()
    assert again.read_bytes() == b'new'
    assert backend.isfile(str(again))  # everything else is the backend's


def test_iterations_count_as_epochs_do_and_names_without_a_number_come_last(tmp_path):
    for name in ('iter_9.pth', 'iter_10.pth', 'epoch_last.pth', 'other_99.pth', 'iter_99.txt'):
        torch.save({}, tmp_path / name)
        os.utime(tmp_path / name, (5, 5))
    assert latest_checkpoint(tmp_path).name == 'iter_10.pth'
    assert latest_checkpoint(str(tmp_path)).name == 'iter_10.pth'
    for name in ('iter_9.pth', 'iter_10.pth'):
        (tmp_path / name).unlink()
    assert latest_checkpoint(tmp_path).name == 'epoch_last.pth'


@pytest.mark.parametrize('template', ['step-{}.pth', '[x]{:03d}.ckpt', '{}.pth'])
def test_checkpoints_with_names_of_the_configs_own_are_found(template, tmp_path):
    for number in (9, 100):
        torch.save({'meta': {'iter': number}}, tmp_path / template.format(number))
    assert len(checkpoint_files(tmp_path, template)) == 2
    assert not checkpoint_files(tmp_path)
    assert latest_checkpoint(tmp_path, template).name == template.format(100)


def test_digits_of_other_scripts_are_no_numbers(tmp_path):
    torch.save({'meta': {'iter': 5}}, tmp_path / 'iter_5.pth')
    torch.save({}, tmp_path / 'iter_\N{SUPERSCRIPT TWO}.pth')
    assert latest_checkpoint(tmp_path).name == 'iter_5.pth'
