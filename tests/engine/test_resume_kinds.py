"""Going on is exact with other samplers, optimizers, precisions and several processes, too."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop

from rapidnet_mm.engine.hooks.checkpoint import latest_checkpoint
from tests.engine import saving
from tests.engine.test_resume import (  # noqa: F401  (folder: a fixture)
    ROOT,
    configured,
    differences,
    folder,
    states_of,
    train,
)

REPEATED = dict(_delete_=True, type='RepeatAugSampler', num_repeats=3, shuffle=True)
CASES = {
    'SSDLite, SGD': ('ssd', 2, {}),
    'repeated augmentation, Adan': (
        'classifier',
        3,
        {
            'train_cfg.max_epochs': 2,
            'train_dataloader.sampler': REPEATED,
            'optim_wrapper.optimizer': dict(_delete_=True, type='mmpretrain.Adan', lr=1e-3),
        },
    ),
    'bfloat16, RMSprop': (
        'classifier',
        3,
        {
            'train_cfg.max_epochs': 2,
            'optim_wrapper.type': 'BFloat16OptimWrapper',
            'optim_wrapper.optimizer': dict(
                _delete_=True, type='RMSprop', lr=1e-3, momentum=0.9, centered=True
            ),
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[pytest.mark.exhaustive] * (name != 'SSDLite, SGD'))
        for name in CASES
    ],
)
def test_other_kinds_go_on_to_the_bit(name, folder, tmp_path):  # noqa: F811
    task, stop, options = CASES[name]
    train(configured(task, folder, tmp_path / 'whole', 0, stop, options))
    cfg = configured(task, folder, tmp_path / 'resumed', 1, stop, options)
    train(cfg, tmp_path / f'whole/iter_{stop}.pth')
    assert_same_end(tmp_path, stop)


def assert_same_end(folder, stop):  # noqa: F811
    """The last checkpoints of both trainings are equal, and later than where one began."""
    last = latest_checkpoint(folder / 'whole')
    assert int(last.stem[5:]) > stop
    resumed = latest_checkpoint(folder / 'resumed')
    assert resumed.name == last.name
    assert differences(states_of(last), states_of(resumed)) == []


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def train_in_two(config, *options):
    """Train in two processes that exchange gradients with gloo."""
    launcher = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    launcher += [f'--master_port={free_port()}', '-m', 'rapidnet_mm', 'train']
    done = subprocess.run(
        [*launcher, config, '--launcher', 'pytorch', *options],
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT.parent)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason='torch without processes')
def test_two_processes_go_on_to_the_bit(folder, tmp_path):  # noqa: F811
    """Statistics of BatchNorm are averaged after each epoch."""
    options = {
        'train_cfg.max_epochs': 2,
        'train_cfg.val_interval': 1,
        'train_dataloader.batch_size': 4,
    }
    for name in ('whole', 'resumed'):
        cfg = configured('classifier', folder, tmp_path / name, 0, 1, options)
        cfg.dump(tmp_path / f'{name}.py')
    train_in_two(tmp_path / 'whole.py')
    train_in_two(tmp_path / 'resumed.py', '--resume', tmp_path / 'whole/iter_3.pth')
    assert_same_end(tmp_path, 3)


@LOOPS.register_module(force=True)
class LoopOfTheUser(EpochBasedTrainLoop):
    """A training loop that this package does not know."""


def test_a_loop_of_the_user_is_left_alone_with_a_line(tmp_path, capfd):
    for epochs in (1, 2):
        loop = dict(type='LoopOfTheUser', max_epochs=epochs)
        runner = saving.runner_of(tmp_path / f'{epochs}', train_cfg=loop)
        if epochs == 2:
            start = latest_checkpoint(tmp_path / '1')
            runner._resume, runner._load_from = True, str(start)
        runner.train()
        assert type(runner.train_loop) is LoopOfTheUser
        assert ('LoopOfTheUser is a loop of its own' in ''.join(capfd.readouterr())) == (
            epochs == 2
        )
    assert runner.iter == 10
