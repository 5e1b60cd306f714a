import itertools
import logging
import re
import sys
import types
import warnings

import pytest
from mmengine.logging import MMLogger

from rapidnet_mm.engine.console import Screen, dress, quiet, short_progress

TRAIN = (
    'Epoch(train) [1][30/96]  base_lr: 1.0e-03 lr: 3.0e-04  eta: 1 day, 2:00:06  time: 1.56  '
    'data_time: 0.09  memory: 812  grad_norm: 56.7  loss: 9.4306  loss_rpn_cls: 0.7014  '
    'loss_mask: 0.0312  acc: 88.2812'
)
VAL = (
    'Iter(val) [  10/1000]    coco/bbox_mAP: 0.4321  coco/bbox_mAP_s: 0.1  coco/bbox_AR@1: 0.2  '
    'data_time: 0.1  time: 0.2'
)


def test_progress_has_the_time_left_and_the_losses_and_little_else():
    line = short_progress(TRAIN)
    assert line == (
        'Epoch(train) [1][30/96]  eta: 1 day, 2:00:06  loss: 9.43 (rpn_cls 0.701, mask 0.0312)  '
        'acc: 88.3'
    )


@pytest.mark.parametrize('name', ['decode.loss_ce', 'loss_cls'])
def test_a_loss_of_one_part_is_not_said_twice(name):
    line = short_progress(f'Iter(train) [ 2/4]  eta: 0:00:02  loss: 2.0312  {name}: 2.0312')
    assert line == 'Iter(train) [ 2/4]  eta: 0:00:02  loss: 2.03'


def test_progress_of_an_evaluation_has_all_digits_of_its_metrics():
    assert short_progress(VAL) == 'Iter(val) [  10/1000]  coco/bbox_mAP: 0.4321'
    assert short_progress('Epoch(test) [2/4]    eta: 0:00:01  time: 0.9  ') == (
        'Epoch(test) [2/4]  eta: 0:00:01'
    )


def test_many_metrics_are_wrapped_between_metrics():
    names = [f'dataset/metric_number_{i}' for i in range(20)]
    line = short_progress('Epoch(val) [1][4/4]    ' + '  '.join(f'{n}: 0.5' for n in names))
    rows = line.splitlines()
    assert max(map(len, rows)) <= 120
    assert len(rows) > 1
    for name in names:
        assert sum(f'{name}: 0.5' in row for row in rows) == 1


@pytest.mark.parametrize(
    'text', ['', 'plain', 'Epoch(val) is near', '\nCOCO\n| a |', f'{TRAIN}\nx']
)
def test_other_texts_stay_as_they_are(text):
    assert short_progress(text) == text


def speaking_as(module, **names):
    """Functions that print, log, and warn, in a module of that name."""
    code = (
        'import warnings\n'
        'from mmengine.logging import print_log\n'
        'def say(text): print(text)\n'
        'def pass_on(text): print_log(text)\n'
        'def log(text, level): logger.log(level, text)\n'
        'def log_current(text, level): print_log(text, "current", level)\n'
        'def warn(text): warnings.warn(text)\n'
    )
    speaker = types.ModuleType(module)
    speaker.__dict__.update(names)
    exec(code, speaker.__dict__)
    return speaker


@pytest.fixture
def stage(capsys, tmp_path):
    """A maker of loggers, and what reached screen and log file, as two functions."""
    numbers = itertools.count()

    def make_logger():
        name = f'{tmp_path.name}_{next(numbers)}'
        logger = MMLogger.get_instance(name, log_file=str(tmp_path / 'run.log'), file_mode='a')
        dress(logger)
        return logger

    yield make_logger, lambda: capsys.readouterr().out, (tmp_path / 'run.log').read_text
    for name in [name for name in MMLogger._instance_dict if name.startswith(tmp_path.name)]:
        MMLogger._instance_dict.pop(name)


