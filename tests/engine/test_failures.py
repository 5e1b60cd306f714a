"""What a training meets on its way: broken checkpoints, NaN, a full disk, a second training."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from rapidnet_mm import UserError
from rapidnet_mm.engine import disk
from rapidnet_mm.engine import runner as runner_module
from rapidnet_mm.engine.hooks import AtomicBackend, curves
from rapidnet_mm.engine.hooks.checkpoint import checkpoint_folder, latest_checkpoint
from rapidnet_mm.engine.hooks.finite import FiniteLossHook, has_finite_weights, image_names
from rapidnet_mm.engine.runner import build_runner, resume_from
from rapidnet_mm.files import writable_folder
from tests.engine.test_resume import configured, folder, train  # noqa: F401  (folder: a fixture)
from tests.faults.machine import STARTS, make_work_dir, save


def saved(path, iteration):
    save(path, iteration)
    return path


@pytest.mark.parametrize('fault', STARTS, ids=lambda fault: fault.name)
def test_a_training_begins_where_it_should_or_says_why_not(fault, tmp_path, capsys):
    work = tmp_path / 'work'
    make_work_dir(work)
    fault.plant(work)
    cfg = Config(dict(work_dir=str(work)))
    refusal = ''
    try:
        writable_folder(work, '--work-dir')
        _, option, name = fault.command.partition(' --resume')
        if option:
            resume_from(cfg, str(tmp_path / name.strip()) if name else 'auto')
        runner_module._choose_start(cfg, 'none').release()
    except UserError as error:
        refusal = str(error)
    assert bool(refusal) == (fault.start is None)
    assert '\n' not in refusal
    if fault.start is not None:
        assert cfg.get('load_from') == (str(work / fault.start) if fault.start else None)
        assert bool(cfg.get('resume')) == bool(fault.start)
        assert cfg.get('randomness', {}).get('seed') == (4 if fault.start else None)
    text = refusal or ''.join(capsys.readouterr())
    for fact in fault.facts:
        assert fact in text


def test_resume_in_a_config_makes_the_same_choice(tmp_path):
    make_work_dir(tmp_path / 'work')
    cfg = Config(dict(work_dir=str(tmp_path / 'work'), resume=True, load_from=None))
    runner_module._choose_start(cfg, 'none').release()
    assert cfg.load_from == str(tmp_path / 'work/iter_10.pth')


def test_checkpoints_are_looked_for_where_the_config_puts_them(tmp_path):
    hooks = dict(checkpoint=dict(type='CheckpointHook', out_dir=str(tmp_path / 'out')))
    cfg = Config(dict(work_dir=f'{tmp_path}/run/', default_hooks=hooks))
    assert checkpoint_folder(cfg) == tmp_path / 'out/run'
    saved(tmp_path / 'out/run/epoch_1.pth', 7)
    resume_from(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'out/run/epoch_1.pth')


def test_a_training_never_replaces_the_checkpoints_of_another(folder, tmp_path):  # noqa: F811
    before = saved(tmp_path / 'work/iter_5.pth', 5).read_bytes()
    cfg = configured('segmenter', folder, tmp_path / 'work')
    with pytest.raises(UserError, match=r'iter_5\.pth.*--resume.*--work-dir'):
        build_runner(cfg)
    cfg.resume, cfg.load_from = True, str(saved(tmp_path / 'other/iter_3.pth', 3))
    with pytest.raises(UserError, match=r'--work-dir'):
        build_runner(cfg)
    assert (tmp_path / 'work/iter_5.pth').read_bytes() == before
    disk.check_is_free(tmp_path / 'work', tmp_path / 'work/iter_5.pth')
    disk.check_is_free(tmp_path, None)


def test_a_training_without_images_does_not_wait_for_ever(folder, tmp_path):  # noqa: F811
    cfg = configured('segmenter', folder, tmp_path / 'work')
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=0, dataset=cfg.train_dataloader.dataset
    )
    with pytest.raises(UserError, match='no images'):
        build_runner(cfg).train()


def test_nor_those_that_have_other_names(folder, tmp_path):  # noqa: F811
    before = saved(tmp_path / 'work/step-5.pth', 5).read_bytes()
    cfg = configured('segmenter', folder, tmp_path / 'work')
    cfg.default_hooks.checkpoint.filename_tmpl = 'step-{}.pth'
    with pytest.raises(UserError, match=r'step-5\.pth.*--resume.*--work-dir'):
        build_runner(cfg)
    resume_from(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'work/step-5.pth')
    assert (tmp_path / 'work/step-5.pth').read_bytes() == before


HOLDER = """
import sys
from pathlib import Path
from rapidnet_mm.engine.disk import lock
guard = lock(Path(sys.argv[1]))
print('held', flush=True)
sys.stdin.read()
"""


def test_a_second_training_in_a_folder_is_refused_until_the_first_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, 'PATIENCE_SECONDS', 0.2)
    command = [sys.executable, '-c', HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b'held\n'
        with pytest.raises(UserError, match='another training runs in'):
            disk.lock(tmp_path)
        child.kill()
    guard = disk.lock(tmp_path)
    assert guard.is_locked
    guard.release()


@pytest.mark.slow
def test_nan_ends_a_training_and_finite_checkpoints_stay(folder, tmp_path):  # noqa: F811
    options = {'optim_wrapper.optimizer.lr': 1e30, 'train_cfg.max_iters': 30}
    cfg = configured('segmenter', folder, tmp_path / 'work', 0, 1, options)
    with pytest.raises(UserError, match=r'5 iterations in a row; the last finite losses are of'):
        train(cfg)
    files = list((tmp_path / 'work').glob('iter_*.pth'))
    assert files
    for file in files:
        state = torch.load(file, weights_only=False)['state_dict']
        assert all(v.isfinite().all() for v in state.values()), file


def test_few_losses_that_are_not_finite_are_only_said():
    messages = []
    runner = SimpleNamespace(logger=SimpleNamespace(warning=messages.append), iter=0)

    class Sample(dict):
        img_path = 'a.jpg'

    hook, batch = FiniteLossHook(limit=2), dict(data_samples=[Sample(img_path='a.jpg')] * 9)
    assert image_names(batch)[-2:] == ['a.jpg', 'and 1 more']
    for runner.iter, loss in enumerate([2.5, float('nan'), 1.5, float('inf')]):
        hook.after_train_iter(runner, 0, batch, {'loss': torch.tensor(loss), 'acc': 1.0})
    starts = [text.partition(';')[0] for text in messages]
    assert starts == ['iteration 2: loss nan', 'iteration 4: loss inf']
    assert 'a.jpg' in messages[0]
    assert 'iteration 3: loss 1.5' in messages[1]
    runner.iter = 4
    with pytest.raises(UserError, match='2 iterations in a row'):
        hook.after_train_iter(runner, 0, batch, {'loss': float('nan')})


def test_statistics_and_weights_that_are_not_finite_are_seen():
    for name in ('weight', 'running_var'):
        model = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
        assert has_finite_weights(model)
        getattr(model[0], name).data[1] = float('inf')
        assert not has_finite_weights(model)


@pytest.mark.slow
def test_a_full_disk_ends_with_a_line_where_it_is_a_checkpoint(
    folder,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    drawn = []
    monkeypatch.setattr(curves, 'plot_curves', lambda *_: (drawn.append(1), full()))
    put = AtomicBackend.put
    monkeypatch.setattr(
        AtomicBackend,
        'put',
        lambda self, data, path: full() if 'iter_4' in str(path) else put(self, data, path),
    )
    options = {'train_cfg.val_interval': 1, 'default_hooks.logger.interval': 1}
    with pytest.raises(UserError, match=r'checkpoint cannot be written \(.*No space') as error:
        train(configured('segmenter', folder, tmp_path / 'work', 0, 2, options))
    assert '\n' not in str(error.value)
    assert drawn  # and the training went on
    assert latest_checkpoint(tmp_path / 'work').name in ('iter_2.pth', 'iter_3.pth')
