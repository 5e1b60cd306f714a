from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import METRICS, MODELS, init_default_scope
from torch import nn

from rapidnet_mm.analysis.complexity import default_shape
from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.deploy.fuse import to_inference
from rapidnet_mm.engine import fit
from rapidnet_mm.engine.config import build_model
from rapidnet_mm.models.accuracy import TopAccuracy
from rapidnet_mm.weights.contract import fixed_tensors
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.names import NAME_TABLES, RAPIDNET
from rapidnet_mm.weights.read import read_checkpoint
from rapidnet_mm.weights.release import convert
from tests.checkpoints import fill_from
from tests.messages import assert_says, refusal
from tests.reference import assert_equals_recorded, fill, recorded, reference_input
from tests.training import random_statistics

FOLDER = Path(__file__).parents[2] / 'configs/imagenet'
CONFIGS = sorted(FOLDER.glob('*.py'))
IN1K = [path for path in CONFIGS if '_in1k' in path.stem]
DISTILLED = [p for p in IN1K if p.stem.startswith(('rapidnet', 'mobilevig')) and 'no' not in p.stem]
# Config, table of names, and where the outputs of the published implementation are recorded.
RECORDED = {
    'rapidnet_ti_in1k': ('RapidNet', 'rapidnet_outputs.json', 'ti'),
    'rexnet_100_in1k': ('ReXNet', 'rexnet_outputs.json', 'ReXNet'),
    'rexnet_lite_100_in1k': ('ReXNet-lite', 'rexnet_outputs.json', 'ReXNetLite'),
    'vgnetf_1_5mp_in1k': ('VGNetF', 'vgnet_outputs.json', 'f_1_5mp'),
    'mobilevig_ti_in1k': ('MobileViG-Ti', 'mobilevig_outputs.json', 'ti'),
}


def on(paths):
    return pytest.mark.parametrize('path', paths, ids=[path.stem for path in paths])


def load(name):
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


def published(model, table):
    """The whole of a classifier under published names; heads are 1x1 convolutions as published."""
    state, fixed = {}, fixed_tensors(model)
    for key, value in model.state_dict().items():
        head = table.head_to_published(key)
        shape = tuple(value.shape)
        if head and value.dim() == 2 and 'VGNet' not in type(model.backbone).__name__:
            shape += (1, 1)
        if key not in fixed:
            name = head or table.to_published(key.removeprefix('backbone.'))
            state[name] = (shape, value)
    assert None not in state
    return state


@pytest.mark.openmmlab
@pytest.mark.parametrize('name', RECORDED)
def test_a_published_file_fills_the_whole_classifier_and_gives_the_published_logits(name):
    family, file, variant = RECORDED[name]
    model = MODELS.build(load(name).model).double().eval()
    state = {key: fill(key, s) for key, (s, _) in published(model, NAME_TABLES[family]).items()}
    coverage = fill_from(model, {'model': state}, 'file')
    assert coverage.complete
    assert not coverage.unused
    expected = recorded(file)[variant]['outputs']['logits']
    # float64: what is left is the order of summation
    assert_equals_recorded(model(reference_input()), expected, rtol=1e-9)


@pytest.fixture(scope='module')
def classifier():
    """RapidNet-Ti for five classes, as after a training."""
    cfg = load('rapidnet_ti_in1k')
    cfg.model.head.num_classes = cfg.model.data_preprocessor.num_classes = 5
    cfg.model.head.loss.num_classes = 5
    return cfg, random_statistics(MODELS.build(cfg.model)).eval()


@pytest.mark.slow
def test_a_head_of_another_number_of_classes_is_an_error_to_test_and_left_to_fine_tune(classifier):
    cfg, model = classifier
    state = {key: value for key, (_, value) in published(model, RAPIDNET).items()}
    state['head.weight'] = torch.zeros(1000, 512, 1, 1)
    other = MODELS.build(cfg.model)
    before = other.head.classifier.label.weight.clone()
    line = refusal(fill_from, other, {'model': state}, 'file.pth')
    assert_says(line, 'head.classifier.label.weight', 'another model')
    fill_from(other, {'model': state}, 'file.pth', require='backbone.')
    assert other.head.classifier.label.weight.equal(before)
    assert other.head.classifier.hidden.fc.weight.equal(model.head.classifier.hidden.fc.weight)


@pytest.mark.slow
def test_a_converted_classifier_keeps_its_head_and_still_fills_backbones(classifier, tmp_path):
    cfg, model = classifier
    state = {key: value for key, (_, value) in published(model, RAPIDNET).items()}
    torch.save({'model': state}, tmp_path / 'published.pth')
    target = tmp_path / 'ours.safetensors'
    told = convert(str(tmp_path / 'published.pth'), target)
    assert_says(told, 'names of RapidNet translated')
    assert 'left out' not in told
    other = MODELS.build(cfg.model)
    fill_from(other, read_checkpoint(target), str(target))
    for key, value in model.state_dict().items():
        assert other.state_dict()[key].equal(value), key
    assert load_pretrained(RapidNet('ti'), str(target)).complete


