"""Checkpoints behind URLs, from a server on this machine that breaks off, lies or is gone."""

import hashlib
import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from rapidnet_mm import UserError
from rapidnet_mm.transfer.download import ATTEMPTS
from rapidnet_mm.weights.download import cached_path
from rapidnet_mm.weights.read import read_checkpoint
from tests.messages import assert_says, refusal
from tests.server import serving


def packed(value, zipped=True):
    """A checkpoint of some length with this value in it, as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    state = {'weight': torch.full((5000,), float(value))}
    torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


DATA = packed(1)
URL = '/files/some_model.pth'


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with serving() as site:
        site.files[URL] = DATA
        yield site


def value_at(url):
    return read_checkpoint(url)['weight'].unique().item()


def part_of(url):
    path = cached_path(url)
    return path.with_name(path.name + '.part')


def left(url):
    """Files in the folder of a URL, but for the lock."""
    return {path.name for path in cached_path(url).parent.iterdir() if path.suffix != '.lock'}


def test_a_file_is_fetched_once_and_then_needs_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with serving() as site:
        site.files[URL] = DATA
        url = site.url + URL
        assert value_at(url) == value_at(url) == 1
        assert len(site.asked) == 1
    assert value_at(url) == 1
    assert left(url) == {'some_model.pth'}
    with pytest.raises(UserError, match=r'other.pth cannot be downloaded: .*refused') as error:
        value_at(url.replace('some_model', 'other'))
    assert '\n' not in str(error.value)


def test_files_of_the_same_name_do_not_collide(site):
    urls = [site.url + path for path in ('/a/m.pth', '/b/m.pth', '/b/m.pth?version=2')]
    for number, path in enumerate(('/a/m.pth', '/b/m.pth', '/b/m.pth?version=2')):
        site.files[path] = packed(number)
    assert [value_at(url) for url in urls] == [0, 1, 2]
    assert {cached_path(url).name for url in urls} == {'m.pth'}  # still readable


def test_a_download_that_breaks_off_goes_on_from_there(site):
    site.breaks = 2
    assert value_at(site.url + URL) == 1
    half = len(DATA) // 2
    three_quarters = half + (len(DATA) - half) // 2
    assert [asked for _, asked in site.asked] == [
        None,
        f'bytes={half}-',
        f'bytes={three_quarters}-',
    ]


def test_a_download_that_keeps_breaking_off_is_an_error_and_the_next_run_goes_on(site):
    site.breaks = ATTEMPTS
    line = refusal(read_checkpoint, site.url + URL)
    assert_says(line, URL, f'of {len(DATA)} bytes', 'run again to go on')
    assert not cached_path(site.url + URL).exists()
    come = part_of(site.url + URL).stat().st_size
    assert 0 < come < len(DATA)
    assert value_at(site.url + URL) == 1
    assert site.asked[-1] == (URL, f'bytes={come}-')


@pytest.mark.parametrize(('ranges', 'answers'), [(False, 2), (True, 3)])
def test_a_server_without_proper_ranges_starts_anew(ranges, answers, site):
    site.ranges, site.vague, site.breaks = ranges, True, 1
    assert value_at(site.url + URL) == 1
    assert len(site.asked) == answers
    assert cached_path(site.url + URL).read_bytes() == DATA


@pytest.mark.parametrize('tags', [True, False])
def test_a_part_of_another_version_of_the_file_is_not_gone_on_with(tags, site):
    site.breaks, site.tags = ATTEMPTS, tags
    refusal(read_checkpoint, site.url + URL)
    # without tags it is the length that tells them apart
    site.files[URL] = packed(2) if tags else packed(2, zipped=False)
    assert value_at(site.url + URL) == 2


def test_a_part_longer_than_the_file_is_thrown_away(site):
    part = part_of(site.url + URL)
    part.parent.mkdir(parents=True)
    part.write_bytes(b'x' * (len(DATA) + 5))
    assert value_at(site.url + URL) == 1


@pytest.mark.parametrize('data', [DATA, save({'weight': torch.ones(5000)})])
def test_without_a_length_the_file_itself_tells_that_it_is_cut_off(data, site):
    site.files[URL], site.lengths, site.breaks = data, False, 1
    line = refusal(read_checkpoint, site.url + URL)
    assert_says(line, URL, 'is cut off')
    assert left(site.url + URL) <= {'some_model.pth.part.json'}
    assert 'weight' in str(read_checkpoint(site.url + URL))


def test_a_page_instead_of_a_file_is_not_kept(site):
    site.files[URL] = b'<!DOCTYPE html><title>Sign in</title>'
    assert_says(refusal(read_checkpoint, site.url + URL), URL, 'is no checkpoint', 'DOCTYPE')
    site.files[URL] = packed(3, zipped=False)
    assert value_at(site.url + URL) == 3


def test_a_file_that_is_not_there_is_named_with_the_way_out(site):
    url = site.url + '/missing.pth'
    line = refusal(read_checkpoint, url)
    assert_says(line, '/missing.pth cannot be downloaded', '404')
    by_hand = line.rpartition('put it at ')[2]
    Path(by_hand).write_bytes(DATA)
    assert value_at(url) == 1


def test_a_pinned_sum_is_checked_for_urls_also_from_the_cache(site):
    url, right = site.url + URL, hashlib.sha256(DATA).hexdigest()
    for _ in range(2):
        assert read_checkpoint(url, sha256=right.upper())['weight'].numel() == 5000
        line = refusal(lambda: read_checkpoint(url, sha256='0' * 64))
        assert_says(line, cached_path(url), right, '0' * 64, 'delete it')


def test_what_torch_hub_has_is_taken_if_the_hash_in_its_name_is_right(site, tmp_path):
    right = f'm-{hashlib.sha256(DATA).hexdigest()[:8]}.pth'
    hub = tmp_path / 'hub/checkpoints'
    hub.mkdir(parents=True)
    for name in (right, 'm-00000000.pth'):
        (hub / name).write_bytes(DATA)
    assert value_at(f'{site.url}/{right}') == 1
    assert site.asked == []
    refusal(read_checkpoint, f'{site.url}/m-00000000.pth')
    assert len(site.asked) == 1


def test_processes_that_want_the_same_file_fetch_it_once(site):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(value_at(site.url + URL))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 4
    assert len(site.asked) == 1


def test_the_lock_goes_with_a_process_that_is_killed(site):
    path = cached_path(site.url + URL)
    path.parent.mkdir(parents=True)
    code = (
        'import sys, time\n'
        'from filelock import FileLock\n'
        'lock = FileLock(sys.argv[1])\n'
        'lock.acquire()\n'
        "print('held', flush=True)\n"
        'time.sleep(600)\n'
    )
    command = [sys.executable, '-c', code, f'{path}.lock']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == 'held\n'
            values = []
            thread = threading.Thread(target=lambda: values.append(value_at(site.url + URL)))
            thread.start()
            thread.join(0.5)
            assert site.asked == []  # it waits
        finally:
            holder.kill()
    thread.join(30)
    assert values == [1]


def test_progress_is_shown_with_the_size(site, capsys):
    value_at(site.url + URL)
    shown = capsys.readouterr().err
    assert_says(shown, 'downloading some_model.pth', f'{len(DATA) / 1000:.1f}', 'kB', '0:00:00')
