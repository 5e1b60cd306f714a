"""Every published recipe names the weights that it starts from, and can do without."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import rapidnet_mm  # noqa: F401  before mmdet
from rapidnet_mm.engine.config import load_config
from rapidnet_mm.engine.start import start_from_scratch
from rapidnet_mm.weights.known import KNOWN

FOLDER = Path(__file__).parents[2] / 'configs'
TASKS = sorted(FOLDER.glob('*.py'))
SCRATCH = ('_shapes', '_camvid', '_scratch', '_plain_coco')  # they start from random weights
RECIPES = [path for path in TASKS if not path.stem.endswith(SCRATCH)]
OTHERS = [path for path in sorted(FOLDER.rglob('[!_]*.py')) if path.stem.endswith(SCRATCH)]
IMAGENET = sorted((FOLDER / 'imagenet').glob('*_in1k.py'))
assert RECIPES
assert OTHERS
assert IMAGENET


def named(path):
    return path.stem


def backbone_of(cfg):
    return cfg.model.backbone.get('backbone', cfg.model.backbone)


def warm_ups_of(cfg):
    return [s.end for s in cfg.param_scheduler if s.type == 'LinearLR' and s.begin == 0]


def pretrained(node):
    if isinstance(node, dict):
        if node.get('type') == 'Pretrained':
            yield node['checkpoint']
        for value in node.values():
            yield from pretrained(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from pretrained(value)


@pytest.mark.parametrize('path', RECIPES, ids=named)
def test_a_published_recipe_names_the_weights_of_its_own_backbone(path):
    cfg = Config.fromfile(path)
    (name,) = pretrained(cfg.model.to_dict())
    backbone, entry = backbone_of(cfg), KNOWN[name]
    assert backbone.init_cfg == dict(type='Pretrained', checkpoint=name)
    assert entry.holds == 'classifier'
    variants = {
        'RapidNet': f'rapidnet_{backbone.get("arch")}',
        'MobileViG': f'mobilevig_{backbone.get("arch")}',
        'VGNet': f'vgnet{backbone.get("arch")}_paper',
        'ReXNet': f'rexnet_{100 * backbone.get("width_mult", 0):03.0f}',
        'ReXNetLite': f'rexnet_lite_{100 * backbone.get("width_mult", 0):03.0f}',
        'TFEfficientNet': f'tf_efficientnet_{backbone.get("arch")}_ns',
        'ResNet': f'resnet{backbone.get("depth")}',
    }
    expected = variants[backbone.type]
    ablation = {'mixer', 'branches'} & set(backbone)
    assert (name.startswith(f'{expected}_') and not entry.place) if ablation else name == expected


@pytest.mark.parametrize('path', OTHERS + IMAGENET, ids=named)
def test_demos_scratch_configs_and_classifiers_need_no_file(path):
    cfg = load_config(path)
    assert list(pretrained(cfg.model.to_dict())) == []
    before = copy.deepcopy(cfg.to_dict())
    assert start_from_scratch(cfg) == []
    assert cfg.to_dict() == before


@pytest.mark.parametrize('path', IMAGENET, ids=named)
def test_a_teacher_is_named(path):
    teacher = Config.fromfile(path).model.get('teacher')
    assert teacher is None or teacher == dict(
        model='regnety_160.deit_in1k', checkpoint='regnety_160'
    )


@pytest.mark.parametrize('path', RECIPES, ids=named)
def test_where_nothing_is_published_the_config_says_so(path):
    (name,) = pretrained(Config.fromfile(path).model.to_dict())
    head = path.read_text().split('_base_')[0]
    assert ('--from-scratch' in head) == (not KNOWN[name].place)
    assert ('Google Drive' in head) == (bool(KNOWN[name].place) and not KNOWN[name].can_be_fetched)


@pytest.mark.parametrize('path', RECIPES, ids=named)
def test_from_scratch_every_recipe_starts_without_a_file_and_builds(path):
    cfg = load_config(path, from_scratch=True)
    plain = load_config(path)
    assert list(pretrained(cfg.model.to_dict())) == []
    backbone = backbone_of(cfg)
    assert backbone.init_cfg is None
    if backbone.type in ('RapidNet', 'MobileViG'):
        assert backbone.layer_scale_init == 0.5
    assert backbone.get('frozen_stages', -1) == -1
    assert not backbone.get('norm_eval', False)
    length = 'max_epochs' if 'max_epochs' in cfg.train_cfg else 'max_iters'
    assert cfg.train_cfg[length] == 2 * plain.train_cfg[length]
    stretched = [2 * end for end in warm_ups_of(plain)]
    assert warm_ups_of(cfg) == (stretched or [1000])
    assert max(s.end for s in cfg.param_scheduler) == 2 * max(s.end for s in plain.param_scheduler)
    if path.stem.startswith('ssdlite') and path.with_stem(f'{path.stem}_scratch').is_file():
        sibling = load_config(path.with_stem(f'{path.stem}_scratch'))
        assert cfg.train_cfg == sibling.train_cfg
        assert backbone_of(sibling) == backbone
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model.backbone)
    assert all(parameter.requires_grad for name, parameter in model.named_parameters()) or (
        backbone.type == 'VGNet'  # fixed kernels
    )


def test_from_scratch_prints_what_it_changes_and_options_win(capsys):
    path = FOLDER / 'maskrcnn_r50_coco.py'
    options = {'train_cfg.max_epochs': 3, 'model.backbone.frozen_stages': 0}
    cfg = load_config(path, options, from_scratch=True)
    (warm_up,) = warm_ups_of(load_config(path))
    assert cfg.train_cfg.max_epochs == 3
    assert cfg.model.backbone.frozen_stages == 0
    printed = capsys.readouterr().out
    for change in (
        'model.backbone.init_cfg=None',
        'model.backbone.norm_eval=False',
        'train_cfg.max_epochs=24',
        f'param_scheduler.0.end={2 * warm_up}',
        'param_scheduler.1.milestones=[16, 22]',
    ):
        assert f'--from-scratch: {change}\n' in printed
    load_config(FOLDER / 'maskrcnn_rapidnet_ti_shapes.py', from_scratch=True)
    assert 'random weights already' in capsys.readouterr().out


def test_from_scratch_stretches_a_warm_up_inside_a_cosine():
    cfg = load_config(FOLDER / 'imagenet/rapidnet_ti_in1k.py')
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='x.pth')
    (before,) = copy.deepcopy(cfg.param_scheduler)
    start_from_scratch(cfg)
    (after,) = cfg.param_scheduler
    assert before.warm_up
    assert (after.warm_up, after.end) == (2 * before.warm_up, 2 * before.end)


def test_from_scratch_takes_files_out_of_lists_and_load_from_away():
    cfg = load_config(FOLDER / 'semfpn_rapidnet_m_ade20k.py')
    drawn = dict(type='Normal', layer='Conv2d')
    cfg.model.backbone.init_cfg = [drawn, dict(type='Pretrained', checkpoint='x.pth')]
    cfg.load_from = 'y.pth'
    changes = start_from_scratch(cfg)
    assert cfg.model.backbone.init_cfg == [drawn]
    assert cfg.load_from is None
    assert 'load_from=None' in changes
    poly, warm_up = cfg.param_scheduler
    assert (warm_up['type'], warm_up['end'], poly.begin, poly.end) == (
        *('LinearLR', 1000),
        *(1000, 80_000),
    )
