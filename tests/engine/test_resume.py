"""A training that was stopped and goes on ends as one that was never stopped, to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rapidnet_mm.data.shapes.make import make_shapes
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine.hooks.checkpoint import latest_checkpoint
from rapidnet_mm.engine.runner import build_runner, resume_from

ROOT = engine_config.CHECKOUT


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Shapes for all tasks: 8 scenes and 25 classified images to train on."""
    root = tmp_path_factory.mktemp('data')
    make_shapes(root / 'shapes', train=8, val=2, size=(96, 64))
    return root


EMA = dict(type='mmengine.EMAHook', momentum=0.1, update_buffers=True)
TASKS = {
    'detector': dict(
        config='maskrcnn_rapidnet_ti_shapes',
        options={
            'train_dataloader.batch_size': 2,
            'model.backbone.drop_path_rate': 0.2,
            'train_cfg.max_epochs': 2,
            'train_cfg.val_interval': 1,
        },
    ),
    'segmenter': dict(
        config='semfpn_rapidnet_ti_shapes',
        options={
            'train_dataloader.batch_size': 2,
            'model.backbone.drop_path_rate': 0.2,
            'train_pipeline': None,
            'train_cfg.max_iters': 6,
            'train_cfg.val_interval': 3,
            'param_scheduler.1.end': 60,
        },
    ),
}


def configured(task, folder, work_dir, workers=0, interval=3, options=None, persistent=False):
    """The config of a task: small, with averaged weights, a checkpoint every few iterations."""
    entry = TASKS[task]
    root = f'{folder}/shapes/'
    merged = {
        **{f'{s}_dataloader.dataset.data_root': root for s in ('train', 'val', 'test')},
        'train_dataloader.num_workers': workers,
        'train_dataloader.persistent_workers': persistent and workers > 0,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': interval,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
        **{k: v for k, v in entry['options'].items() if v is not None},
        **(options or {}),
    }
    if task == 'detector':
        for split in ('val', 'test'):
            merged[f'{split}_evaluator.ann_file'] = root + 'annotations/instances_val.json'
    cfg = engine_config.load_config(str(ROOT / f'{entry["config"]}.py'), merged, str(work_dir))
    cfg.custom_hooks = [*cfg.custom_hooks, dict(EMA)]
    cfg.pop('randomness', None)
    cfg.randomness = dict(seed=7)
    return cfg


def differences(one, other, path=''):
    """Where two nested states differ in a bit."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [path]
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        return [d for k in one for d in differences(one[k], other[k], f'{path}/{k}')]
    if isinstance(one, list | tuple):
        assert len(one) == len(other), path
        return [
            d
            for i, pair in enumerate(zip(one, other, strict=True))
            for d in differences(*pair, f'{path}/{i}')
        ]
    return [] if one == other else [path]


KEPT = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'resume_state')


def states_of(path):
    content = torch.load(path, weights_only=False)
    return {key: content[key] for key in KEPT}


def train(cfg, resume=None):
    if resume:
        resume_from(cfg, str(resume))
    build_runner(cfg).train()


CASES = [
    ('detector', 3, 8, 0, 2),
    ('detector', 4, 8, 2, 0),
    ('segmenter', 3, 6, 0, 2),
    ('segmenter', 2, 6, 2, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(('task', 'stop', 'end', 'workers', 'others'), CASES)
def test_going_on_is_equal_to_the_bit(task, stop, end, workers, others, folder, tmp_path):
    train(configured(task, folder, tmp_path / 'whole', workers, interval=stop, persistent=True))
    whole = states_of(tmp_path / f'whole/iter_{end}.pth')
    cfg = configured(task, folder, tmp_path / 'resumed', others, interval=stop)
    train(cfg, tmp_path / f'whole/iter_{stop}.pth')
    assert differences(whole, states_of(tmp_path / f'resumed/iter_{end}.pth')) == []


def started(config, *options):
    """``rapidnet train`` in a process of its own."""
    command = [sys.executable, '-m', 'rapidnet_mm', 'train', str(config), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path, process, seconds=200):
    """Wait until a file is there, while the process runs."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def children_of(pid):
    listed = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], capture_output=True)
    return [int(word) for word in listed.stdout.split()]


def alive(pid):
    try:
        return 'zombie' not in Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self').exists(), reason='looks at processes')
def test_killed_and_terminated_runs_end_as_one_that_was_not(folder, tmp_path):
    options = {'train_cfg.max_iters': 12, 'train_cfg.val_interval': 5}
    train(configured('segmenter', folder, tmp_path / 'whole', 0, 2, options))
    whole = states_of(tmp_path / 'whole/iter_12.pth')

    work = tmp_path / 'work'
    cfg = configured('segmenter', folder, work, 2, 2, options, persistent=True)
    cfg.dump(tmp_path / 'config.py')
    with started(tmp_path / 'config.py') as process:
        wait_for(work / 'iter_2.pth', process)
        workers = children_of(process.pid)
        process.kill()
    assert workers
    end = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not any(map(alive, workers))

    with started(tmp_path / 'config.py', '--resume') as process:
        wait_for(work / 'iter_6.pth', process)
        for pid in [process.pid, *children_of(process.pid)]:  # a cluster tells all processes
            os.kill(pid, signal.SIGTERM)
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 143, output
    assert 'SIGTERM' in output
    stopped = latest_checkpoint(work)
    assert str(stopped) in output
    assert stopped.name != 'iter_12.pth'

    train(cfg, 'auto')
    assert differences(whole, states_of(work / 'iter_12.pth')) == []
