"""Every kind of published file, made from our own models by the inverse tables of names."""

import argparse

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from safetensors.torch import save_file

from rapidnet_mm import Inferencer, models
from rapidnet_mm.backbones import MobileViG, ReXNet, ReXNetLite, VGNet
from rapidnet_mm.backbones.rapidnet import RapidNet
from rapidnet_mm.engine import config as engine_config
from rapidnet_mm.engine.runner import build_runner
from rapidnet_mm.weights.load import coverage_of, load_pretrained, weights_for
from rapidnet_mm.weights.names import NAME_TABLES, RAPIDNET
from rapidnet_mm.weights.translate import to_ours
from tests.checkpoints import fill_from
from tests.engine.test_runner import CONFIG, shapes_config
from tests.messages import assert_says, refusal
from tests.training import random_statistics

LAST = (0, 1, 2, 3, 4)
# What a file of the family fills, and classifier heads as they are published.
FAMILIES = {
    'RapidNet': (lambda: RapidNet('ti'), ['prediction.1.weight', 'head.weight', 'dist_head.bias']),
    'ReXNet': (lambda: ReXNet(out_indices=LAST), ['output.1.weight', 'output.1.bias']),
    'ReXNet-lite': (lambda: ReXNetLite(out_indices=LAST), ['output.0.weight', 'output.4.bias']),
    'ReXNet (timm)': (lambda: ReXNet(out_indices=LAST), ['head.fc.weight', 'head.fc.bias']),
    'EfficientNet-B0': (
        lambda: models.TFEfficientNet('b0', out_indices=LAST),
        ['classifier.weight', 'classifier.bias'],
    ),
    'EfficientNet-B1, -B2': (
        lambda: models.TFEfficientNet('b1', out_indices=LAST),
        ['classifier.weight', 'classifier.bias'],
    ),
    'MobileViG-Ti': (lambda: MobileViG('ti'), ['prediction.1.weight', 'head.bias']),
    'MobileViG-S': (lambda: MobileViG('s'), ['prediction.1.weight', 'dist_head.bias']),
    'VGNet': (lambda: VGNet('g_1_0mp'), ['classifier.weight', 'classifier.bias']),
    'VGNet with SE': (lambda: VGNet('c_1_0mp_se'), ['classifier.weight', 'classifier.bias']),
    'VGNetF': (lambda: VGNet('f_1_0mp'), ['classifier.weight', 'classifier.bias']),
    'VGNetF with SE': (lambda: VGNet('e_1_0mp_se'), ['classifier.weight', 'classifier.bias']),
    'VGNet v2': (lambda: VGNet('g_1_0mp', version='v2'), ['classifier.1.weight']),
    'VGNet v2 with SE': (lambda: VGNet('g_1_0mp_se', version='v2'), ['classifier.1.weight']),
    'VGNet-5.0MP': (lambda: VGNet('c_5_0mp'), ['classifier.weight', 'classifier.bias']),
    'VGNetF-5.0MP': (lambda: VGNet('f_5_0mp'), ['classifier.weight', 'classifier.bias']),
    'VGNet v2-5.0MP': (lambda: VGNet('g_5_0mp', version='v2'), ['classifier.1.weight']),
    'VGNet-5.0MP with SE': (lambda: VGNet('c_5_0mp_se'), ['classifier.weight', 'classifier.bias']),
    'VGNetF-5.0MP with SE': (lambda: VGNet('f_5_0mp_se'), ['classifier.weight', 'classifier.bias']),
    'VGNet v2-5.0MP with SE': (lambda: VGNet('g_5_0mp_se', version='v2'), ['classifier.1.weight']),
}
WRAPPERS = ['state_dict_ema', 'model_ema', 'state_dict', 'model', None, 'safetensors']
SEGMENTER = CONFIG.replace('maskrcnn', 'semfpn')


def test_there_is_a_test_for_every_table_of_names():
    assert FAMILIES.keys() == NAME_TABLES.keys()


