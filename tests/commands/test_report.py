"""``rapidnet report`` on work directories: it tests once, and its numbers are those of the test."""

import json

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from rapidnet_mm.data.shapes.make import make_classes
from rapidnet_mm.engine import config as engine_config
from tests.messages import assert_says
from tests.training import random_statistics
from tests.warm import WarmCommands

pytestmark = [pytest.mark.openmmlab, pytest.mark.slow]
CONFIGS = {
    'detector': 'maskrcnn_rapidnet_ti_shapes',
    'segmenter': 'semfpn_rapidnet_ti_shapes',
    'classifier': 'imagenet/rapidnet_ti_shapes',
}
# Random weights are never sure.
RCNN = 'model.test_cfg.rcnn'
ANYTHING = ['--cfg-options', f'{RCNN}.score_thr=0.0', f'{RCNN}.max_per_img=20']


@pytest.fixture(scope='module')
def project(shapes, tmp_path_factory):
    """A folder with data, and a work directory with random weights for each task."""
    folder = tmp_path_factory.mktemp('reports')
    (folder / 'data').mkdir()
    (folder / 'data/shapes').symlink_to(shapes / 'data/shapes')
    make_classes(folder / 'data/shapes_classes', train=5, val=10)
    for name, config in CONFIGS.items():
        cfg = engine_config.load_config(config)
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        model = random_statistics(MODELS.build(cfg.model))
        logs = folder / name / '20260101_000000/vis_data'
        logs.mkdir(parents=True)
        torch.save({'state_dict': model.state_dict()}, folder / name / 'epoch_1.pth')
        cfg.dump(logs / 'config.py')
    return folder, WarmCommands(folder, ['rapidnet_mm.analysis.report.build'])


@pytest.mark.parametrize('name', CONFIGS)
def test_a_report_has_the_numbers_of_the_test(name, project):
    folder, rapidnet = project
    options = ANYTHING if name == 'detector' else []
    status, output = rapidnet(['report', name, *options])
    assert status == 0, output[-3000:]
    assert_says(output, 'testing', 'epoch_1.pth (the last of the training)')
    checkpoint = f'{name}/epoch_1.pth'
    status, output = rapidnet(
        ['test', CONFIGS[name], checkpoint, '--out', f'{name}.json', *options]
    )
    assert status == 0, output[-3000:]
    expected = json.loads((folder / f'{name}.json').read_text())
    expected.pop('classes', None)  # the table of the segmenter
    numbers = json.loads((folder / name / 'report/numbers.json').read_text())[name]
    assert numbers['metrics'] == expected
    assert numbers['intervals']
    page = (folder / name / 'report/index.html').read_text()
    assert 'The metrics of the test differ' not in page
    assert f'rapidnet report {name}' in page or f'rapidnet_mm report {name}' in page


def test_a_second_report_uses_the_predictions_of_the_first(project):
    folder, rapidnet = project
    status, output = rapidnet(['report', 'classifier', '--out', 'elsewhere'])
    assert status == 0, output
    assert_says(output, 'using the predictions in classifier/report/test/predictions.json')
    assert (folder / 'elsewhere/index.html').is_file()
    torch.save(torch.load(folder / 'classifier/epoch_1.pth'), folder / 'classifier/epoch_2.pth')
    status, output = rapidnet(['report', 'classifier', '--out', 'elsewhere'])
    assert status == 0, output
    assert_says(output, 'testing classifier/epoch_2.pth')


def test_runs_that_do_not_go_together_are_refused_before_a_test(project):
    _, rapidnet = project
    result = rapidnet.run(['report', 'detector', 'segmenter', '--out', 'both'])
    assert result.status == 2
    assert_says(result.errors, 'detector is detection', 'segmenter is segmentation')
    assert 'Traceback' not in result.errors
    assert 'testing' not in result.output
