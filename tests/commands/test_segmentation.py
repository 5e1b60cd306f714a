"""Every tool as a subprocess with a config of semantic segmentation, as a user runs it."""

import json
import os
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rapidnet_mm import Inferencer
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine.runner import build_runner
from tests.tools import REPOSITORY, program, refused, succeeded, tool

CONFIG = str(REPOSITORY / 'configs/semfpn_rapidnet_ti_shapes.py')
SHORT = [
    'train_cfg.max_iters=4',
    'train_cfg.val_interval=2',
    'param_scheduler.1.end=60',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.checkpoint.max_keep_ckpts=2',
    'train_dataloader.batch_size=2',
]
CLASSES = {'sky', 'ground', 'disc', 'square', 'triangle', 'star', 'cross'}
pytestmark = [pytest.mark.openmmlab, pytest.mark.slow]


@pytest.fixture(scope='module')
def trained(shapes):
    """Four iterations on the small built-in data set."""
    done = tool('train.py', CONFIG, '--work-dir', 'seg', '--cfg-options', *SHORT, cwd=shapes)
    return shapes, succeeded(done)


@pytest.fixture(scope='module')
def tested(trained):
    folder, _ = trained
    args = ['seg/iter_4.pth', '--show-dir', 'seg/shown', '--out', 'seg.json']
    return folder, succeeded(tool('test.py', CONFIG, *args, cwd=folder))


def test_training_reports_progress_and_leaves_last_best_and_curves(trained):
    folder, output = trained
    assert re.search(r'Iter\(train\) \[\d/4\].*eta: 0:00', output)
    assert len(re.findall(r'\| mIoU +\| +mAcc \| +aAcc \|', output)) == 2  # at 2 and at 4
    there = set(os.listdir(folder / 'seg'))
    assert {'iter_2.pth', 'iter_4.pth', 'curves.png'} <= there
    assert len([name for name in there if name.startswith('best_mIoU_iter_')]) == 1


def test_a_training_goes_on_from_its_last_iteration(trained):
    folder, _ = trained
    shutil.copytree(folder / 'seg', folder / 'resumed')
    options = ['train_cfg.max_iters=6', *SHORT[1:]]
    args = ['--work-dir', 'resumed', '--resume', '--cfg-options', *options]
    output = succeeded(tool('train.py', CONFIG, *args, cwd=folder))
    assert 'iter_4.pth' in output
    assert re.findall(r'Iter\(train\) \[(\d)/6\]', output) == ['5', '6']
    assert (folder / 'resumed/iter_6.pth').exists()


def test_testing_prints_the_classes_and_writes_metrics(tested):
    folder, output = tested
    for name in CLASSES:
        assert re.search(rf'\| {name} +\| +(-|[01]\.\d{{4}}) \| +(-|[01]\.\d{{4}}) \|', output), (
            name
        )
    metrics = json.loads((folder / 'seg.json').read_text(), parse_constant=pytest.fail)
    assert {'mIoU', 'mAcc', 'aAcc', 'classes'} == set(metrics)
    assert set(metrics['classes']) == CLASSES
    iou = [row['IoU'] for row in metrics['classes'].values() if row['IoU'] is not None]
    assert metrics['mIoU'] == pytest.approx(np.mean(iou), abs=1e-15)


def test_metrics_equal_a_count_of_the_pixels_in_the_label_maps_of_inference(tested):
    folder, _ = tested
    args = ['seg/iter_4.pth', 'data/shapes/val', '--out-dir', 'seg/found', '--device', 'cpu']
    succeeded(tool('infer.py', CONFIG, *args, cwd=folder))
    matrix = np.zeros((7, 7), int)
    for path in sorted((folder / 'data/shapes/labels/val').iterdir()):
        truth = np.asarray(Image.open(path)).astype(int) - 1  # 0 is not labelled
        found = np.asarray(Image.open(folder / f'seg/found/{path.stem}.jpg.labels.png'))
        assert found.shape == truth.shape
        known = truth >= 0
        np.add.at(matrix, (truth[known], found[known]), 1)
    hit = np.diag(matrix)
    with np.errstate(invalid='ignore'):
        iou = hit / (matrix.sum(0) + matrix.sum(1) - hit)
    metrics = json.loads((folder / 'seg.json').read_text())
    assert metrics['mIoU'] == pytest.approx(np.nanmean(iou), abs=1e-12)
    assert metrics['aAcc'] == pytest.approx(hit.sum() / matrix.sum(), abs=1e-12)


