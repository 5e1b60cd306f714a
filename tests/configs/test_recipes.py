"""The recipes: every learning rate from the published scheduler's formula, every field."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS

import rapidnet_mm.engine.amp as amp_module
from rapidnet_mm.engine.config import check_crops
from rapidnet_mm.engine.schedules import CosineWithWarmUpLR
from tests.configs.loading import load, on
from tests.messages import assert_says, refusal

pytestmark = pytest.mark.openmmlab
FOLDER = Path(__file__).parents[2] / 'configs'
IN1K = sorted((FOLDER / 'imagenet').glob('*_in1k.py'))
ADAMW = [p for p in IN1K if p.stem.startswith(('rapidnet', 'mobilevig'))]
SGD = [p for p in IN1K if p not in ADAMW]
PYRAMID = sorted([*FOLDER.glob('maskrcnn_*_coco.py'), *FOLDER.glob('fasterrcnn_*_coco.py')])
ADE = sorted(FOLDER.glob('semfpn_*_ade20k.py'))
SSDLITE = sorted(FOLDER.glob('ssdlite_*_coco*.py'))
assert all((ADAMW, SGD, PYRAMID, ADE, SSDLITE))


def rates(cfg, steps, per_epoch=1):
    """The learning rate of every step of a training, with ``per_epoch`` steps in an epoch."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], cfg.optim_wrapper.optimizer.lr)
    wrapper = OptimWrapper(optimizer)
    schedulers = [PARAM_SCHEDULERS.build(s, default_args=dict(optimizer=wrapper))
                  for s in cfg.param_scheduler]  # fmt: skip
    for step in range(1, steps + 1):
        yield optimizer.param_groups[0]['lr']
        optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or step % per_epoch == 0:
                scheduler.step()


def timm_cosine(epoch, lr, epochs, warm_up, start, lowest):
    """timm's CosineLRScheduler, with its default warmup_prefix=False."""
    if epoch < warm_up:
        return start + epoch * (lr - start) / warm_up
    return lowest + 0.5 * (lr - lowest) * (1 + math.cos(math.pi * epoch / epochs))


@pytest.mark.parametrize(
    ('path', 'expected'),
    [
        (ADAMW[0], dict(lr=2e-3, epochs=300, warm_up=20, start=1e-6, lowest=1e-5)),
        (SGD[0], dict(lr=0.5, epochs=400, warm_up=3, start=1e-4, lowest=1e-5)),
    ],
)
def test_imagenet_rates_are_those_of_timm_in_every_epoch(path, expected):
    cfg = load(path)
    assert cfg.train_cfg.max_epochs == expected['epochs']
    ours = list(rates(cfg, expected['epochs']))
    assert ours == pytest.approx([timm_cosine(e, **expected) for e in range(len(ours))], rel=1e-12)


def test_the_formula_is_that_of_timm():
    scheduler = pytest.importorskip('timm.scheduler')
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2e-3)
    theirs = scheduler.CosineLRScheduler(
        optimizer, t_initial=300, lr_min=1e-5, warmup_t=20, warmup_lr_init=1e-6
    )
    for epoch in range(300):
        theirs.step(epoch)
        ours = timm_cosine(epoch, 2e-3, 300, 20, 1e-6, 1e-5)
        assert optimizer.param_groups[0]['lr'] == pytest.approx(ours, rel=1e-12)


@pytest.mark.parametrize('paths', [ADAMW, SGD], ids=['AdamW', 'SGD'])
def test_all_imagenet_configs_of_a_family_have_one_schedule(paths):
    configs = [load(path) for path in paths]
    for key in ('param_scheduler', 'optim_wrapper', 'train_cfg', 'auto_scale_lr', 'custom_hooks'):
        assert all(cfg[key] == configs[0][key] for cfg in configs), key


@pytest.mark.parametrize('path', [PYRAMID[0], PYRAMID[-1]], ids=lambda path: path.stem)
def test_1x_rates_are_those_of_mmcv_in_every_iteration(path):
    cfg, per_epoch, warm_up, ratio = load(path), 600, 500, 1e-6
    for iteration, ours in enumerate(rates(cfg, 12 * per_epoch, per_epoch)):
        epoch = iteration // per_epoch
        regular = 2e-4 * 0.1 ** sum(epoch >= step for step in (8, 11))
        warm = 1 - (1 - iteration / warm_up) * (1 - ratio) if iteration < warm_up else 1
        assert ours == pytest.approx(regular * warm, rel=1e-9), iteration


def test_semantic_fpn_rates_are_those_of_mmcv_up_to_one_iteration():
    ours = list(rates(load(ADE[0]), 40_000))
    poly = [2e-4 * (1 - iteration / 39_999) ** 0.9 for iteration in range(40_000)]
    assert ours == pytest.approx(poly, rel=1e-6, abs=1e-12)  # multiplied step by step
    # mmcv reaches 0 one iteration later, after the end.
    theirs = [2e-4 * (1 - iteration / 40_000) ** 0.9 for iteration in range(40_000)]
    assert ours == pytest.approx(theirs, rel=0, abs=2e-8)


def test_ssdlite_warms_up_and_then_follows_a_cosine():
    cfg = load(SSDLITE[0])
    cfg.param_scheduler[1].end = 3_000  # the same formula, in less time
    for iteration, ours in enumerate(rates(cfg, 3_000)):
        warm = 0.001 + 0.999 * iteration / 499
        cosine = (1 + math.cos(math.pi * (iteration - 500) / 2_500)) / 2
        expected = 0.08 * (warm if iteration < 500 else cosine)
        assert ours == pytest.approx(expected, rel=1e-6, abs=1e-9), iteration


