"""What is said of a config before anything is read or built. Of ours, nothing bad is said."""

import pytest

from rapidnet_mm.analysis.doctor.config import dry_step
from rapidnet_mm.analysis.doctor.config.quick import quick_findings, warnings_before_training
from rapidnet_mm.analysis.doctor.finding import BREAKS, ODD, SPOILS
from rapidnet_mm.engine.config import CHECKOUT, load_config
from rapidnet_mm.engine.config_file import read_config_file

CONFIGS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in CHECKOUT.rglob('*.py')
    if '_base_' not in path.parts
)
HANDFUL = (
    *('maskrcnn_rapidnet_ti_shapes', 'maskrcnn_r50_coco', 'fasterrcnn_efficientnet_b0_coco'),
    *('ssdlite_rexnet_100_coco_scratch', 'semfpn_vgnetg_1_0mp_camvid'),
    *('semfpn_rapidnet_m_ade20k', 'imagenet/rexnet_100_in1k', 'imagenet/rapidnet_ti_shapes'),
    'imagenet/mobilevig_ti_in1k',
)


@pytest.mark.parametrize('config', HANDFUL)
def test_nothing_bad_is_said_of_our_configs(config):
    cfg = load_config(config)
    assert [finding for finding in quick_findings(cfg) if finding.grade != ODD] == []


@pytest.mark.exhaustive
@pytest.mark.parametrize('config', CONFIGS)
def test_nothing_bad_is_said_of_any_of_our_configs(config):
    cfg = load_config(config)
    assert [finding for finding in quick_findings(cfg) if finding.grade != ODD] == []


def findings(tmp_path, text, images=None, base='maskrcnn_rapidnet_ti_shapes'):
    """What is said of changes of one of our configs, by place."""
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = ['{CHECKOUT}/{base}.py']\n{text}\n")
    found = list(quick_findings(read_config_file(path), images))
    assert len({finding.where for finding in found}) == len(found)
    return {finding.where: finding for finding in found}


BACKBONE = 'model = dict(backbone=dict({}))'
WARM_UP = "dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500)"
# change, place, grade, part of the line
FAULTS = {
    'misspelt at the top': ('optim_wraper = 1', 'optim_wraper', SPOILS, 'optim_wrapper'),
    'key of MM 2': ('evaluation = dict(interval=1)', 'evaluation', SPOILS, 'val_evaluator'),
    'unread variable': ('answer = 42', 'answer', ODD, 'nobody'),
    'misspelt argument': (
        BACKBONE.format('layerscale_init=1.0'),
        'model.backbone.layerscale_init',
        BREAKS,
        'layer_scale_init',
    ),
    'misspelt in a loader': (
        'train_dataloader = dict(batchsize=4)',
        'train_dataloader.batchsize',
        BREAKS,
        'batch_size',
    ),
    'without effect': (
        'optim_wrapper = dict(paramwise_cfg=dict(custom_key=1))',
        'optim_wrapper.paramwise_cfg.custom_key',
        SPOILS,
        'custom_keys',
    ),
    'rate too high': (
        'optim_wrapper = dict(optimizer=dict(lr=1.0))',
        'optim_wrapper.optimizer.lr',
        SPOILS,
        'high for AdamW',
    ),
    'rate too low': (
        'optim_wrapper = dict(optimizer=dict(lr=1e-9))',
        'optim_wrapper.optimizer.lr',
        SPOILS,
        'low for AdamW',
    ),
    'another batch': (
        'auto_scale_lr = dict(base_batch_size=50)',
        'optim_wrapper.optimizer.lr',
        SPOILS,
        '--auto-scale-lr makes it 4e-05',
    ),
    'fewer processes': (
        'auto_scale_lr = dict(base_batch_size=16)',
        'optim_wrapper.optimizer.lr',
        ODD,
        '8 processes',
    ),
    'frozen random layers': (
        BACKBONE.format('frozen_stages=1'),
        'model.backbone.frozen_stages',
        SPOILS,
        '-1',
    ),
    'statistics of nothing': (
        BACKBONE.format('norm_eval=True'),
        'model.backbone.norm_eval',
        SPOILS,
        'no weights',
    ),
    'no validation': (
        'train_cfg = dict(val_begin=9)',
        'train_cfg.val_begin',
        SPOILS,
        'never happens',
    ),
    'one validation': ('train_cfg = dict(val_interval=9)', 'train_cfg.val_interval', ODD, '9'),
    'no checkpoint': (
        'default_hooks = dict(checkpoint=dict(interval=40, save_last=False))',
        'default_hooks.checkpoint.interval',
        SPOILS,
        'nothing is ever saved',
    ),
    'another unit': (
        'default_hooks = dict(checkpoint=dict(by_epoch=False))',
        'default_hooks.checkpoint.by_epoch',
        ODD,
        'iterations',
    ),
    'wrong value': ("train_cfg = dict(max_epochs='a')", 'train_cfg.max_epochs', BREAKS, "'a'"),
    'wrong schedule': (
        "param_scheduler = [dict(type='LinearLR', start_factor=0.1, ends=3, by_epoch=True)]",
        'param_scheduler.0.ends',
        BREAKS,
        'end',
    ),
}


