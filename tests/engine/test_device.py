# There is no Apple GPU where these tests run: PyTorch's answer that one is there is replaced.
import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from torch import nn

from rapidnet_mm import UserError
from rapidnet_mm.data.checks.messages import counted
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine import cpu, fit
from rapidnet_mm.engine.device import default_device, device_name, wait_for_gpu


@pytest.fixture
def apple(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: True)


@pytest.mark.parametrize(
    ('cuda', 'mps', 'device'),
    [(True, False, 'cuda'), (False, True, 'mps'), (False, False, 'cpu')],
)
def test_the_best_device_is_taken(cuda, mps, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: mps)
    assert default_device() == device


@pytest.mark.usefixtures('apple')
def test_an_apple_gpu_is_named_and_waited_for(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.mps, 'synchronize', lambda: calls.append('waits'))
    assert 'Apple' in device_name()
    wait_for_gpu()
    assert calls == ['waits']
    monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: False)
    assert 'Apple' not in device_name()
    wait_for_gpu()
    assert calls == ['waits']


@pytest.mark.usefixtures('apple')
def test_on_an_apple_gpu_what_is_for_nvidia_is_off():
    loader = dict(pin_memory=True)
    cfg = Config(dict(sync_bn='torch', train_dataloader=loader, launcher='none'))
    fit.fit_to_device(cfg)
    assert cfg.sync_bn is None
    assert cfg.train_dataloader.pin_memory is False
    assert 'custom_hooks' not in cfg


@pytest.mark.usefixtures('apple')
def test_several_processes_on_an_apple_gpu_are_refused():
    with pytest.raises(UserError, match=r'--launcher pytorch: .*Apple') as error:
        fit.fit_to_device(Config(dict(launcher='pytorch')))
    assert '\n' not in str(error.value)


@pytest.mark.usefixtures('apple')
def test_mixed_precision_on_an_apple_gpu_needs_no_loss_scaling():
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    engine_config.use_amp(cfg)
    assert cfg.optim_wrapper == dict(type='BFloat16OptimWrapper')


@pytest.mark.usefixtures('apple')
def test_the_layout_for_cpus_stays_off_an_apple_gpu():
    model = nn.Conv2d(4, 4, 3)
    cpu.tune_for_cpu(model)
    assert not model.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures('apple')
def test_the_inferencer_asks_for_the_apple_gpu():
    from rapidnet_mm.deploy.inferencer import _device

    with pytest.raises(UserError, match="device 'mps' cannot be used"):
        _device(None)


def test_commands_let_the_cpu_compute_what_an_apple_gpu_lacks():
    code = (
        'import os, sys\n'
        'from rapidnet_mm.commands.main import execute\n'
        "execute(lambda _: print(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'], "
        "'torch' in sys.modules), None)"
    )
    env = {k: v for k, v in os.environ.items() if k != 'PYTORCH_ENABLE_MPS_FALLBACK'}
    for choice, expected in ((env, '1'), ({**env, 'PYTORCH_ENABLE_MPS_FALLBACK': '0'}, '0')):
        done = subprocess.run(
            [sys.executable, '-c', code], env=choice, capture_output=True, text=True
        )
        assert done.stdout.split() == [expected, 'False'], done.stderr


@pytest.mark.parametrize(
    ('number', 'noun', 'text'),
    [(1, 'process', '1 process'), (2, 'process', '2 processes'), (0, 'image', '0 images')],
)
def test_nouns_follow_their_number(number, noun, text):
    assert counted(number, noun) == text