def test_pictures_show_three_panels_for_every_image(tested):
    folder, _ = tested
    images = sorted((folder / 'data/shapes/val').iterdir())
    assert len(images) == len(os.listdir(folder / 'seg/shown')) == 4
    for path in images:
        image, shown = Image.open(path), Image.open(folder / 'seg/shown' / path.name)
        assert shown.width >= 3 * image.width
        assert shown.height > image.height + 2 * 13


def test_variants_of_the_images_can_be_merged(tested):
    folder, _ = tested
    args = ['seg/iter_4.pth', '--tta', '--out', 'tta.json', '--show-dir', 'seg/tta']
    succeeded(tool('test.py', CONFIG, *args, cwd=folder))
    merged = json.loads((folder / 'tta.json').read_text())
    assert 0 < merged['aAcc'] < 1
    assert len(os.listdir(folder / 'seg/tta')) == 4


def test_the_inference_form_measures_the_same(tested):
    folder, _ = tested
    args = ['seg/iter_4.pth', '--out', 'fused.json', '--work-dir', 'fused', '--fuse']
    output = succeeded(tool('test.py', CONFIG, *args, cwd=folder))
    plain, fused = (json.loads((folder / f'{name}.json').read_text()) for name in ('seg', 'fused'))
    for key in ('mIoU', 'mAcc', 'aAcc'):
        assert fused[key] == pytest.approx(plain[key], abs=1e-3)
    assert 'inference form of EncoderDecoder: folded: 76 BatchNorms' in output
    assert re.search(r'training form [\d.]+ ms, inference form [\d.]+ ms', output)


def test_a_config_without_variants_says_so(tmp_path):
    refused(
        tool(
            'test.py',
            'imagenet/rapidnet_ti_shapes',
            'none.pth',
            '--tta',
            '--work-dir',
            'x',
            cwd=tmp_path,
        ),
        '--tta: the config has no tta_pipeline and no tta_model',
    )


def test_two_processes_measure_the_same(tested):
    folder, _ = tested
    args = [CONFIG, 'seg/iter_4.pth', 2, '--out', 'two.json', '--work-dir', 'two']
    args += ['--cfg-options', 'test_dataloader.dataset.indices=3']  # one process gets one twice
    succeeded(program('dist_test.sh', *args, cwd=folder, OMP_NUM_THREADS='1'))
    args = [CONFIG, 'seg/iter_4.pth', '--out', 'one.json', '--work-dir', 'one', *args[-2:]]
    succeeded(tool('test.py', *args, cwd=folder))
    one, two = (json.loads((folder / f'{name}.json').read_text()) for name in ('one', 'two'))
    assert two['mIoU'] == pytest.approx(one['mIoU'], abs=2e-3)  # threads add up in another order
    assert two['aAcc'] == pytest.approx(one['aAcc'], abs=2e-3)


@pytest.mark.exhaustive  # test_detection.py trains in two processes, and compares the weights
def test_two_processes_train(trained):
    folder, _ = trained
    args = ['--work-dir', 'dist_seg', '--cfg-options', *SHORT]
    done = program('dist_train.sh', CONFIG, 2, *args, cwd=folder, OMP_NUM_THREADS='1')
    assert re.search(r'Iter\(val\) \[2/2\].*mIoU', succeeded(done))
    assert (folder / 'dist_seg/iter_4.pth').exists()


def test_inference_leaves_picture_label_map_and_shares(trained, tmp_path):
    folder, _ = trained
    (tmp_path / 'in/deep').mkdir(parents=True)
    shutil.copy(folder / 'data/shapes/val/000001.jpg', tmp_path / 'in/a.jpg')
    cv2.imwrite(str(tmp_path / 'in/deep/grey.png'), np.full((70, 90), 120, np.uint8))
    (tmp_path / 'in/broken.jpg').write_bytes(b'\xff\xd8 not a picture')
    args = [folder / 'seg/iter_4.pth', 'in', '--out-dir', 'out', '--device', 'cpu']
    done = tool('infer.py', CONFIG, *args, cwd=tmp_path)
    assert done.returncode == 1
    assert '2 of 3 images done' in done.stdout
    found = {str(p.relative_to(tmp_path / 'out')) for p in (tmp_path / 'out').rglob('*.*')}
    names = ('a.jpg', 'deep/grey.png')
    assert found == {f'{name}{end}' for name in names for end in ('', '.json', '.labels.png')}
    labels = np.asarray(Image.open(tmp_path / 'out/deep/grey.png.labels.png'))
    assert labels.shape == (70, 90)
    result = json.loads((tmp_path / 'out/deep/grey.png.json').read_text())
    assert (result['width'], result['height']) == (90, 70)
    for entry in result['classes']:
        assert entry['name'] in CLASSES
        assert entry['share'] == pytest.approx((labels == entry['label']).mean(), abs=1e-6)
    assert sum(entry['share'] for entry in result['classes']) == pytest.approx(1, abs=1e-5)


