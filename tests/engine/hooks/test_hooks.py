import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from rapidnet_mm.display import curves
from rapidnet_mm.display.curves import read_scalars
from rapidnet_mm.engine.hooks import (
    AtomicBackend,
    AtomicCheckpointHook,
    CurvesHook,
    TrimMemoryHook,
)
from rapidnet_mm.engine.hooks.checkpoint import latest_checkpoint
from rapidnet_mm.files import write_atomically

WRITER = """
import sys
from rapidnet_mm.files import write_atomically
print('ready', flush=True)
count = 0
while True:
    count += 1
    write_atomically(bytes([count % 251]) * 20_000_000, sys.argv[1])
    print(count, flush=True)
"""


@pytest.mark.parametrize('delay', [0.0, 0.004, 0.011, 0.023])
def test_a_write_killed_in_the_middle_leaves_a_whole_file(delay, tmp_path):
    target = tmp_path / 'epoch_1.pth'
    command = [sys.executable, '-c', WRITER, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == 'ready\n'
        assert int(child.stdout.readline()) >= 1  # one write is done, the next has begun
        time.sleep(delay)
        assert child.poll() is None  # it writes, and has not failed by itself
        child.send_signal(signal.SIGKILL)
    data = target.read_bytes()
    assert len(data) == 20_000_000
    assert set(data) == {data[0]}


def test_readers_never_see_a_part_of_a_file(tmp_path):
    target = tmp_path / 'epoch_1.pth'
    with subprocess.Popen(
        [sys.executable, '-c', WRITER, str(target)], stdout=subprocess.PIPE, text=True
    ) as child:
        seen = set()
        while int(child.stdout.readline().replace('ready', '0')) < 5:
            if target.exists():
                seen.add(target.stat().st_size)
        child.kill()
    assert seen == {20_000_000}


def test_a_failed_write_leaves_no_rubbish(tmp_path, monkeypatch):
    target = tmp_path / 'epoch_1.pth'
    target.write_bytes(b'whole')

    def full(_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space'):
        write_atomically(b'new', target)
    assert target.read_bytes() == b'whole'
    assert list(tmp_path.iterdir()) == [target]


def test_mmengine_saves_through_the_atomic_backend(tmp_path, monkeypatch):
    from mmengine.runner import save_checkpoint

    written = []
    monkeypatch.setattr(
        AtomicBackend, 'put', lambda _, data, path: written.append((path, len(data)))
    )
    path = str(tmp_path / 'epoch_1.pth')
    save_checkpoint({'a': torch.zeros(3)}, path, backend_args=dict(backend='atomic'))
    assert [p for p, _ in written] == [path]
    assert AtomicCheckpointHook().backend_args == dict(backend='atomic')


def runner(work_dir, saves):
    """As much of a runner as the checkpoint hook looks at."""
    info = {}
    hub = SimpleNamespace(
        update_info=info.__setitem__, get_info=info.get, runtime_info=info, pop_info=info.pop
    )

    def save_checkpoint(out_dir, filename, *_, **__):
        saves.append(sorted(p.name for p in work_dir.glob('*.pth')))
        write_atomically(b'', f'{out_dir}/{filename}')

    return SimpleNamespace(
        work_dir=str(work_dir),
        logger=SimpleNamespace(info=lambda _: None),
        message_hub=hub,
        save_checkpoint=save_checkpoint,
        model=torch.nn.Linear(1, 1),
        epoch=0,
        iter=0,
    )


def test_outdated_checkpoints_go_only_after_the_new_one_is_there(tmp_path):
    saves = []
    fake = runner(tmp_path, saves)
    hook = AtomicCheckpointHook(interval=1, max_keep_ckpts=1)
    hook.before_train(fake)
    for epoch in range(3):
        fake.epoch = epoch
        hook.after_train_epoch(fake)
    assert saves == [[], ['epoch_1.pth'], ['epoch_2.pth']]
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_3.pth']


def test_a_best_checkpoint_written_again_under_its_name_is_kept(tmp_path):
    fake = runner(tmp_path, [])
    hook = AtomicCheckpointHook(interval=1, save_best='mAP', rule='greater')
    hook.before_train(fake)
    fake.epoch = 1
    for score in (0.1, 0.2):
        hook.after_val_epoch(fake, {'mAP': score})
    assert (tmp_path / 'best_mAP_epoch_1.pth').exists()


def test_the_latest_checkpoint_is_the_newest_whole_one(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    for number, name in enumerate(['epoch_9.pth', 'epoch_10.pth', 'best_mAP_epoch_10.pth']):
        torch.save({'epoch': number}, tmp_path / name)
        os.utime(tmp_path / name, (number, number))
    assert latest_checkpoint(tmp_path).name == 'epoch_10.pth'
    for path in tmp_path.iterdir():
        os.utime(path, (5, 5))  # as after a copy
    assert latest_checkpoint(tmp_path).name == 'epoch_10.pth'
    broken = tmp_path / 'epoch_11.pth'
    broken.write_bytes((tmp_path / 'epoch_10.pth').read_bytes()[:-40])
    assert latest_checkpoint(tmp_path).name == 'epoch_10.pth'


def write_log(folder, records):
    folder.mkdir(parents=True)
    lines = [json.dumps(record) for record in records]
    (folder / 'scalars.json').write_text('\n'.join(lines) + '\n{"loss": 1.0, "st')


def test_curves_join_resumed_runs_and_survive_a_cut_line(tmp_path):
    first = [dict(loss=4.0, lr=0.1, step=1), dict(loss=3.0, lr=0.1, step=2)]
    second = [dict(loss=2.5, lr=0.1, step=2), {'coco/bbox_mAP': 0.4, 'step': 1}]
    write_log(tmp_path / '1' / 'vis_data', first)
    write_log(tmp_path / '2' / 'vis_data', second)
    train, val = read_scalars(tmp_path)
    assert train['loss'] == [(1, 4.0), (2, 2.5)]
    assert val['coco/bbox_mAP'] == [(1, 0.4)]
    assert read_scalars(tmp_path, '1')[0]['loss'] == [(1, 4.0), (2, 3.0)]


def test_what_a_killed_run_left_half_written_is_cleared_away(tmp_path):
    (tmp_path / '.epoch_3.pth.123.partial').write_bytes(b'half')
    AtomicCheckpointHook(interval=1).before_train(runner(tmp_path, []))
    assert not list(tmp_path.iterdir())


def test_the_picture_shows_three_panels(tmp_path):
    records = [dict(loss=4.0 / i, loss_cls=2.0 / i, lr=0.1, step=i) for i in range(1, 50)]
    write_log(tmp_path / '1' / 'vis_data', [*records, {'coco/bbox_mAP': 0.4, 'step': 1}])
    CurvesHook().after_train(SimpleNamespace(work_dir=str(tmp_path), _resume=False, timestamp='1'))
    image = Image.open(tmp_path / 'curves.png')
    assert image.width > 3 * 300
    assert len(image.convert('RGB').getcolors(1 << 24)) > 50


def test_a_curve_is_named_also_where_it_is_the_only_one(tmp_path):
    from matplotlib.figure import Figure

    write_log(tmp_path / '1' / 'vis_data', [dict(mIoU=0.4, mAcc=0.5, aAcc=0.6, step=200)])
    _, val = read_scalars(tmp_path)
    axes = Figure().subplots()
    curves._draw(axes, val, curves.headlines(val))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ['mIoU']


def test_nothing_logged_makes_no_picture(tmp_path):
    CurvesHook().after_train(SimpleNamespace(work_dir=str(tmp_path), _resume=False, timestamp='1'))
    assert not list(tmp_path.iterdir())


def test_freed_memory_is_given_back_every_few_images():
    calls = []
    hook = TrimMemoryHook(interval=3)
    assert (hook._trim is not None) == sys.platform.startswith('linux')
    hook._trim = calls.append
    for index in range(7):
        hook.after_val_iter(None, index, data_batch=None, outputs=[])
        hook.after_test_iter(None, batch_idx=index, data_batch=None, outputs=[])
    assert calls == [0] * 4