@pytest.fixture(scope='module', params=FAMILIES)
def family(request):
    """Name, a model with random weights, its published state, and an empty model."""
    build, heads = FAMILIES[request.param]
    model, table = random_statistics(build()), NAME_TABLES[request.param]
    published = {table.to_published(key): value for key, value in model.state_dict().items()}
    assert None not in published
    assert len(published) == len(model.state_dict())
    return request.param, model, published | {key: torch.ones(3) for key in heads}, build()


def write(path, wrapper, state):
    if wrapper == 'safetensors':
        save_file(state, path)
    elif wrapper is None:
        torch.save(state, path)
    else:
        beside = {
            'args': argparse.Namespace(lr=0.1, model='x'),
            'optimizer': {'state': {0: {'exp_avg': torch.ones(2)}}, 'param_groups': [{'lr': 0.1}]},
            'scaler': {'scale': 65536.0},
            'epoch': 299,
            'max_accuracy': np.float64(76.3),
        }
        others = {'state_dict': {'x': torch.ones(1)}, 'model': {'x': torch.ones(1)}}
        averaged = wrapper in ('state_dict_ema', 'model_ema')
        torch.save({**(others if averaged else {}), **beside, wrapper: state}, path)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_a_published_classifier_fills_its_backbone(wrapper, family, tmp_path, monkeypatch):
    name, model, published, target = family
    lines = []
    monkeypatch.setattr('rapidnet_mm.weights.load.print_log', lambda line, **_: lines.append(line))
    for value in target.state_dict().values():
        value.zero_()
    path = write(tmp_path / 'x', wrapper, published)
    load_pretrained(target, path)
    for key, value in model.state_dict().items():
        assert target.state_dict()[key].equal(value), key
    heads = FAMILIES[name][1]
    total = len(model.state_dict())
    assert_says(lines[0], path, f'{total} of {total} tensors', f'{len(heads)} left out on purpose')
    assert_says(lines[0], heads[0].split('.')[0])


def test_a_file_is_known_although_it_holds_a_little_more(family, tmp_path):
    name, _, published, target = family
    state = {**published, 'total_ops': torch.ones(1), 'stem.total_params': torch.ones(1)}
    assert to_ours(state).family == name
    coverage = load_pretrained(target, write(tmp_path / 'x', 'model', state))
    assert coverage.complete
    assert set(coverage.unused) == {'total_ops', 'stem.total_params'}


def test_another_family_is_named(family, tmp_path):
    name, _, published, _ = family
    target = ReXNet() if name == 'RapidNet' else RapidNet('ti')
    line = refusal(load_pretrained, target, write(tmp_path / 'x', None, published))
    assert_says(line, f'the file has the names of {name}')


def as_mm2(model):
    """A checkpoint as MMDetection 2.28 or MMSegmentation 0.30 writes it, in published names."""
    state = {}
    for key, value in model.state_dict().items():
        inner = key.removeprefix('backbone.')
        state[key if inner == key else f'backbone.{RAPIDNET.to_published(inner)}'] = value
    meta = {'mmdet_version': '2.28.2', 'config': 'model = dict()', 'CLASSES': ('a', 'b', 'c')}
    optimizer = {'state': {0: {'step': 3}}, 'param_groups': []}
    return {'meta': {**meta, 'PALETTE': None}, 'state_dict': state, 'optimizer': optimizer}


@pytest.fixture(scope='module', params=[CONFIG, SEGMENTER], ids=['detector', 'segmenter'])
def whole(request, tmp_path_factory):
    """Config, our file and the published file of a whole model with the same random weights."""
    folder = tmp_path_factory.mktemp('whole')
    cfg = engine_config.load_config(request.param)
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    model = random_statistics(MODELS.build(cfg.model))
    torch.save({'state_dict': model.state_dict()}, folder / 'ours.pth')
    torch.save(as_mm2(model), folder / 'mm2.pth')
    return request.param, folder


