"""A training that was stopped and goes on ends as one that was never stopped, to the bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from rapidnet_mm import UserError
from rapidnet_mm.data.shapes.make import make_classes, make_shapes
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine.exact.draws import batches_from, exact_config, prepare
from rapidnet_mm.engine.exact.states import random_states, restore
from rapidnet_mm.engine.hooks.checkpoint import latest_checkpoint
from rapidnet_mm.engine.runner import CheckedRunner, build_runner, resume_from

ROOT = engine_config.CHECKOUT


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Shapes for all tasks: 8 scenes and 20 classified images to train on."""
    root = tmp_path_factory.mktemp('data')
    make_shapes(root / 'shapes', train=8, val=2, size=(96, 64))
    make_classes(root / 'shapes_classes', train=20, val=5)
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
    'ssd': dict(
        config='ssdlite_rexnet_100_shapes',
        options={
            'train_dataloader.batch_size': 2,
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'optim_wrapper.optimizer': dict(
                _delete_=True, type='SGD', lr=1e-3, momentum=0.9, nesterov=True
            ),
        },
    ),
    'segmenter': dict(
        config='semfpn_rapidnet_ti_shapes',
        options={
            'train_dataloader.batch_size': 2,
            'model.backbone.drop_path_rate': 0.2,
            'train_cfg.max_iters': 6,
            'train_cfg.val_interval': 3,
            'param_scheduler.1.end': 60,
        },
    ),
    'classifier': dict(
        config='imagenet/rapidnet_ti_shapes',
        options={
            'train_dataloader.batch_size': 5,
            'val_dataloader.batch_size': 5,
            'model.backbone.drop_path_rate': 0.2,
            'model.train_cfg': dict(augments=[dict(type='Mixup', alpha=0.8)]),
            'train_cfg.max_epochs': 3,
            'train_cfg.val_interval': 1,
        },
    ),
}


def configured(task, folder, work_dir, workers=0, interval=3, options=None, persistent=False):
    """The config of a task: small, with averaged weights, a checkpoint every few iterations."""
    entry = TASKS[task]
    root = f'{folder}/shapes_classes/' if task == 'classifier' else f'{folder}/shapes/'
    merged = {
        **{f'{s}_dataloader.dataset.data_root': root for s in ('train', 'val', 'test')},
        'train_dataloader.num_workers': workers,
        'train_dataloader.persistent_workers': persistent and workers > 0,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': interval,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
        **entry['options'],
        **(options or {}),
    }
    if task in ('detector', 'ssd'):
        for split in ('val', 'test'):
            merged[f'{split}_evaluator.ann_file'] = root + 'annotations/instances_val.json'
    cfg = engine_config.load_config(str(ROOT / f'{entry["config"]}.py'), merged, str(work_dir))
    cfg.custom_hooks = [*cfg.custom_hooks, dict(EMA)]
    cfg.randomness = dict(seed=7)
    # MMEngine hands out one visualizer a name, and an earlier test's writes into its own folder.
    cfg.visualizer.name = f'visualizer of {work_dir}'
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
    ('classifier', 6, 12, 2, 0),
    ('detector', 3, 8, 0, 2),
    pytest.param('detector', 4, 8, 2, 0, marks=pytest.mark.exhaustive),
    ('segmenter', 3, 6, 0, 2),
    pytest.param('segmenter', 2, 6, 2, 1, marks=pytest.mark.exhaustive),
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


class Terminate(Hook):
    """Sends a SIGTERM to this process in the first validation."""

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):  # noqa: ARG002
        if runner.iter == 3:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_a_signal_in_a_validation_leaves_the_weights_before_it(folder, tmp_path, capfd):
    train(configured('segmenter', folder, tmp_path / 'whole'))
    cfg = configured('segmenter', folder, tmp_path / 'stopped', interval=100)
    runner = build_runner(cfg)
    runner.register_hook(Terminate())
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as error:
        runner.train()
    assert error.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler
    assert 'iter_3.pth' in capfd.readouterr().out
    cfg = configured('segmenter', folder, tmp_path / 'stopped', interval=3)
    train(cfg, 'auto')
    whole, resumed = (states_of(tmp_path / f'{name}/iter_6.pth') for name in ('whole', 'stopped'))
    assert differences(whole, resumed) == []


