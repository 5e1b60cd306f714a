"""A classifier from training to pictures, with the same tools as detectors."""

import json
import os
from pathlib import Path

import pytest
from mmengine.registry import MODELS, init_default_scope

from rapidnet_mm import Inferencer
from rapidnet_mm.data.shapes.make import CLASSES, make_classes
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine.runner import build_runner
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.read import read_checkpoint
from tests.engine.test_runner import CONFIG as DETECTOR
from tests.messages import assert_says, refusal
from tests.tools import REPOSITORY, succeeded, tool

pytestmark = [pytest.mark.openmmlab, pytest.mark.slow]
# Averaged weights, the schedule and the precision of the ImageNet recipes, and everything small.
CONFIG = """
_base_ = [{base!r}]
train_dataloader = dict(batch_size=5, num_workers=0)
val_dataloader = dict(num_workers=0)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1, val_interval=1)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmengine.EMAHook', momentum=0.5),
    dict(type='UnaveragedMetricsHook'),
]
optim_wrapper = dict(type='MixedPrecision')
param_scheduler = [
    dict(type='CosineWithWarmUpLR', end=2, warm_up=1, warm_up_start=1e-6, eta_min=1e-5)
]
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Two iterations on the built-in class folders."""
    folder = tmp_path_factory.mktemp('classifier')
    make_classes(folder / 'data/shapes_classes', train=10, val=5)
    base = REPOSITORY / 'configs/imagenet/rapidnet_ti_shapes.py'
    (folder / 'small.py').write_text(CONFIG.format(base=str(base)))
    return folder, succeeded(tool('train.py', 'small.py', '--work-dir', 'run', cwd=folder))


def test_training_measures_top_1_and_leaves_the_best_and_curves(trained):
    folder, output = trained
    assert_says(output, 'accuracy/top1', 'best_accuracy_top1_epoch_1.pth')
    assert 'accuracy/top5' not in output  # of five classes
    assert 'model/accuracy/top1' in output  # of the weights that are not averaged
    assert 'CosineWithWarmUpLR' in output
    assert 'float16 where autocast allows it' in output  # bfloat16 on a CPU
    assert {'epoch_1.pth', 'curves.png'} <= {path.name for path in (folder / 'run').iterdir()}


def test_testing_writes_metrics_and_pictures_in_the_inference_form(trained):
    folder, _ = trained
    args = ['small.py', 'run/epoch_1.pth', '--fuse', '--show-dir', 'shown', '--out', 'm.json']
    output = succeeded(tool('test.py', *args, cwd=folder))
    assert_says(output, 'accuracy/top1', 'times as fast')
    metrics = json.loads((folder / 'm.json').read_text())
    assert metrics['accuracy/top1'] % 20 == 0  # of five images
    assert len(list((folder / 'shown').glob('*/*.jpg'))) == 5
    assert {path.name for path in (folder / 'shown').iterdir()} == set(CLASSES)


def test_inference_names_the_most_likely_classes_with_scores(trained, tmp_path):
    folder, _ = trained
    model = Inferencer(folder / 'small.py', folder / 'run/epoch_1.pth', 'cpu')
    image = sorted((folder / 'data/shapes_classes/val').rglob('*.jpg'))[0]
    result = model.draw(image, tmp_path / 'found.jpg')
    assert (tmp_path / 'found.jpg').stat().st_size > 1000
    found = json.loads(result.files(str(image))['.json'])['classes']
    assert {entry['name'] for entry in found} == set(CLASSES)
    scores = [entry['score'] for entry in found]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-3)
    assert model(image).names == [entry['name'] for entry in found]


def test_a_trained_classifier_goes_straight_into_a_detector(trained):
    folder, _ = trained
    file = str(folder / 'run/epoch_1.pth')
    content = read_checkpoint(file)
    averaged, last = content['state_dict'], content['ema_state_dict']
    name = 'backbone.stem.0.conv.weight'
    assert not averaged[name].equal(last[f'module.{name}'])  # the averaged ones are in front
    cfg = engine_config.load_config(DETECTOR)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=file)
    init_default_scope(cfg.default_scope)
    detector = MODELS.build(cfg.model)
    detector.init_weights()
    for key, value in detector.backbone.state_dict().items():
        assert value.equal(averaged[f'backbone.{key}']), key
    coverage = load_pretrained(detector.backbone, file)
    assert coverage.complete
    assert not coverage.unused


def test_other_names_of_classes_are_told_when_testing(trained):
    folder, _ = trained
    val = folder / 'data/shapes_classes/val'
    os.rename(val / 'star', val / 'a star')
    try:
        output = succeeded(tool('test.py', 'small.py', 'run/epoch_1.pth', cwd=folder))
    finally:
        os.rename(val / 'a star', val / 'star')
    assert_says(output, 'run/epoch_1.pth was trained on other classes (cross', 'has (a star')


def test_fewer_images_than_a_batch_are_a_line(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.chdir(folder)
    options = {'train_dataloader.batch_size': 64}
    runner = build_runner(engine_config.load_config('small.py', options))
    assert_says(refusal(runner.train), '10 images', 'batch_size=64', 'drop_last=True')


def test_missing_data_is_a_line_before_training(trained, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.chdir(tmp_path)
    line = refusal(build_runner, engine_config.load_config(folder / 'small.py'))
    assert_says(line, 'data/shapes_classes/ does not exist; run', 'make-shapes --classes')


def test_the_demo_names_the_built_in_classes_by_their_folders():
    cfg = engine_config.load_config(REPOSITORY / 'configs/imagenet/rapidnet_ti_shapes.py')
    assert cfg.model.head.num_classes == len(CLASSES)
    assert Path(cfg.train_dataloader.dataset.data_root).name == 'shapes_classes'