def test_a_schedule_shorter_than_its_warm_up_is_refused():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    line = refusal(lambda: CosineWithWarmUpLR(optimizer, 5, 20, 1e-6, 1e-5))
    assert_says(line, 'warm_up=20', 'end=5')


def test_a_resumed_schedule_goes_on_where_it_was():
    arguments = dict(end=300, warm_up=20, warm_up_start=1e-6, eta_min=1e-5)
    for stopped in (5, 20, 150):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2e-3)
        first = CosineWithWarmUpLR(optimizer, **arguments)
        for _ in range(stopped):
            first.step()
        saved = first.state_dict()
        other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2e-3)
        second = CosineWithWarmUpLR(other, **arguments)
        second.load_state_dict(saved)
        second.step()
        expected = timm_cosine(stopped + 1, 2e-3, 300, 20, 1e-6, 1e-5)
        assert other.param_groups[0]['lr'] == pytest.approx(expected, rel=1e-12)


@on(PYRAMID)
def test_every_detector_with_a_pyramid_has_the_1x_schedule(path):
    first, cfg = load(PYRAMID[0]), load(path)
    for key in ('param_scheduler', 'optim_wrapper', 'train_cfg'):
        assert cfg[key] == first[key], key


@on(SSDLITE)
def test_ssdlite_keeps_the_last_checkpoint_as_its_protocol_does(path):
    checkpoint = load(path).default_hooks.checkpoint
    assert checkpoint.save_best is None
    assert load(path).train_cfg.max_iters % checkpoint.interval == 0


@on(ADE)
def test_crops_of_small_images_are_padded_to_the_crop(path):
    cfg = load(path)
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    crop = next(s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'RandomCrop')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 96, 160, dtype=torch.uint8)))
    data = dict(inputs=[torch.zeros(3, 96, 160)], data_samples=[sample])
    batch = preprocessor(data, training=True)
    assert tuple(batch['inputs'].shape[2:]) == crop.crop_size == (512, 512)
    assert (batch['inputs'][0, :, 96:] == 0).all()  # after normalisation
    labels = batch['data_samples'][0].gt_sem_seg.data
    assert (labels[0, 96:] == 255).all()
    assert (labels[0, :96, :160] == 0).all()


def test_other_crops_are_padded_to_their_own_size():
    for path in FOLDER.glob('semfpn_*.py'):
        cfg = load(path)
        crop = next(s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'RandomCrop')
        assert cfg.model.data_preprocessor.size == crop.crop_size, path.stem


def test_crops_that_are_larger_than_what_they_are_padded_to_are_a_line():
    cfg = load(ADE[0])
    check_crops(cfg)
    crop = next(s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'RandomCrop')
    crop.crop_size = (640, 512)
    assert_says(refusal(check_crops, cfg), '(640, 512)', '(512, 512)', 'data_preprocessor.size')
    cfg.model.data_preprocessor.size = (640, 640)
    check_crops(cfg)


def variants(cfg, kind):
    """The transforms of a kind that a random choice of the training draws from."""
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'RandomChoice' and step.transforms[0][0].type == kind:
            assert 'prob' not in step  # all are equally likely
            return [one for (one,) in step.transforms]
    return []


@on(IN1K)
def test_interpolation_is_drawn_from_bilinear_and_bicubic(path):
    cfg = load(path)
    crops, augments = variants(cfg, 'RandomResizedCrop'), variants(cfg, 'RandAugment')
    assert [crop.interpolation for crop in crops] == ['bilinear', 'bicubic']
    assert [one.hparams.interpolation for one in augments] == ['bilinear', 'bicubic']
    assert {crop.scale for crop in crops} == {224}


def test_both_interpolations_come_up():
    step = load(IN1K[0]).train_dataloader.dataset.pipeline[1]
    np.random.seed(0)
    choice = Compose([step]).transforms[0]
    drawn = {choice.random_pipeline_index() for _ in range(20)}
    assert drawn == {0, 1}


@on(IN1K)
def test_all_imagenet_recipes_use_mixed_precision_and_smoothed_labels(path):
    cfg = load(path)
    assert cfg.optim_wrapper.type == 'MixedPrecision'
    loss = cfg.model.head.loss
    assert (loss.type, loss.label_smooth_val, loss.mode) == ('LabelSmoothLoss', 0.1, 'original')
    hooks = [hook.type for hook in cfg.custom_hooks]
    averaged = ['mmengine.EMAHook', 'UnaveragedMetricsHook']
    assert [hook for hook in hooks if hook in averaged] == (averaged if path in ADAMW else [])


@pytest.mark.parametrize(
    ('name', 'dropout'),
    [('rexnet_100', 0.2), ('rexnet_plain', 0.2), ('vgnetg_1_0mp', 0), ('vgnetg_1_0mp_v2', 0.2)],
)
def test_dropout_before_the_last_layer(name, dropout):
    head = load(FOLDER / f'imagenet/{name}_in1k.py').model.head
    assert head.get('dropout', 0) == dropout


@pytest.mark.parametrize(
    ('device', 'kind'), [('cuda', 'AmpOptimWrapper'), ('cpu', 'BFloat16OptimWrapper')]
)
def test_mixed_precision_is_float16_on_an_nvidia_gpu_and_bfloat16_elsewhere(
    device, kind, monkeypatch
):
    built = []
    monkeypatch.setattr(amp_module, 'default_device', lambda: device)
    for name in ('AmpOptimWrapper', 'BFloat16OptimWrapper'):
        monkeypatch.setattr(
            amp_module, name, lambda name=name, **arguments: built.append((name, arguments))
        )
    amp_module.mixed_precision(optimizer='x')
    scaled = {'loss_scale': 'dynamic'} if device == 'cuda' else {}
    assert built == [(kind, {'optimizer': 'x', **scaled})]