def test_a_published_detector_or_segmenter_gives_the_same_outputs(whole):
    config, folder = whole
    image = np.random.default_rng(0).integers(0, 255, (75, 120, 3), np.uint8)
    before, after = (Inferencer(config, folder / name, 'cpu') for name in ('ours.pth', 'mm2.pth'))
    assert after.classes == ('a', 'b', 'c')
    one, other = before(image), after(image)
    if config == SEGMENTER:
        assert len(np.unique(one.labels)) > 1
        assert np.array_equal(one.labels, other.labels)
    else:
        assert len(one.boxes) > 10
        for kind in ('boxes', 'scores', 'labels', 'masks'):
            assert np.array_equal(getattr(one, kind), getattr(other, kind)), kind


@pytest.mark.parametrize(
    ('config', 'table'),
    [
        ('fasterrcnn_rexnet_100_coco', 'ReXNet'),
        ('fasterrcnn_rexnet_100_coco', 'ReXNet (timm)'),
        ('semfpn_rexnet_100_ade20k', 'ReXNet'),
        ('maskrcnn_efficientnet_b0_coco', 'EfficientNet-B0'),
    ],
)
def test_detectors_of_the_other_families_are_covered_in_whole(config, table):
    cfg = engine_config.load_config(CONFIG.replace('maskrcnn_rapidnet_ti_shapes', config))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).to('meta')
    state = {}
    for key, value in model.state_dict().items():
        inner = key.removeprefix('backbone.')
        name = NAME_TABLES[table].to_published(inner)
        state[key if inner == key else f'backbone.{name}'] = value
    coverage = coverage_of(model, weights_for(model, {'state_dict': state}, 'file').state)
    assert coverage.complete
    assert not coverage.unused


def test_training_starts_from_a_published_classifier(shapes, tmp_path):
    source = random_statistics(RapidNet('ti'))
    state = {RAPIDNET.to_published(k): v for k, v in source.state_dict().items()}
    path = write(tmp_path / 'x.pth', 'model', {**state, 'head.weight': torch.ones(2)})
    runner = build_runner(shapes_config(shapes, tmp_path))
    runner.load_checkpoint(path)
    for key, value in source.state_dict().items():
        assert runner.model.backbone.state_dict()[key].equal(value), key
    cfg = shapes_config(shapes, tmp_path)
    tester = build_runner(cfg, mode='test')
    assert_says(refusal(tester.load_checkpoint, path), 'missing (neck')  # no whole detector


def test_averaging_begins_with_the_published_weights(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    cfg.custom_hooks = [dict(type='EMAHook')]
    runner: Runner = build_runner(cfg)
    source = random_statistics(MODELS.build(cfg.model))
    torch.save(as_mm2(source)['state_dict'], tmp_path / 'bare.pth')
    runner.call_hook('before_run')
    runner.load_checkpoint(str(tmp_path / 'bare.pth'))
    (hook,) = (hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    for model in (runner.model, hook.ema_model.module):
        for key, value in source.state_dict().items():
            assert model.state_dict()[key].equal(value), key


def test_a_tapped_backbone_takes_whole_detectors_and_classifiers():
    cfg = engine_config.load_config(CONFIG.replace('maskrcnn_rapidnet_ti', 'ssdlite_rexnet_100'))
    init_default_scope(cfg.default_scope)
    source, target = (MODELS.build(cfg.model) for _ in range(2))
    random_statistics(source)
    assert fill_from(target, {'state_dict': source.state_dict()}, 'file').complete
    classifier = {
        NAME_TABLES['ReXNet'].to_published(key.removeprefix('backbone.backbone.')): value
        for key, value in source.state_dict().items()
        if key.startswith('backbone.')
    }
    other = MODELS.build(cfg.model)
    coverage = fill_from(other, classifier, require='backbone.')
    assert not [key for key in coverage.missing if key.startswith('backbone')]
    assert other.backbone.backbone.stem[0].conv.weight.equal(
        source.backbone.backbone.stem[0].conv.weight
    )
