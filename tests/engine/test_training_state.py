"""State of another training is refused before the training goes on with it."""

import copy

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from rapidnet_mm.engine.runner import build_runner
from tests.engine.test_runner import shapes_config
from tests.messages import assert_says, refusal


@pytest.fixture(scope='module')
def checkpoint(shapes, tmp_path_factory):
    """A checkpoint of the demo, as a runner writes it after two iterations."""
    folder = tmp_path_factory.mktemp('state')
    cfg = shapes_config(shapes, folder)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=9)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.1, begin=0, end=5, by_epoch=False)]
    cfg.train_dataloader.update(batch_size=1, num_workers=0)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    runner = build_runner(cfg)
    runner.train()
    return cfg, torch.load(folder / 'work/iter_1.pth', weights_only=False)


def first_state(content):
    return next(iter(content['optimizer']['state'].values()))


def put(path, value):
    def change(content):
        *way, last = path.split('.')
        for key in way:
            content = content[int(key)] if isinstance(content, list) else content[key]
        content[last] = value

    return change


def moments(content):
    state = first_state(content)
    name = next(key for key, value in state.items() if getattr(value, 'ndim', 0))
    state[name] = torch.zeros(3, 3)


def nan_moments(content):
    state = first_state(content)
    name = next(key for key, value in state.items() if getattr(value, 'ndim', 0))
    state[name] = state[name] * torch.nan


def nan_weights(content):
    content['state_dict']['backbone.stem.0.conv.weight'][0] = torch.nan


def infinite_weights(content):
    content['state_dict']['backbone.stem.0.conv.weight'][0] = torch.inf


def without(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def fewer_parameters(content):
    content['optimizer']['param_groups'][0]['params'].pop()


def setting(key, value):
    def change(content):
        for group in content['optimizer']['param_groups']:
            group[key] = value

    return change


def scheduler(key, value):
    return lambda content: content['param_schedulers'][0].update({key: value})


OTHER = [
    ('moments of another shape', moments, 'shape'),
    ('moments that are NaN', nan_moments, 'NaN'),
    ('no moments', put('optimizer.state', {}), 'moments'),
    ('fewer parameters', fewer_parameters, 'of another training'),
    ('no groups', put('optimizer.param_groups', []), 'of another training'),
    ('a text as groups', put('optimizer.param_groups', 'x'), 'of another training'),
    ('an optimizer that is a list', put('optimizer', []), 'optimizer'),
    ('a learning rate that is NaN', setting('lr', float('nan')), 'lr'),
    ('a learning rate that is a text', setting('lr', 'x'), 'lr'),
    ('weights that are NaN', nan_weights, 'backbone.stem.0.conv.weight'),
    ('weights that are infinite', infinite_weights, 'backbone.stem.0.conv.weight'),
    ('no schedulers', without('param_schedulers'), 'schedulers'),
    ('empty schedulers', put('param_schedulers', []), 'schedulers'),
    ('a scheduler without a step', put('param_schedulers', [{}]), 'step'),
    ('a scheduler with a method', scheduler('step', 5), 'LinearLR'),
    ('a scheduler with an optimizer', scheduler('optimizer', 5), 'optimizer'),
    ('a scheduler of other groups', scheduler('base_values', [1.0, 1.0]), 'LinearLR'),
    ('no history', without('message_hub'), 'no state of a training'),
    ('a history that is a list', put('message_hub', []), 'history'),
    (
        'an empty history',
        put('message_hub', dict(log_scalars={}, runtime_info={}, resumed_keys={})),
        'history',
    ),
    ('no iteration', without('meta', 'iter'), 'iter'),
    ('an iteration below zero', put('meta.iter', -1), 'iter'),
    ('an epoch that is a text', put('meta.epoch', 'x'), 'epoch'),
    ('an epoch that is NaN', put('meta.epoch', float('nan')), 'epoch'),
]


@pytest.mark.parametrize(
    ('change', 'fact'), [case[1:] for case in OTHER], ids=[case[0] for case in OTHER]
)
def test_state_of_another_training_is_refused(change, fact, checkpoint, tmp_path):
    cfg, content = checkpoint
    content = copy.deepcopy(content)
    change(content)
    path = tmp_path / 'x.pth'
    torch.save(content, path)
    assert_says(resumed(cfg, path), path, fact)


def resumed(cfg, path):
    """The line that resuming from a file is refused with."""
    cfg = copy.deepcopy(cfg)
    cfg.resume, cfg.load_from, cfg.work_dir = True, str(path), str(path.parent / 'work')
    cfg.experiment_name = path.parent.name
    runner = build_runner(cfg)
    return refusal(runner.train)


def test_what_a_checkpoint_says_runs_no_code_and_deletes_nothing(checkpoint, tmp_path):
    cfg, content = checkpoint
    content = copy.deepcopy(content)
    marker, precious = tmp_path / 'marker', tmp_path / 'precious.pth'
    precious.write_text('mine')
    program = f'open({str(marker)!r}, "w")\nmodel = 1'
    content['meta'] |= dict(config=program, cfg=program, experiment_name=program, hook_msgs={})
    notes = content['message_hub']['runtime_info']
    notes.update({'cfg': program, 'best_ckpt': str(precious), 'best_score': 0.0})
    content['message_hub']['log_scalars']['train/lr'] = HistoryBuffer(np.ones(2), np.ones(2))
    path = tmp_path / 'x.pth'
    torch.save(content, path)
    cfg = copy.deepcopy(cfg)
    cfg.resume, cfg.load_from, cfg.work_dir = True, str(path), str(tmp_path / 'work')
    cfg.train_cfg.max_iters = 2
    cfg.experiment_name = 'no_code'
    runner = build_runner(cfg)
    runner.train()
    assert runner.iter == 2
    assert not marker.exists()
    assert precious.read_text() == 'mine'
    assert 'best_ckpt' not in runner.message_hub.runtime_info
    assert runner.message_hub.get_info('cfg') != program
    assert runner.message_hub.get_scalar('train/lr').data[0].size >= 2