@pytest.mark.parametrize('first', ['SIGTERM', 'SIGHUP'])
def test_a_second_signal_ends_the_process_at_once(first):
    code = f"""
import os, signal, time
from rapidnet_mm.engine.signals import StopRequest
with StopRequest(print).installed():
    for number in (signal.{first}, signal.SIGINT):
        os.kill(os.getpid(), number)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, timeout=50)
    assert done.returncode == 130
    assert not done.stderr


@pytest.mark.slow
def test_without_a_seed_the_one_of_the_checkpoint_counts(folder, tmp_path):
    """Checkpoints after epochs, steps of three batches, a validation that was not over."""
    paths = [tmp_path / 'whole', tmp_path / 'resumed']
    options = {
        'default_hooks.checkpoint.by_epoch': True,
        'optim_wrapper.accumulative_counts': 3,
    }
    for path in paths:
        cfg = configured('classifier', folder, path, 1, 1, options)
        cfg.randomness = dict(seed=None)
        if path is not paths[0]:
            content = torch.load(paths[0] / 'epoch_1.pth', weights_only=False)
            content['resume_state']['place']['validated'] = False
            for name in ('best_score', 'best_ckpt'):
                content['message_hub']['runtime_info'].pop(name)
            path.mkdir()
            torch.save(content, path / 'epoch_1.pth')
        train(cfg, 'auto')
    for epoch in (1, 3):  # the first is saved again, because it is the best so far
        one, other = (states_of(path / f'epoch_{epoch}.pth') for path in paths)
        assert one['resume_state']['place']['validated'] or epoch == 3
        assert differences(one, other) == []


def test_draws_have_numbers_and_images_depend_on_them_alone():
    loader = loader_of(workers=0)
    first, second = (list(batches_from(loader, epoch, 0)) for epoch in (0, 1))
    assert first != second
    assert [*batches_from(loader, 0, 2)] == first[2:]
    assert [*batches_from(loader, 1, 0)] == second
    torch.manual_seed(3)
    before = random_states()
    assert [*batches_from(loader, 0, 0)] == first
    assert differences(before, random_states()) == []
    workers = loader_of(workers=2)
    assert [*batches_from(workers, 0, 1)] == first[1:]
    assert [*batches_from(workers, 1, 0)] == second


def test_a_loader_without_batches_of_indices_skips_too():
    loader = torch.utils.data.DataLoader(range(5), batch_size=None)
    prepare(loader, 5)
    assert [*batches_from(loader, 0, 3)] == [3, 4]


class Noise(torch.utils.data.Dataset):
    """Every image is three random numbers, of Python, NumPy and torch."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        assert type(index) is int
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def loader_of(workers):
    config = exact_config(
        dict(
            dataset=dict(type=Noise),
            sampler=dict(type='DefaultSampler'),
            batch_size=2,
            num_workers=workers,
            persistent_workers=workers > 0,
        ),
        seed=5,
    )
    loader = CheckedRunner.build_dataloader(config, seed=5)
    prepare(loader, 5)
    return loader


def test_states_come_back_as_they_were_and_damaged_ones_are_refused(tmp_path):
    np.random.standard_normal()  # has one number in reserve
    random.gauss(0, 1)
    torch.save(random_states(), tmp_path / 'states.pth')
    states = torch.load(tmp_path / 'states.pth', weights_only=True)
    drawn = [random.gauss(0, 1), np.random.standard_normal(), torch.rand(3).tolist()]
    restore(states)
    assert drawn == [random.gauss(0, 1), np.random.standard_normal(), torch.rand(3).tolist()]
    for key in ('python', 'numpy', 'torch', 'python_rest'):
        for value in (None, torch.zeros(3), 'text'):
            with pytest.raises(UserError, match='--resume: the random states'):
                restore({**states, key: value})
    restore(states)
    assert drawn[0] == random.gauss(0, 1)
