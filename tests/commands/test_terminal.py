"""What a person sees: of a training, of a test, and with --verbose."""

import re
import shlex

import pytest

from tests.commands.test_detection import CONFIG, SHORT
from tests.tools import succeeded, tool

NOISE = [
    'OneDL',
    'loading annotations',
    'paramwise_options',
    'Warning',
    'mmengine - ',
    'deprecated',
]
# Of MMEngine's dumps: environment, config, hooks.
DUMPS = ['System environment', 'optim_wrapper = dict', 'VERY_LOW']
# A setting for some of the parameters brings a line for each of them.
PARAMWISE = 'optim_wrapper = dict(paramwise_cfg=dict(norm_decay_mult=0.0))'
pytestmark = pytest.mark.openmmlab


def run(command, *args, cwd):
    """Both outputs of a command together."""
    return succeeded(tool(f'{command}.py', *args, cwd=cwd))


@pytest.fixture(scope='module')
def config(shapes):
    """The demo's config with such a setting."""
    path = shapes / 'terminal.py'
    path.write_text(f'_base_ = [{CONFIG!r}]\n{PARAMWISE}\n')
    return path


@pytest.fixture(scope='module')
def trained(config, shapes):
    """The output of a training of one epoch, and the folder that it ran in."""
    args = [config, '--work-dir', 'terminal', '--cfg-options', *SHORT]
    return run('train', *args, cwd=shapes), shapes


def test_before_the_progress_of_a_training_stands_what_is_trained(trained):
    output, _ = trained
    start = output[: output.index('Epoch(train)')]
    assert len(start.splitlines()) <= 40
    for fact in (
        *('MaskRCNN', 'RapidNet ti', 'M parameters', 'G FLOPs'),
        *('images to train in data/shapes/train', '4 to validate in data/shapes/val'),
        *('5: disc, square', '1 epoch of', 'learning rate 0.001', 'float32', 'random'),
        'terminal/',
    ):
        assert fact in start
    assert re.search(r'(?m)^device +\S', start)


def test_progress_has_time_left_and_losses_on_lines_of_a_screen(trained):
    output, _ = trained
    lines = [line for line in output.splitlines() if line.startswith('Epoch(train)')]
    assert lines
    for line in lines:
        assert re.search(r'eta: \d+:\d\d:\d\d  loss: [\d.]+ \(rpn_cls [\d.]+, ', line)
        assert len(line) <= 130


def test_the_noise_of_libraries_is_in_the_log_file_only(trained):
    output, folder = trained
    (log,) = (folder / 'terminal').glob('*/*.log')
    text = log.read_text()
    for noise in [*NOISE, *DUMPS]:
        assert noise not in output
    for dump in [*DUMPS, 'paramwise_options', 'Epoch(train)', 'grad_norm', 'data/shapes/train']:
        assert dump in text


def test_a_training_ends_with_commands_that_run(trained):
    output, folder = trained
    end = output[output.index('Done.') :]
    assert re.search(r'Best checkpoint: terminal/best_coco_bbox_mAP_epoch_1\.pth', end)
    assert re.search(r'coco/bbox_mAP: \d', end)
    lines = end[end.index('Next:') :].splitlines()[1:]
    words = [shlex.split(line) for line in lines]
    (test,) = (line[line.index('test') + 1 :] for line in words if 'test' in line)
    (infer,) = (line[line.index('infer') + 1 :] for line in words if 'infer' in line)
    measured = run('test', *test, cwd=folder)
    assert re.search(r'\|\s+segm \|', measured)
    assert 'metrics are in terminal/test/metrics.json' in measured
    for noise in [*NOISE, *DUMPS]:
        assert noise not in measured
    found = run('infer', *infer, cwd=folder)
    assert '1 of 1 images done' in found
    for noise in [*NOISE, *DUMPS]:
        assert noise not in found


def test_verbose_shows_what_libraries_say(config, shapes):
    args = [config, '--work-dir', 'verbose', '--verbose', '--cfg-options', *SHORT]
    output = run('train', *args, cwd=shapes)
    for noise in (*DUMPS, 'loading annotations', 'paramwise_options', 'mmengine - '):
        assert noise in output