@pytest.mark.parametrize(
    ('module', 'level', 'text', 'heard'),
    [
        ('rapidnet_mm.weights.load', logging.INFO, '545 of 545 tensors', True),
        ('rapidnet_mm.data.checks', logging.WARNING, 'labels look odd', True),
        ('my_project.hooks', logging.INFO, 'mine', True),
        ('mmengine.runner.runner', logging.INFO, 'System environment:', False),
        ('mmengine.runner.runner', logging.INFO, 'LR is set based on batch size of 2', True),
        ('mmengine.optim.optimizer', logging.INFO, 'paramwise_options -- a.lr=1', False),
        ('mmengine.fileio', logging.WARNING, '"FileClient" will be deprecated', False),
        ('mmengine.fileio', logging.WARNING, 'the file is odd', True),
        ('mmengine.registry.registry', logging.WARNING, 'Failed to search', False),
        ('mmengine.runner.runner', logging.ERROR, 'deprecated and broken', True),
        ('mmengine.hooks.early_stopping_hook', logging.INFO, 'training is stopped', True),
        ('mmengine.hooks.logger_hook', logging.INFO, 'Exp name: x', False),
        ('mmdet.evaluation.metrics', logging.INFO, '| a table |', True),
    ],
)
@pytest.mark.parametrize('way', ['log', 'log_current'])
def test_the_screen_gets_what_helps_and_the_file_gets_all(way, module, level, text, heard, stage):
    make_logger, screen, file = stage
    with quiet():
        logger = make_logger()
        getattr(speaking_as(module, logger=logger), way)(text, level)
    shown = screen()
    assert (text in shown) is heard
    assert text in file()
    assert 'mmengine - ' not in shown
    assert ('warning: ' in shown) == (heard and level == logging.WARNING)


@pytest.mark.parametrize('way', ['say', 'pass_on'])
def test_libraries_do_not_print_and_others_do(way, stage):
    _, screen, _ = stage
    with quiet():
        for module in ('pycocotools.coco', 'mmdet.datasets', 'torch'):
            getattr(speaking_as(module), way)('noise')
        for module in ('rapidnet_mm.engine.runner', 'torchlight', '__main__'):
            getattr(speaking_as(module), way)(f'{module} speaks')
    assert screen().split('\n')[:-1] == [
        f'{module} speaks' for module in ('rapidnet_mm.engine.runner', 'torchlight', '__main__')
    ]


def test_warnings_of_libraries_are_off_and_others_are_on():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with quiet():
            speaking_as('torch.functional').warn('noise')
            speaking_as('mmengine').warn('noise')
            speaking_as('rapidnet_mm.weights').warn('ours')
            speaking_as('torchlight').warn('theirs')
        speaking_as('torch.functional').warn('afterwards')
    assert [str(warning.message) for warning in caught] == ['ours', 'theirs', 'afterwards']


def test_verbose_shows_all(stage):
    make_logger, screen, _ = stage
    with warnings.catch_warnings(record=True) as caught, quiet(verbose=True):
        warnings.simplefilter('always')
        library = speaking_as('mmengine.runner', logger=make_logger())
        library.say('printed')
        library.log('logged', logging.INFO)
        library.warn('warned')
    shown = screen()
    assert 'printed' in shown
    assert re.search('mmengine - .*logged', shown)
    assert len(caught) == 1


def test_outside_of_a_command_nothing_changes(stage):
    make_logger, screen, _ = stage
    with quiet():
        pass
    assert not isinstance(sys.stdout, Screen)
    library = speaking_as('mmengine.runner', logger=make_logger())
    library.log('logged', logging.INFO)
    library.say('printed')
    shown = screen()
    assert re.search('mmengine - .*logged', shown)
    assert 'printed' in shown


def test_a_traceback_in_a_record_is_shown(stage):
    make_logger, screen, _ = stage
    with quiet():
        try:
            raise ValueError('broken inside')
        except ValueError:
            make_logger().exception('it failed')
    shown = screen()
    assert 'error: it failed' in shown
    assert 'ValueError: broken inside' in shown