def test_the_inference_form_of_a_classifier_folds_the_head_too(classifier):
    _, model = classifier
    fused = to_inference(model)
    assert not [m for m in fused.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    image = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(fused(image), model(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('classes', 'names'), [(3, {'top1'}), (5, {'top1'}), (6, {'top1', 'top5'})]
)
def test_top_5_is_only_told_where_it_is_not_always_right(classes, names):
    init_default_scope('mmpretrain')
    metric = METRICS.build(dict(type='TopAccuracy', topk=(1, 5)))
    scores = torch.eye(classes)
    samples = [dict(pred_score=row, gt_label=torch.tensor([i])) for i, row in enumerate(scores)]
    samples[0]['gt_label'] = torch.tensor([1])
    metric.process(None, samples)
    found = metric.evaluate(classes)
    assert {key.removeprefix('accuracy/') for key in found} == names
    assert found['accuracy/top1'] == pytest.approx(100 * (classes - 1) / classes)
    assert isinstance(metric, TopAccuracy)


@pytest.mark.slow
@on(CONFIGS)
def test_every_config_builds_and_its_head_takes_what_the_backbone_gives(path):
    cfg = load(path.stem)
    model = build_model(cfg)
    fit.check_channels(model)
    assert model.backbone.out_strides == (32,)
    logits = model.eval()(torch.empty(1, 3, 64, 96, device='meta'))
    assert logits.shape == (1, cfg.num_classes)
    assert default_shape(cfg)[0] == ((64, 64) if 'shapes' in path.stem else (224, 224))
    assert bool(getattr(model, 'teacher', None)) == (path in DISTILLED)


@on(IN1K)
def test_recipes_are_those_of_the_papers(path):
    cfg = load(path.stem)
    steps = {}
    for step in cfg.train_dataloader.dataset.pipeline:
        for one in chain(*step.transforms) if step.type == 'RandomChoice' else [step]:
            steps[one.type] = one  # what a choice draws from differs in the interpolation only
    assert steps['RandomResizedCrop'].scale == 224
    assert steps['RandAugment'].magnitude_level == 9
    assert steps['RandAugment'].magnitude_std == 0.5
    assert cfg.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
    resize = cfg.test_dataloader.dataset.pipeline[1]
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    (cosine,) = cfg.param_scheduler
    optimizer = cfg.optim_wrapper.optimizer
    if path.stem.startswith(('rapidnet', 'mobilevig')):
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 2e-3, 0.05)
        assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size == 1024
        assert (cosine.warm_up, cosine.end, cosine.eta_min) == (20, 300, 1e-5)
        assert cosine.warm_up_start == 1e-6
        assert steps['RandomErasing'].erase_prob == 0.25
        assert steps['RandAugment'].policies == 'timm_increasing'
        assert cfg.train_dataloader.sampler == dict(
            type='RepeatAugSampler', num_repeats=3, shuffle=True
        )
        assert {a.type: a.alpha for a in cfg.model.train_cfg.augments} == dict(Mixup=0.8, CutMix=1)
        assert cfg.model.head.loss.label_smooth_val == 0.1
        assert hooks['mmengine.EMAHook'].momentum == pytest.approx(1 - 0.99996)
        assert (resize.scale, resize.interpolation) == (248, 'bicubic')
    else:
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('SGD', 0.5, 1e-5)
        assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size == 512
        assert (cosine.end, steps['RandomErasing'].erase_prob) == (400, 0.2)
        assert resize.scale == (232 if '_v2_' in path.stem else 256)
    assert cfg.train_cfg.max_epochs == cosine.end


def test_augmentations_run_on_an_image():
    from mmengine.dataset import Compose

    image = np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)
    for name in ('rapidnet_ti_in1k', 'rexnet_100_in1k'):
        steps = load(name).train_dataloader.dataset.pipeline[1:]
        for _ in range(5):
            packed = Compose(steps)(dict(img=image.copy(), gt_label=1, img_shape=(80, 120)))
            assert packed['inputs'].shape == (3, 224, 224)


def test_every_leaf_opens_with_what_it_is_and_its_command():
    for path in CONFIGS:
        head = path.read_text().split('_base_')[0]
        assert head.startswith('# '), path
        assert f'configs/imagenet/{path.name}' in head, path


def test_published_accuracies_stand_in_the_headers_marked_as_published():
    for name, top1 in {'rapidnet_ti': 76.3, 'rexnet_100': 77.9, 'mobilevig_ti': 75.7}.items():
        assert f'Top-1: {top1} % published' in (FOLDER / f'{name}_in1k.py').read_text()


@pytest.mark.parametrize(
    ('head', 'said'),
    [
        (dict(num_classes=0), 'num_classes=0'),
        (dict(type='PooledLinearHead', dropout=1.0), 'dropout=1.0'),
        (dict(type='ReXNetLiteHead', dropout=-0.1), 'dropout=-0.1'),
    ],
)
def test_arguments_out_of_their_range_are_refused(head, said):
    init_default_scope('mmpretrain')
    cfg = dict(type='TwoClassifierHead', in_channels=8, num_classes=5)
    assert_says(refusal(MODELS.build, cfg | head), said)


def test_a_head_that_does_not_fit_the_backbone_is_said(classifier):
    cfg, _ = classifier
    other = MODELS.build(dict(cfg.model, head=dict(cfg.model.head, in_channels=100)))
    assert_says(refusal(fit.check_channels, other), 'in_channels is 100', 'in_channels=224')