def test_the_inferencer_gives_the_same_for_a_file_and_its_pixels(trained):
    folder, _ = trained
    path = folder / 'data/shapes/val/000002.jpg'
    model = Inferencer(CONFIG, folder / 'seg/iter_4.pth', device='cpu')
    from_file, from_pixels = model(path), model(cv2.imread(str(path)))
    np.testing.assert_array_equal(from_file.labels, from_pixels.labels)
    assert from_file.labels.shape == from_file.shape == cv2.imread(str(path)).shape[:2]
    assert from_file.labels.dtype == np.uint8
    assert set(from_file.names) <= CLASSES


def test_every_image_is_seen_at_three_sizes_and_flipped_and_probabilities_are_averaged(
    shapes, tmp_path, monkeypatch
):
    from mmseg.models.segmentors import SegTTAModel

    seen = []
    merge = SegTTAModel.merge_preds

    def merge_and_check(self, images):
        (merged,) = merge(self, images)
        (variants,) = images
        seen.append({(v.img_shape, v.flip) for v in variants})
        mean = sum(v.seg_logits.data.softmax(0) for v in variants) / len(variants)
        assert merged.pred_sem_seg.data.squeeze().equal(mean.argmax(0))
        return [merged]

    monkeypatch.setattr(SegTTAModel, 'merge_preds', merge_and_check)
    root = f'{shapes}/data/shapes'
    options = {'test_dataloader.dataset.data_root': root, 'test_dataloader.dataset.indices': 2}
    cfg = engine_config.load_config(CONFIG, options, str(tmp_path))
    engine_config.use_tta(cfg)
    torch.manual_seed(0)
    build_runner(cfg, mode='test').test()
    assert len(seen) == 2
    for variants in seen:
        assert len(variants) == 6
        assert len({flip for _, flip in variants}) == 2
        assert all(side % 32 == 0 for shape, _ in variants for side in shape)


def test_merged_variants_of_one_kind_are_the_plain_prediction(trained, shapes, tmp_path):
    folder, _ = trained
    root = {f'{s}_dataloader.dataset.data_root': f'{shapes}/data/shapes' for s in ('val', 'test')}
    numbers = []
    for merge in (False, True):
        cfg = engine_config.load_config(CONFIG, root, str(tmp_path))
        steps = cfg.tta_pipeline[1].transforms
        steps[0], steps[2] = steps[0][1:2], steps[2][:1]  # the size of the test, not flipped
        if merge:
            engine_config.use_tta(cfg)
        cfg.load_from = str(folder / 'seg/iter_4.pth')
        with torch.inference_mode():
            found = build_runner(cfg, mode='test').test()
        numbers.append([found[name] for name in ('mIoU', 'mAcc', 'aAcc')])
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize(
    ('args', 'pattern'),
    [
        ([], r'data/shapes/? does not exist; run rapidnet make-shapes --root data/shapes'),
        (['train_dataloader.dataset.reduce_zero_label=False'], 'set reduce_zero_label=True'),
        (['model.decode_head.num_classes=150'], 'num_classes is 150, but .* has 7 classes'),
        (['train_dataloader.dataset.img_suffix=.png'], r'no images \*\.png in .* 8 other files'),
    ],
)
def test_training_refuses_data_that_do_not_fit_in_one_line(args, pattern, shapes, tmp_path):
    options = ['--cfg-options', *args] if args else []
    cwd = shapes if args else tmp_path
    refused(tool('train.py', CONFIG, '--work-dir', tmp_path / 'w', *options, cwd=cwd), pattern)
