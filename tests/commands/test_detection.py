"""Every tool in a folder of its own, as a user runs it; each at least once as a program."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rapidnet_mm import Inferencer, UserError
from tests.tools import ENV, REPOSITORY, program, refused, succeeded, tool

CONFIG = str(REPOSITORY / 'configs/maskrcnn_rapidnet_ti_shapes.py')
SHORT = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'default_hooks.logger.interval=2']
pytestmark = [pytest.mark.openmmlab, pytest.mark.slow]


@pytest.fixture(scope='module')
def trained(shapes):
    """One epoch on the small built-in data set."""
    done = program('train.py', CONFIG, '--work-dir', 'run', '--cfg-options', *SHORT, cwd=shapes)
    return shapes, succeeded(done)


def test_training_reports_progress_and_leaves_checkpoint_and_curves(trained):
    folder, output = trained
    assert re.search(r'Epoch\(train\).*eta: 0:00', output)
    assert 'coco/segm_mAP' in output
    assert {'epoch_1.pth', 'last_checkpoint', 'curves.png'} <= set(os.listdir(folder / 'run'))
    assert Image.open(folder / 'run/curves.png').width > 1000


@pytest.mark.parametrize('options', [['foo'], ['a=b', 'CONFIG']])
def test_an_option_without_a_value_is_a_usage_error(options):
    done = tool('train.py', CONFIG, '--cfg-options', *options, cwd='.')
    assert done.returncode == 2
    assert 'takes KEY=VALUE' in done.stderr
    assert 'Traceback' not in done.stderr


def test_testing_prints_tables_and_writes_metrics_and_pictures(trained):
    folder, _ = trained
    args = [
        'run/epoch_1.pth',
        '--show-dir',
        'shown',
        '--out',
        'metrics.json',
        '--work-dir',
        'tested',
    ]
    output = succeeded(program('test.py', CONFIG, *args, cwd=folder))
    assert re.search(r'\|\s+bbox \|', output)
    assert re.search(r'\|\s+segm \|', output)
    metrics = json.loads((folder / 'metrics.json').read_text())
    assert {'coco/bbox_mAP', 'coco/segm_mAP_50'} <= set(metrics)
    sizes = {Image.open(path).size for path in (folder / 'data/shapes/val').iterdir()}
    pictures = [Image.open(path).size for path in (folder / 'shown').iterdir()]
    assert len(pictures) == 4
    assert {(width // 2, height) for width, height in pictures} == sizes  # side by side


def test_the_inference_form_measures_the_same_and_both_speeds_are_said(trained):
    folder, _ = trained
    metrics = {}
    for name, options in (('plain', []), ('fused', ['--fuse'])):
        args = ['run/epoch_1.pth', '--out', f'{name}.json', '--work-dir', name, *options]
        args += ['--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0']
        output = succeeded(tool('test.py', CONFIG, *args, cwd=folder))
        metrics[name] = json.loads((folder / f'{name}.json').read_text())
    assert metrics['fused'] == pytest.approx(metrics['plain'], abs=1e-3)
    assert re.search(r'69 BatchNorms, 20 layer scales, 4 positional encodings; left: noth', output)
    found = re.search(
        r'training form ([\d.]+) ms, inference form ([\d.]+) ms, ([\d.]+) times', output
    )
    plain, fused, ratio = map(float, found.groups())
    assert ratio == pytest.approx(plain / fused, abs=0.02)


def test_inference_skips_a_broken_file_and_does_the_rest(trained, tmp_path):
    folder, _ = trained
    (tmp_path / 'in/deep').mkdir(parents=True)
    shutil.copy(folder / 'data/shapes/val/000001.jpg', tmp_path / 'in/a.jpg')
    cv2.imwrite(str(tmp_path / 'in/deep/grey.png'), np.full((70, 90), 120, np.uint8))
    (tmp_path / 'in/broken.jpg').write_bytes(b'\xff\xd8 not a picture')
    cv2.imwrite(str(tmp_path / 'in/line.png'), np.zeros((1, 4000, 3), np.uint8))
    args = [folder / 'run/epoch_1.pth', 'in', '--out-dir', 'out', '--score-thr', '0.0']
    done = program('infer.py', CONFIG, *args, '--device', 'cpu', cwd=tmp_path)
    assert done.returncode == 1
    assert 'broken.jpg is damaged or not an image' in done.stderr
    assert '2 of 4 images done' in done.stdout
    found = {str(p.relative_to(tmp_path / 'out')) for p in (tmp_path / 'out').rglob('*.*')}
    assert found == {'a.jpg', 'a.jpg.json', 'deep/grey.png', 'deep/grey.png.json'}
    result = json.loads((tmp_path / 'out/deep/grey.png.json').read_text())
    assert (result['width'], result['height']) == (90, 70)
    first = result['detections'][0]
    assert {'name', 'score', 'box', 'mask'} <= set(first)
    assert first['mask']['size'] == [70, 90]


def test_inference_never_overwrites_its_input(trained):
    folder, _ = trained
    images = folder / 'data/shapes/val'
    before = {path.name: path.read_bytes() for path in images.iterdir()}
    done = tool('infer.py', CONFIG, 'run/epoch_1.pth', images, '--out-dir', images, cwd=folder)
    refused(done, 'holds the images themselves')
    assert {path.name: path.read_bytes() for path in images.iterdir()} == before


def test_the_inferencer_gives_the_same_for_a_file_and_its_pixels(trained):
    folder, _ = trained
    path = folder / 'data/shapes/val/000002.jpg'
    model = Inferencer(CONFIG, folder / 'run/epoch_1.pth', device='cpu')
    from_file, from_pixels = model(path), model(cv2.imread(str(path)))
    np.testing.assert_array_equal(from_file.boxes, from_pixels.boxes)
    height, width = from_file.shape
    assert from_file.masks.shape == (len(from_file.boxes), height, width)
    assert set(from_file.names) <= {'disc', 'square', 'triangle', 'star', 'cross'}
    assert len(from_file.to_dict(0.0)['detections']) == len(from_file.boxes)
    with pytest.raises(UserError, match=r'shape \(5, 5\)'):
        model(np.zeros((5, 5), np.uint8))


def test_mixed_precision_trains(trained):
    folder, _ = trained
    options = [*SHORT, 'train_dataloader.dataset.indices=2', 'val_dataloader.dataset.indices=1']
    args = ['--amp', '--work-dir', 'amp', '--cfg-options', *options]
    output = succeeded(tool('train.py', CONFIG, *args, cwd=folder))
    loss = float(re.findall(r' loss: ([\d.]+)', output)[-1])
    assert 0 < loss < 20


def test_scaling_the_learning_rate_follows_the_batch(trained):
    folder, _ = trained
    options = [*SHORT, 'train_dataloader.batch_size=1', 'train_dataloader.dataset.indices=1']
    args = ['--auto-scale-lr', '--work-dir', 'scaled', '--cfg-options', *options]
    output = succeeded(tool('train.py', CONFIG, *args, cwd=folder))
    assert 'Scaling the original LR by 0.5' in output


def test_two_processes_end_with_the_same_weights(trained):
    folder, _ = trained
    script = (folder / 'rank_hook.py').resolve()
    script.write_text(
        'import torch\n'
        'from mmengine.hooks import Hook\n'
        'from mmengine.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class SaveEachRank(Hook):\n'
        '    def after_train(self, runner):\n'
        '        model = runner.model.module\n'
        "        torch.save(model.state_dict(), f'rank_{runner.rank}.pth')\n"
    )
    config = folder / 'dist.py'
    config.write_text(
        f'_base_ = [{CONFIG!r}]\n'
        "custom_imports = dict(imports=['rapidnet_mm', 'rank_hook'])\n"
        "custom_hooks = [dict(type='CurvesHook'), dict(type='SaveEachRank')]\n"
    )
    done = program(
        'dist_train.sh', config, 2, '--work-dir', 'dist', '--cfg-options', *SHORT,
        cwd=folder, PYTHONPATH=str(folder), OMP_NUM_THREADS='1',
    )  # fmt: skip
    succeeded(done)
    first, second = (torch.load(folder / f'rank_{rank}.pth') for rank in (0, 1))
    assert len(first) > 500
    for key, value in first.items():  # BatchNorm's statistics too
        assert value.equal(second[key]), key


@pytest.mark.exhaustive  # tests/engine/test_resume.py kills one too, and compares the weights
def test_a_killed_training_resumes_from_the_last_whole_checkpoint(trained):
    folder, _ = trained
    options = [
        'train_cfg.max_epochs=4',
        'train_cfg.val_interval=9',
        'default_hooks.logger.interval=1',
        'train_dataloader.batch_size=1',
    ]
    args = [CONFIG, '--work-dir', 'killed', '--cfg-options', *options]
    log = (folder / 'killed.log').open('w')
    child = subprocess.Popen(
        [sys.executable, str(REPOSITORY / 'tools/train.py'), *args],
        cwd=folder, env=ENV, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    deadline = time.time() + 300
    while 'Epoch(train) [3][2/' not in (folder / 'killed.log').read_text():
        assert time.time() < deadline
        assert child.poll() is None, (folder / 'killed.log').read_text()[-3000:]
        time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (folder / 'killed/epoch_9.pth').write_bytes(b'PK half-written by something else')
    assert not list((folder / 'killed').glob('.*partial'))
    output = succeeded(tool('train.py', *args[:3], '--resume', *args[3:], cwd=folder))
    assert 'epoch_2.pth' in output
    assert re.findall(r'Epoch\(train\) \[(\d)\]\[1/', output) == ['3', '4']


def test_the_training_benchmark_compares_two_detectors_in_one_run(tmp_path):
    other = CONFIG.replace('maskrcnn_rapidnet_ti', 'ssdlite_rexnet_100')
    options = ['--batch', '2', '--shape', '64', '96', '--steps', '2']
    output = succeeded(program('benchmark_train.py', CONFIG, other, *options, cwd=tmp_path))
    assert '2 images of 64x96' in output
    rows = [line.split('|')[1:-1] for line in output.splitlines() if '_shapes.py' in line]
    assert [row[0].strip() for row in rows] == [CONFIG, other]
    (first, rate, ratio), (second, _, other_ratio) = [[float(v) for v in row[1:]] for row in rows]
    assert rate == pytest.approx(2000 / first, rel=0.02)
    assert ratio == 1
    assert other_ratio == pytest.approx(first / second, rel=0.02, abs=0.006)


def test_the_graph_benchmark_compares_with_plain_shifts(tmp_path):
    options = ['--batch', '2', '--shape', '16', '17', '--steps', '2']
    output = succeeded(program('benchmark_graph.py', *options, cwd=tmp_path))
    rows = [
        [v.strip() for v in line.split('|')[1:-1]]
        for line in output.splitlines()
        if '16x17' in line
    ]
    assert [row[1] for row in rows] == ['forward', 'forward and backward']
    for plain, ours, ratio in ([float(v) for v in row[2:]] for row in rows):
        assert ratio == pytest.approx(plain / ours, rel=0.02, abs=0.006)


SPEED = ['--batch', '2', '--shape', '64', '96', '--steps', '3', '--threads', '1']


@pytest.mark.parametrize(
    ('config', 'part', 'timed'),
    [
        (CONFIG, ['--backbone'], 'the backbone'),
        (CONFIG, [], ' regions for roi_head.mask_head; not preprocessing'),
        pytest.param(
            *(CONFIG.replace('maskrcnn', 'semfpn'), [], 'not preprocessing'),
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=['backbone', 'detector', 'segmenter'],
)
def test_the_benchmark_compares_the_forms_of_a_model(config, part, timed, tmp_path):
    without_compiler = dict(CXX='no-such-compiler', TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    args = [config, *part, *SPEED, '--json', 'deep/speed.json']
    output = succeeded(program('benchmark.py', *args, cwd=tmp_path, **without_compiler))
    assert '2 of 64x96' in output
    assert timed in output
    found = json.loads((tmp_path / 'deep/speed.json').read_text())
    forms = ['training form', 'inference form']
    names = [*forms, *(f'{form}, channels last' for form in forms)]
    assert [speed['name'] for speed in found['speeds']][:4] == names
    rows = [line.split('|')[1:-1] for line in output.splitlines() if '| ' in line][1:]
    assert [row[0].strip() for row in rows][:4] == names
    first = found['speeds'][0]
    assert first['ratio'] == 1
    for speed, row in zip(found['speeds'], rows, strict=True):
        assert 0 < speed['p50_ms'] <= speed['p95_ms']
        assert speed['ratio'] == pytest.approx(first['p50_ms'] / speed['p50_ms'])
        assert speed['images_per_second'] == pytest.approx(2000 / speed['p50_ms'])
        assert float(row[1]) == pytest.approx(speed['p50_ms'], abs=0.06)
    assert found['environment']['threads'] == 1
    assert found['environment']['torch'] == torch.__version__
    assert all(peak > 10 for peak in found['memory'].values())
    if not torch.cuda.is_available():
        assert 'compiler' in found['skipped']['inference form, channels last, compiled']
        assert 'skipped: inference form, channels last, compiled (' in output


@pytest.mark.parametrize(
    ('args', 'pattern'),
    [
        (['nowhere.py'], 'config nowhere.py does not exist'),
        ([CONFIG, '--json', '.'], '--json . is a folder'),
    ],
)
def test_the_benchmark_refuses_bad_input_in_one_line(args, pattern, tmp_path):
    refused(tool('benchmark.py', *args, cwd=tmp_path), pattern)


TOOLS = sorted((REPOSITORY / 'tools').glob('*.py'))
TAKE_A_CONFIG = {
    *('train', 'test', 'infer', 'browse', 'doctor', 'report', 'publish_model'),
    *('complexity', 'benchmark', 'benchmark_train', 'receptive_field', 'kernels'),
}
# Each tool on its own in one process, whose imports take longer than all of them.
EXPLAIN = """
import runpy, sys
for path in sys.argv[1:]:
    sys.argv = [path, '--help']
    print('=====', flush=True)
    try:
        runpy.run_path(path, run_name='__main__')
    except SystemExit as done:
        assert not done.code, path