@pytest.mark.parametrize('name', sorted(FAULTS))
def test_a_fault_of_a_config_is_named(name, tmp_path):
    text, where, grade, part = FAULTS[name]
    found = findings(tmp_path, text)
    assert found[where].grade == grade
    assert part in found[where].line()
    assert {w for w, f in found.items() if f.grade != ODD} <= {where, 'param_scheduler.0'}


def test_a_warm_up_that_is_longer_than_the_training_is_named(tmp_path):
    text = f'param_scheduler = [{WARM_UP}]'
    assert findings(tmp_path, text) == {}, 'how long an epoch is, is not known'
    found = findings(tmp_path, text, images=18)
    assert found['param_scheduler.0'].grade == SPOILS
    assert '500 iterations of 45' in found['param_scheduler.0'].what
    assert 'end to about 4' in found['param_scheduler.0'].way_out


def test_blocks_that_stay_switched_off_are_named(tmp_path):
    text = BACKBONE.format('layer_scale_init=1e-5')
    found = findings(tmp_path, text, images=18)
    assert '--from-scratch' in found['model.backbone.layer_scale_init'].way_out
    pretrained = "layer_scale_init=1e-5, init_cfg=dict(type='Pretrained', checkpoint='x.pth')"
    found = findings(tmp_path, BACKBONE.format(pretrained), images=18)
    assert 'model.backbone.layer_scale_init' not in found


def test_a_training_warns_of_what_would_spoil_it(tmp_path):
    assert warnings_before_training(load_config('maskrcnn_rapidnet_ti_shapes')) == []
    path = tmp_path / 'mine.py'
    text = 'optim_wraper = 1\nanswer = 42\ntrain_cfg = dict(val_begin=9)'
    path.write_text(f"_base_ = ['{CHECKOUT}/maskrcnn_rapidnet_ti_shapes.py']\n{text}\n")
    lines = warnings_before_training(load_config(path))
    assert [line.split(':')[0] for line in lines] == ['optim_wraper', 'train_cfg.val_begin']
    assert all(f'rapidnet doctor {path} says more' in line for line in lines)


def test_a_yaml_config_is_read_too(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(f"_base_: ['{CHECKOUT}/maskrcnn_rapidnet_ti_shapes.py']\nanswer: 42\n")
    found = list(quick_findings(read_config_file(path)))
    assert [finding.where for finding in found] == ['answer']


@pytest.fixture(scope='module')
def segmenter(shapes):
    """A small segmenter on the small built-in data."""
    root = str(shapes / 'data/shapes')
    options = {f'{split}_dataloader.dataset.data_root': root for split in ('train', 'val', 'test')}
    return load_config('semfpn_rapidnet_ti_shapes', options)


@pytest.mark.slow
def test_a_dry_step_says_what_it_took(segmenter):
    model, found = dry_step.build_findings(segmenter)
    assert found == []
    step, found = dry_step.dry_step(segmenter, model)
    assert found == []
    assert step.images == 2
    assert 0 < step.loss < 20
    assert step.gib is None or 0 <= step.gib < 8


def test_a_loss_that_is_not_finite_and_lost_gradients_are_named(segmenter):
    model, _ = dry_step.build_findings(segmenter)
    name = next(name for name, _ in model.named_parameters())
    many = [name for name, _ in model.named_parameters()]
    good = dry_step.Step(1.0, 1.0, None, 2)
    (bad,) = dry_step._step_findings(model, good._replace(loss=float('nan')), [])
    assert bad.grade == BREAKS
    (one,) = dry_step._step_findings(model, good, [name])
    assert (one.grade, name in one.what) == (ODD, True)
    assert next(dry_step._step_findings(model, good, many)).grade == SPOILS


def test_parts_that_do_not_fit_are_named(segmenter):
    cfg = segmenter.copy()
    cfg.model.neck.in_channels = [32, 64, 112, 225]
    _, (finding,) = dry_step.build_findings(cfg)
    assert finding.grade == BREAKS
    assert '224' in finding.what


def test_weights_that_are_not_here_are_named(segmenter):
    cfg = segmenter.copy()
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nowhere.pth')
    (finding,) = dry_step.start_findings(cfg)
    assert finding.grade == BREAKS
    assert dry_step.without_files(cfg.model)['backbone']['init_cfg'] is None
    assert cfg.model.backbone.init_cfg.checkpoint == 'nowhere.pth'


@pytest.mark.parametrize(
    ('place', 'value'),
    [
        ('default_hooks.checkpoint.interval', None),
        ('train_dataloader.batch_sampler.type', 5),
        ('train_cfg.val_begin', None),
        ('default_scope', 5),
        ('optim_wrapper', None),
        ('model', None),
    ],
)
def test_values_that_are_none_or_of_another_type_are_no_bug(place, value):
    cfg = load_config('maskrcnn_rapidnet_ti_shapes')
    *path, last = place.split('.')
    node = cfg
    for key in path:
        node = node[key]
    node[last] = value
    assert all(finding.what for finding in quick_findings(cfg, 10))
