"""What commands write never replaces a file of the user; what they wrote themselves, it does."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from rapidnet_mm import UserError, files
from rapidnet_mm.commands.infer import _check_free
from rapidnet_mm.engine.hooks import ClassPicturesHook, DetectionPicturesHook, LabelPicturesHook
from rapidnet_mm.engine.runner import CheckedRunner
from rapidnet_mm.files import same_name, writable_file, write_atomically, write_file, write_output
from tests.messages import assert_says, refusal


def refused(path, *facts):
    """A file is refused before the work, and when it is written; it stays as it is."""
    before = path.read_bytes() if os.path.isfile(path) else None
    for line in (refusal(writable_file, path, '--out'), refusal(write_output, b'new', path)):
        assert_says(line, path, *facts)
        assert '\n' not in line
    assert (path.read_bytes() if os.path.isfile(path) else None) == before


def test_a_file_of_somebody_else_stays(tmp_path):
    path = tmp_path / 'metrics.json'
    path.write_bytes(b'mine')
    refused(path, 'is there already')
    write_file(b'new', path)  # whoever knows that it is a generated one
    assert path.read_bytes() == b'new'


def test_an_earlier_output_is_replaced_until_it_is_changed(tmp_path, monkeypatch):
    path = tmp_path / 'metrics.json'
    for data in (b'one', b'two', b'one', b'one'):
        assert writable_file(path, '--out') == path
        write_output(data, path)
        assert path.read_bytes() == data
        files._remembered.cache_clear()  # as in the next process
    path.write_bytes(b'changed')
    refused(path, 'was changed since')
    write_output(b'changed', path)  # nothing is lost
    path.unlink()
    write_output(b'one', path)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'other'))
    refused(path, 'is there already')


def test_the_same_bytes_elsewhere_are_somebody_elses(tmp_path):
    write_output(b'result', tmp_path / 'a.json')
    for path in (tmp_path / 'b.json', tmp_path / 'below/a.json'):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'result')
        refused(path, 'is there already')


def test_without_a_cache_folder_files_are_written_once(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    files._remembered.cache_clear()
    write_output(b'one', tmp_path / 'a.json')
    files._remembered.cache_clear()
    refused(tmp_path / 'a.json', 'is there already')


def test_a_record_that_was_cut_is_read_as_far_as_it_goes(tmp_path, cache):
    write_output(b'one', tmp_path / 'a.json')
    (record,) = (cache / 'outputs').iterdir()
    with open(record, 'a') as file:
        file.write('["b.json", "0123')
    files._remembered.cache_clear()
    write_output(b'two', tmp_path / 'a.json')
    files._remembered.cache_clear()
    write_output(b'three', tmp_path / 'a.json')
    assert (tmp_path / 'a.json').read_bytes() == b'three'


def test_a_link_is_followed_and_stays(tmp_path):
    target, link = tmp_path / 'there/real.json', tmp_path / 'link.json'
    target.parent.mkdir()
    link.symlink_to(target)
    for data in (b'one', b'two'):
        assert writable_file(link, '--out') == link
        write_output(data, link)
        assert link.is_symlink()
        assert target.read_bytes() == data
    target.write_bytes(b'mine')
    refused(link, target)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(UserError, match=r'link\.json'):
        writable_file(link, '--out')


def test_a_checkpoint_replaces_a_link_and_not_what_it_points_to(tmp_path):
    (tmp_path / 'archive.pth').write_bytes(b'archived')
    (tmp_path / 'epoch_1.pth').symlink_to(tmp_path / 'archive.pth')
    write_atomically(b'new', tmp_path / 'epoch_1.pth')
    assert (tmp_path / 'archive.pth').read_bytes() == b'archived'
    assert (tmp_path / 'epoch_1.pth').read_bytes() == b'new'


@pytest.mark.skipif(os.name == 'nt', reason='permissions of Unix')
def test_permissions_stay_and_new_files_have_the_users(tmp_path):
    before = os.umask(0o027)
    try:
        write_output(b'one', tmp_path / 'a.json')
        assert stat.S_IMODE((tmp_path / 'a.json').stat().st_mode) == 0o640
    finally:
        os.umask(before)
    (tmp_path / 'a.json').chmod(0o604)
    write_output(b'two', tmp_path / 'a.json')
    assert stat.S_IMODE((tmp_path / 'a.json').stat().st_mode) == 0o604
    (tmp_path / 'a.json').chmod(0o444)
    refused(tmp_path / 'a.json', 'write-protected')


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='Unix has pipes with names')
def test_a_pipe_and_the_output_of_the_process_are_written_to(tmp_path):
    path, received = tmp_path / 'pipe', []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    write_output(b'all of it', writable_file(path, '--out'))
    reader.join(20)
    assert received == [b'all of it']
    assert stat.S_ISFIFO(path.stat().st_mode)
    code = "from rapidnet_mm.files import write_output\nwrite_output(b'all', '/dev/stdout')"
    with open(tmp_path / 'out.txt', 'wb') as out:
        subprocess.run([sys.executable, '-c', code], stdout=out, check=True)
    assert (tmp_path / 'out.txt').read_bytes() == b'all'


def test_names_as_long_as_the_system_allows_are_written(tmp_path):
    for name in ('n' * 250 + '.json', '\u00fc' * 125 + '.json'):
        write_output(b'whole', tmp_path / name)
        assert (tmp_path / name).read_bytes() == b'whole'
    refused(tmp_path / ('n' * 300), 'cannot be written')
    assert not list(tmp_path.glob('.*'))


@pytest.mark.parametrize('place', ['folder', 'file/below.json'])
def test_a_target_that_cannot_be_a_file_is_refused(place, tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').write_text('mine')
    for function in (lambda p: writable_file(p, '--out'), lambda p: write_output(b'new', p)):
        assert_says(refusal(function, tmp_path / place), tmp_path / place.partition('/')[0])
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EIO])
def test_a_folder_that_is_not_on_the_disk_is_an_error(number, tmp_path, monkeypatch):
    sync = os.fsync

    def fail(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        sync(file)

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_atomically(b'whole', tmp_path / 'a')
    number = errno.EINVAL  # such a file system cannot say
    write_atomically(b'whole', tmp_path / 'a')


def test_names_that_differ_by_case_are_one_where_the_system_says_so(tmp_path, monkeypatch):
    names = [Path('a/X.jpg'), Path('a/y.jpg'), Path('a/x.jpg')]
    for ignores, same in ((True, names[2]), (False, None)):
        monkeypatch.setattr(files, '_ignores_case', lambda _, ignores=ignores: ignores)
        assert same_name(names, tmp_path) == same
    assert same_name([names[1], names[1]], tmp_path) == names[1]
    monkeypatch.undo()
    (tmp_path / 'case').write_text('')
    assert files._ignores_case(tmp_path) == (tmp_path / 'CASE').exists()


def test_results_never_replace_inputs_other_results_or_files(tmp_path):
    out, image = tmp_path / 'out', tmp_path / 'in/x.jpg'
    out.mkdir()
    _check_free(out, [image], [out / 'x.jpg'])
    assert_says(refusal(_check_free, out, [out / 'x.jpg'], [out / 'x.jpg']), 'images themselves')
    labels = tmp_path / 'out/x.jpg.labels.png'
    assert_says(refusal(_check_free, out, [labels], [out / 'x.jpg']), 'images themselves')
    twice = [out / 'x.jpg', out / 'x.jpg.labels.png']
    assert_says(refusal(_check_free, out, [image, image], twice), 'same name', twice[1])
    (out / 'x.jpg.json').write_text('mine')
    assert_says(refusal(_check_free, out, [image], [out / 'x.jpg']), 'x.jpg.json', '--out-dir')


def test_a_config_in_the_work_directory_stays_as_the_user_wrote_it(tmp_path):
    run = tmp_path / 'run'
    cfg = Config(dict(a=1), 'a = 1', filename=str(tmp_path / 'mine.py'))
    runner = SimpleNamespace(cfg=cfg, work_dir=str(tmp_path), _log_dir=str(run), timestamp='now')
    for data in (None, b'# mine'):
        if data:
            (tmp_path / 'mine.py').write_bytes(data)
        CheckedRunner.dump_config(runner)
        assert runner.config_file == (run if data else tmp_path) / 'mine.py'
        assert Config.fromfile(runner.config_file).a == 1
    assert (tmp_path / 'mine.py').read_bytes() == b'# mine'


class Dataset(list):
    """Image files by number."""

    get_data_info = list.__getitem__


def names_of(hook, *paths):
    """The names of the pictures of images, as a hook chooses them before a test."""
    infos = Dataset(dict(img_path=str(path)) for path in paths)
    hooked = super(type(hook), hook)
    hooked.before_test(SimpleNamespace(test_dataloader=SimpleNamespace(dataset=infos)))
    return [hook._names[str(path)].as_posix() for path in paths]


CASES = [
    (LabelPicturesHook, ('a/x.png', 'a/y.jpg'), ['x.jpg', 'y.jpg']),
    (LabelPicturesHook, ('a/x.png', 'a/x.jpg'), ['x.png.jpg', 'x.jpg.jpg']),
    (DetectionPicturesHook, ('a/x.png', 'a/y.jpg'), ['x.png', 'y.jpg']),
    (DetectionPicturesHook, ('a/x.jpg', 'b/x.jpg'), ['a/x.jpg.jpg', 'b/x.jpg.jpg']),
    (ClassPicturesHook, ('c/a/x.png', 'c/b/x.png'), ['a/x.jpg', 'b/x.jpg']),
    (ClassPicturesHook, ('c/a/x.png', 'd/a/x.png'), ['c/a/x.png.jpg', 'd/a/x.png.jpg']),
]


@pytest.mark.parametrize(('hook', 'images', 'names'), CASES)
def test_every_image_has_a_picture_of_its_own(hook, images, names, tmp_path):
    paths = [tmp_path / 'data' / image for image in images]
    (tmp_path / 'out').mkdir()
    assert names_of(hook(tmp_path / 'out'), *paths) == names
    target = tmp_path / 'out' / names[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b'mine')
    line = refusal(names_of, hook(tmp_path / 'out'), *paths)
    assert_says(line, names[1], '--show-dir')