"""


def test_every_tool_explains_itself():
    command = [sys.executable, '-c', EXPLAIN, *map(str, TOOLS)]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=600)
    texts = succeeded(done).split('=====\n')[1:]
    assert len(texts) == len(TOOLS)
    for path, text in zip(TOOLS, texts, strict=True):
        assert f'usage: {path.name}' in text
        assert ('--cfg-options' in text) == (path.stem in TAKE_A_CONFIG), path


@pytest.mark.parametrize(
    ('args', 'pattern'),
    [
        (['nowhere.py'], 'config nowhere.py does not exist'),
        ([CONFIG], 'data/shapes.* does not exist; run rapidnet make-shapes'),
        ([CONFIG, '--cfg-options', 'train_cfg.max_epoch=3'], 'nearest is train_cfg.max_epochs'),
        ([CONFIG, '--cfg-options', 'model.backbone.arch=xl'], "no arch 'xl'"),
        ([CONFIG, '--resume', 'missing.pth'], 'missing.pth does not exist'),
    ],
)
def test_training_refuses_bad_input_in_one_line(args, pattern, tmp_path, shapes):
    cwd = shapes if 'xl' in pattern else tmp_path
    refused(tool('train.py', *args, cwd=cwd), pattern)


def test_testing_refuses_what_is_no_checkpoint_and_another_architecture(trained):
    folder, _ = trained
    (folder / 'text.pth').write_text('hello')
    done = tool('test.py', CONFIG, 'text.pth', cwd=folder)
    refused(done, 'text.pth')
    assert 'is no checkpoint' in done.stderr
    args = ['run/epoch_1.pth', '--cfg-options', 'model.backbone.arch=s']
    refused(tool('test.py', CONFIG, *args, cwd=folder), "arch='ti', but the config has arch='s'")


def test_a_number_of_processes_is_asked_for():
    done = program('dist_train.sh', CONFIG, cwd='.')
    assert done.returncode == 2
    assert 'number of processes' in done.stderr
    done = program('dist_train.sh', CONFIG, '2', cwd='.', NODES='2')
    assert done.returncode != 0
    assert 'NODE_RANK' in done.stderr
