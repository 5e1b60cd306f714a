"""A schedule that does not fit the length of the training is named; the published ones fit."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from rapidnet_mm.engine.config import CHECKOUT, load_config
from rapidnet_mm.engine.schedule_check import schedule_doubts


def doubts(schedulers, iterations=None, epochs=None, per_epoch=None):
    """What is said of schedulers of an SGD in a training of this length."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    kind = EpochBasedTrainLoop if epochs else IterBasedTrainLoop
    loop = object.__new__(kind)
    loop._max_epochs, loop._max_iters = epochs or 1, iterations or epochs * per_epoch
    built = []
    for config in schedulers:
        config = dict(config)
        if config.pop('convert_to_iter_based', False):
            cls = PARAM_SCHEDULERS.get(config.pop('type'))
            config.pop('by_epoch')
            built.append(
                cls.build_iter_from_epoch(optimizer=optimizer, epoch_length=per_epoch, **config)
            )
        else:
            built.append(PARAM_SCHEDULERS.build(dict(config, optimizer=optimizer)))
    return schedule_doubts(SimpleNamespace(train_loop=loop, param_schedulers=built))


WARM_UP = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500)
STEPS = dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11])
FAULTS = {
    'warm-up longer than the training': ([WARM_UP], dict(epochs=12, per_epoch=6), ['500', '72']),
    'warm-up of most of it': ([WARM_UP], dict(iterations=800), ['500', '800', '80']),
    'constant warm-up': (
        [dict(type='ConstantLR', factor=0.1, by_epoch=True, end=8)],
        dict(epochs=10, per_epoch=5),
        ['8 epochs of 10'],
    ),
    'steps behind the end': ([STEPS], dict(epochs=9, per_epoch=9), ['11 epochs', 'has 9']),
    'step_size too large': (
        [dict(type='StepLR', by_epoch=True, step_size=30)],
        dict(epochs=10, per_epoch=5),
        ['every 30 epochs'],
    ),
    'decay far behind the end': (
        [dict(type='PolyLR', by_epoch=False, begin=0, end=40000)],
        dict(iterations=400),
        ['40000 iterations', '400'],
    ),
    'cosine behind the end': (
        [dict(type='CosineAnnealingLR', by_epoch=True, T_max=300, convert_to_iter_based=True)],
        dict(epochs=10, per_epoch=7),
        ['2100 iterations', '70'],
    ),
    'warm-up inside a cosine': (
        [
            dict(
                type='CosineWithWarmUpLR',
                **dict(end=30, warm_up=20, warm_up_start=1e-6, eta_min=0, by_epoch=True),
            )
        ],
        dict(epochs=30, per_epoch=5),
        ['20 epochs of 30', 'warm_up to about 3'],
    ),
    'begins after the end': (
        [dict(type='PolyLR', by_epoch=False, begin=500, end=900)],
        dict(iterations=400),
        ['begins after 500', '400'],
    ),
}


@pytest.mark.parametrize('name', sorted(FAULTS))
def test_a_schedule_that_does_not_fit_is_named(name):
    schedulers, length, parts = FAULTS[name]
    (line,) = doubts(schedulers, **length)
    assert line.startswith('param_scheduler.0 ')
    for part in parts:
        assert part in line


CONFIGS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in CHECKOUT.rglob('*.py')
    if '_base_' not in path.parts
)
# Iterations per epoch of the recipes: COCO at a batch of 16, ImageNet at 1024, the built-in data.
PER_EPOCH = {'coco': 7330, 'in1k': 1252, 'shapes': 40, 'ade20k': 1263, 'camvid': 46}


@pytest.mark.parametrize('config', CONFIGS)
def test_the_schedule_of_every_config_fits(config):
    cfg = load_config(config)
    per_epoch = next(count for name, count in PER_EPOCH.items() if name in config)
    length = dict(epochs=cfg.train_cfg.get('max_epochs'), per_epoch=per_epoch)
    if 'max_iters' in cfg.train_cfg:
        length = dict(iterations=cfg.train_cfg.max_iters)
    assert doubts(cfg.get('param_scheduler') or [], **length) == []
