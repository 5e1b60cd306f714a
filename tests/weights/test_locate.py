"""Weights by name: looked for here, then fetched from a hub that behaves or does not."""

import hashlib
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save

from rapidnet_mm import UserError
from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.weights.hub import hub_file
from rapidnet_mm.weights.known import KNOWN
from rapidnet_mm.weights.locate import local_file, locate, locate_start
from rapidnet_mm.weights.read import read_checkpoint
from tests.hub import CHUNK, COMMIT, hub_at
from tests.messages import assert_says, refusal
from tests.server import serving

FILE = 'SLDGroup/RapidNet/resolve/main/RapidNet_M.pth'
REXNET = 'timm/rexnet_100.nav_in1k/resolve/main/model.safetensors'


def packed(value):
    buffer = io.BytesIO()
    torch.save({'weight': torch.full((5000,), float(value))}, buffer)
    return buffer.getvalue()


DATA, OTHER = packed(1), packed(2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with nothing in it, and caches of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path


@pytest.fixture
def hub(folder, monkeypatch):
    with hub_at(monkeypatch, folder / 'hub') as hub:
        hub.files[FILE] = DATA
        yield hub


def value_of(source):
    return read_checkpoint(source)['weight'].unique().item()


def put(name, data=DATA):
    path = Path('checkpoints', name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_name_is_fetched_once_and_then_needs_no_hub(hub):
    assert value_of('rapidnet_m') == value_of('rapidnet_m') == 1
    assert len(hub.sent) == 1
    hub.status = 500
    assert value_of('hf://SLDGroup/RapidNet/RapidNet_M.pth') == 1  # the same file
    assert local_file('rapidnet_m', KNOWN['rapidnet_m']) == locate('rapidnet_m')


@pytest.mark.parametrize('name', ['rapidnet_m.pth', 'rapidnet_m.safetensors', 'RapidNet_M.pth'])
def test_the_folder_of_checkpoints_comes_before_the_hub(name, hub):
    path = put(name, OTHER if name.endswith('.pth') else save({'weight': torch.tensor([2.0])}))
    assert locate('rapidnet_m') == path
    assert hub.asked == []


def test_a_file_in_the_working_directory_wins_over_a_name(hub):
    Path('rapidnet_m').write_bytes(OTHER)
    assert value_of('rapidnet_m') == 2
    assert hub.asked == []


def test_a_folder_of_that_name_does_not_hide_the_weights(hub):
    Path('rapidnet_m').mkdir()
    assert value_of('rapidnet_m') == 1
    assert len(hub.sent) == 1


def test_names_of_timm_and_of_the_hub_need_no_timm(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    hub.files['timm/other.in1k/resolve/main/model.safetensors'] = save({'weight': torch.ones(3)})
    hub.files['me/mine/resolve/v2/deep/x.pth'] = OTHER
    assert read_checkpoint('timm/other.in1k')['state_dict']['weight'].tolist() == [1, 1, 1]
    assert value_of('hf://me/mine@v2/deep/x.pth') == 2


def test_mmengine_reads_names_too(hub):
    for name in ('rapidnet_m', 'hf://SLDGroup/RapidNet/RapidNet_M.pth'):
        assert CheckpointLoader.load_checkpoint(name)['weight'].numel() == 5000
    assert len(hub.sent) == 1


def test_a_backbone_starts_from_a_name(hub):
    torch.manual_seed(0)
    model = RapidNet('ti')
    buffer = io.BytesIO()
    torch.save({'state_dict_ema': model.state_dict()}, buffer)
    hub.files[FILE.replace('_M', '_Ti')] = buffer.getvalue()
    other = RapidNet('ti', init_cfg=dict(type='Pretrained', checkpoint='rapidnet_ti'))
    other.init_weights()
    assert other.stem[0].conv.weight.equal(model.stem[0].conv.weight)


@pytest.mark.parametrize(
    'text', ['hf://x', 'hf://a/b', 'hf:///a/b', 'hf://a/b@/c', 'hf://a/b/../../c']
)
def test_a_place_of_another_form_is_refused(text):
    assert_says(refusal(locate, text), text, 'hf://OWNER/REPO/FILE')


def test_a_repository_that_cannot_exist_is_a_line(hub):
    assert_says(refusal(locate, 'hf://a--b/.../x.pth'), 'a--b')
    assert hub.sent == []


def test_a_place_has_repository_file_and_revision():
    assert hub_file('hf://a/b/c/d.pth')[:] == ('a/b', 'c/d.pth', 'main')
    assert hub_file('hf://a/b@1.0/c.pth')[:] == ('a/b', 'c.pth', '1.0')


def test_the_sum_of_the_table_is_checked(hub):
    hub.files[REXNET] = save({'weight': torch.ones(3)})
    actual = hashlib.sha256(hub.files[REXNET]).hexdigest()
    for name in ('rexnet_100', 'timm/rexnet_100.nav_in1k'):
        line = refusal(locate, name)
        assert_says(line, name, actual, KNOWN['rexnet_100'].sha256, 'name this file')
    path = line.partition(': ')[2].split(' has ')[0]
    assert read_checkpoint(path)['state_dict']['weight'].numel() == 3
    assert read_checkpoint('hf://timm/rexnet_100.nav_in1k/model.safetensors')


def test_the_sum_in_the_name_of_a_file_by_hand_is_checked():
    path = put('rexnetv1_100-1b4dddf4.pth')
    assert_says(refusal(locate, 'rexnet_100'), path, '1b4dddf4')
    put('rexnet_100.pth')  # a name of ours promises nothing
    assert value_of('rexnet_100') == 1


@pytest.mark.parametrize('breaks', [1, 3])
def test_a_download_that_breaks_off_goes_on(breaks, hub, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    hub.breaks = breaks
    assert value_of('rapidnet_m') == 1
    assert len(hub.sent) == breaks + 1
    assert hub.sent[1] == f'bytes={len(DATA) // 2 // CHUNK * CHUNK}-'


def test_a_download_that_keeps_breaking_off_is_a_line_and_the_next_run_works(hub, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    hub.breaks = 100
    line = refusal(locate, 'rapidnet_m')
    assert_says(line, 'rapidnet_m', hub.url, 'cannot be fetched')
    hub.breaks = 0
    assert value_of('rapidnet_m') == 1


def test_wrong_bytes_of_the_right_size_are_noticed_and_not_kept(hub):
    hub.served = DATA[:-300] + b'x' + DATA[-299:]
    line = refusal(locate, 'rapidnet_m')
    assert_says(line, 'rapidnet_m', 'cannot be fetched', 'SHA-256')
    hub.served = None
    assert value_of('rapidnet_m') == 1


@pytest.mark.parametrize('served', [DATA[:100], DATA + b'more', b''])
def test_a_file_of_another_size_is_noticed_and_not_kept(served, hub, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    hub.served = served
    assert_says(refusal(locate, 'rapidnet_m'), 'rapidnet_m', 'cannot be fetched')
    hub.served = None
    assert value_of('rapidnet_m') == 1


def test_a_page_instead_of_a_checkpoint_is_not_kept(hub):
    hub.files[FILE] = b'<!DOCTYPE html><title>Sign in</title>'
    assert_says(refusal(locate, 'rapidnet_m'), 'is no checkpoint', 'DOCTYPE')
    hub.files[FILE] = DATA
    assert value_of('rapidnet_m') == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(hub):
    path = locate('rapidnet_m')
    path.resolve().write_bytes(DATA[:-300] + b'x' + DATA[-299:])
    assert value_of('rapidnet_m') == 1
    assert len(hub.sent) == 2


@pytest.mark.parametrize(
    ('status', 'reason'),
    [(401, 'no such repository'), (404, 'no such file'), (500, '500'), (403, '403')],
)
def test_a_hub_that_refuses_is_named_with_its_reason(status, reason, hub, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    hub.status = status
    line = refusal(locate, 'rapidnet_m')
    assert_says(line, 'rapidnet_m', 'RapidNet_M.pth', 'checkpoints/', 'cache', reason)
    assert_says(line, f'{hub.url}/{FILE}', 'put the file at checkpoints/rapidnet_m.pth')


def test_a_file_that_the_repository_lacks_is_said_so(hub):
    assert_says(refusal(locate, 'hf://SLDGroup/RapidNet/x.pth'), 'x.pth', 'has no such file')
    assert_says(refusal(locate, 'hf://no/body/x.pth'), 'no/body', 'no such repository')
    assert hub.sent == []


@pytest.mark.slow
def test_a_hub_that_stalls_is_asked_again_and_then_given_up(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_DOWNLOAD_TIMEOUT', 0.2)
    hub.stalls = 1
    assert value_of('rapidnet_m') == 1
    hub.files[FILE.replace('_M', '_B')], hub.stalls = OTHER, 100
    assert_says(refusal(locate, 'rapidnet_b'), 'rapidnet_b', 'cannot be fetched')


def test_without_a_network_one_line_says_where_to_get_it(folder, monkeypatch):
    with hub_at(monkeypatch, folder / 'hub') as hub:
        url = hub.url
    line = refusal(locate_start, 'rapidnet_m', 'RapidNet')
    assert_says(line, 'RapidNet', 'rapidnet_m.pth', 'cache', f'{url}/{FILE}', 'refused')
    assert_says(line, 'checkpoints/rapidnet_m.pth', '--from-scratch')


def test_offline_mode_asks_nobody_and_says_so(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    assert_says(refusal(locate, 'rapidnet_m'), 'HF_HUB_OFFLINE')
    assert hub.asked == []
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    locate('rapidnet_m')
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    assert value_of('rapidnet_m') == 1


@pytest.mark.parametrize('name', ['rexnet_090', 'mobilevig_ti', 'rapidnet_ti_sldc'])
def test_weights_that_nobody_has_published_are_said_to_be_so(name):
    line = refusal(locate_start, name, 'ReXNet')
    assert_says(line, name, KNOWN[name].note, f'checkpoints/{name}.pth', '--from-scratch')


def test_a_file_on_google_drive_is_for_a_person():
    line = refusal(locate_start, 'rexnet_lite_100', 'ReXNetLite')
    assert_says(line, KNOWN['rexnet_lite_100'].place, 'browser', 'rexnet_lite_1.0.pth')
    assert_says(line, '--from-scratch')


def test_a_url_of_the_table_is_fetched_and_its_sum_checked(monkeypatch):
    digest = hashlib.sha256(DATA).hexdigest()
    with serving() as site:
        url = f'{site.url}/resnet50-{digest[:8]}.pth'
        entry = KNOWN['resnet50']._replace(place=url, sha256=digest[:8])
        monkeypatch.setitem(KNOWN, 'resnet50', entry)
        assert_says(refusal(locate, 'resnet50'), 'resnet50', 'checkpoints/', 'cache', url, '404')
        site.files[f'/resnet50-{digest[:8]}.pth'] = DATA
        assert value_of('resnet50') == 1
        monkeypatch.setitem(KNOWN, 'resnet50', entry._replace(sha256='00000000'))
        assert_says(refusal(locate, 'resnet50'), digest, '00000000')


def test_a_misspelt_name_gets_the_nearest():
    assert_says(refusal(locate, 'rapidnet_mm'), 'rapidnet_mm does not exist', 'is rapidnet_m')
    assert_says(refusal(locate_start, 'rexnet100', 'ReXNet'), 'is rexnet_100')
    assert 'nearest' not in refusal(locate, 'rapidnet_m.pt')


def test_threads_that_want_the_same_name_fetch_it_once(hub):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(value_of('rapidnet_m'))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 3
    assert len(hub.sent) == 1


@pytest.mark.slow
def test_a_new_process_respects_the_variables_of_the_hub(hub, folder):
    code = (
        'import sys, mmengine, rapidnet_mm\n'
        'from rapidnet_mm.weights.locate import locate\n'
        "print(locate('rapidnet_m'))\n"
    )
    env = {**os.environ, 'HF_ENDPOINT': hub.url, 'HF_HOME': str(folder / 'home')}
    command = [sys.executable, '-W', 'ignore', '-c', code]
    for offline in ('', '1'):  # the second time from the cache
        env['HF_HUB_OFFLINE'] = offline
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        assert Path(done.stdout.strip()).is_relative_to(folder / 'home')
        assert COMMIT in done.stdout
    assert len(hub.sent) == 1


def test_the_guard_of_these_tests_keeps_them_from_the_network():
    with pytest.raises(BaseException, match='wants to reach') as error:
        __import__('socket').create_connection(('192.0.2.1', 80), timeout=1)
    assert not isinstance(error.value, Exception | UserError)
