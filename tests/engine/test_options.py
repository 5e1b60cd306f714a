from pathlib import Path

import pytest
from mmengine.config import Config

from rapidnet_mm import UserError
from rapidnet_mm.engine.options import merge_options

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def cfg():
    return Config.fromfile(CONFIGS / 'maskrcnn_rapidnet_ti_coco.py')


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('train_dataloader.batch_size', 4),
        ('train_dataloader.pin_memory', True),  # an argument of DataLoader
        ('model.backbone.drop_path_rate', 0.2),  # an argument of RapidNet that the config lacks
        ('model.backbone.init_cfg', dict(type='Pretrained', checkpoint='x.pth')),
        ('train_dataloader.dataset.indices', 10),  # taken by a parent class
        ('train_dataloader.dataset.metainfo', dict(classes=('a',))),
        ('train_dataloader.dataset.pipeline.2.scale', (320, 320)),
        ('optim_wrapper.clip_grad', dict(max_norm=1)),
        ('optim_wrapper.optimizer.lr', 1e-3),
        ('randomness', dict(seed=0)),  # an argument of the runner
        ('default_hooks.checkpoint.max_keep_ckpts', 1),
        ('model.test_cfg.rcnn.mask_thr', 0.5),  # a free mapping
    ],
)
def test_keys_that_exist_are_taken(cfg, key, value):
    merge_options(cfg, {key: value})
    node = cfg
    for part in key.split('.'):
        node = node[int(part)] if part.isdigit() else node[part]
    assert node == value


@pytest.mark.slow
@pytest.mark.parametrize(
    ('key', 'nearest'),
    [
        ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
        ('train_dataloder.batch_size', 'train_dataloader'),
        ('model.backbone.droppath_rate', 'model.backbone.drop_path_rate'),
        ('model.backbon.arch', 'model.backbone'),
        ('optim_wrapper.optimizer.weight_deacy', 'optim_wrapper.optimizer.weight_decay'),
        ('model.test_cfg.rcnn.score_th', 'model.test_cfg.rcnn.score_thr'),
        ('train_dataloader.dataset.pipeline.9.scale', 'train_dataloader.dataset.pipeline'),
        ('lr', 'optim_wrapper.optimizer.lr'),
        ('work_dir.x', 'work_dir'),
    ],
)
def test_a_mistyped_key_is_refused_with_the_nearest(cfg, key, nearest):
    cfg.work_dir = 'x'
    before = cfg.pretty_text
    with pytest.raises(UserError, match=f'--cfg-options {key}') as error:
        merge_options(cfg, {key: 1})
    assert nearest in str(error.value)
    assert '\n' not in str(error.value)
    assert cfg.pretty_text == before


@pytest.mark.parametrize(
    ('key', 'made'),
    [
        ('lr', 'optim_wrapper.optimizer.lr'),
        ('num_classes', 'model.data_preprocessor.num_classes'),
        ('epochs', 'what is made of it'),
        ('train_pipeline.1.scale', '.scale'),
    ],
)
def test_a_variable_of_the_config_file_is_refused_because_it_changes_nothing(key, made):
    cfg = Config.fromfile(CONFIGS / 'imagenet/rapidnet_ti_in1k.py')
    with pytest.raises(UserError, match=f'--cfg-options {key}: .* is a variable') as error:
        merge_options(cfg, {key: 1})
    assert str(error.value).endswith(made)


def test_a_new_type_brings_its_own_arguments(cfg):
    merge_options(
        cfg,
        {
            'optim_wrapper.optimizer.type': 'SGD',
            'optim_wrapper.optimizer.momentum': 0.9,
            'model.backbone.init_cfg.type': 'Pretrained',
            'model.backbone.init_cfg.checkpoint': 'x.pth',
            'model.backbone.init_cfg.allow_partial': True,
        },
    )
    assert cfg.optim_wrapper.optimizer.momentum == 0.9
    with pytest.raises(UserError, match='momentum'):
        merge_options(cfg, {'optim_wrapper.optimizer.type': 'AdamW', 'optim_wrapper.momentum': 1})


def test_no_options_change_nothing(cfg):
    before = cfg.pretty_text
    merge_options(cfg, None)
    assert cfg.pretty_text == before


@pytest.mark.parametrize('name', ['maskrcnn_rexnet_100_coco', 'maskrcnn_r50_coco'])
def test_pretrained_weights_can_be_pinned(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    merge_options(cfg, {'model.backbone.init_cfg.sha256': '0' * 64})
    assert cfg.model.backbone.init_cfg.sha256 == '0' * 64
    with pytest.raises(UserError, match=r'nearest is model\.backbone\.init_cfg\.sha256'):
        merge_options(cfg, {'model.backbone.init_cfg.sha265': '0' * 64})
