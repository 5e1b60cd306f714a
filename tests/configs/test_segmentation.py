from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.structures import PixelData

import rapidnet_mm  # noqa: F401  before mmseg
from tests.configs.loading import load

pytestmark = pytest.mark.openmmlab
FOLDER = Path(__file__).parents[2] / 'configs'
CONFIGS = sorted(FOLDER.glob('semfpn_*.py'))
assert CONFIGS
ADE = [path for path in CONFIGS if path.stem.endswith('_ade20k')]


def named(path):
    return path.stem


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=named)
def test_a_training_step_gives_finite_losses_and_gradients(path):
    from mmseg.structures import SegDataSample

    torch.manual_seed(0)
    cfg = load(path)
    model = MODELS.build(cfg.model).train()
    shape, samples = (64, 96), []
    for index in range(2):
        truth = torch.full((1, *shape), cfg.model.decode_head.num_classes - 1 - index)
        truth[:, :20] = 255
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
        samples.append(sample.set_data(dict(gt_sem_seg=PixelData(data=truth))) or sample)
    loss, values = model.parse_losses(model.loss(torch.randn(2, 3, *shape), samples))
    loss.backward()
    assert 'decode.loss_ce' in values
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('path', CONFIGS, ids=named)
def test_the_neck_takes_four_levels_as_the_backbone_gives_them(path):
    cfg = load(path)
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
        maps = backbone(torch.zeros(1, 3, 64, 96))
    assert [m.shape[1] for m in maps] == cfg.model.neck.in_channels
    assert [96 // m.shape[3] for m in maps] == cfg.model.decode_head.feature_strides
    assert cfg.model.decode_head.in_channels == [cfg.model.neck.out_channels] * 4


@pytest.mark.parametrize('path', ADE, ids=named)
def test_ade20k_configs_follow_the_published_recipe(path):
    cfg = load(path)
    assert cfg.train_cfg.max_iters == 40_000
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=2e-4, weight_decay=1e-4)
    (poly,) = cfg.param_scheduler
    assert (poly.type, poly.power, poly.eta_min) == ('PolyLR', 0.9, 0)
    assert (poly.begin, poly.end, poly.by_epoch) == (0, 40_000, False)
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8 * 4)
    assert cfg.train_dataloader.batch_size == 4
    assert (cfg.model.neck.out_channels, cfg.model.neck.num_outs) == (256, 4)
    head = cfg.model.decode_head
    assert (head.channels, head.dropout_ratio, head.num_classes) == (128, 0.1, 150)
    assert cfg.sync_bn == 'torch'
    assert 'frozen_stages' not in cfg.model.backbone
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['RandomResize'].scale == (2048, 512)
    assert steps['RandomResize'].ratio_range == (0.5, 2.0)
    assert steps['RandomCrop'].crop_size == (512, 512)
    assert {'RandomFlip', 'PhotoMetricDistortion'} <= set(steps)


@pytest.mark.parametrize('path', CONFIGS, ids=named)
def test_everything_is_counted_in_iterations_and_best_and_last_are_kept(path):
    cfg = load(path)
    assert cfg.train_cfg.type == 'IterBasedTrainLoop'
    assert not cfg.log_processor.by_epoch
    assert not cfg.default_hooks.checkpoint.by_epoch
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval
    assert cfg.default_hooks.checkpoint.save_best == 'auto'
    assert cfg.train_dataloader.sampler.type == 'InfiniteSampler'
    assert not any(scheduler.by_epoch for scheduler in cfg.param_scheduler)
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters


@pytest.mark.parametrize('path', CONFIGS, ids=named)
def test_predictions_are_scored_at_the_size_of_the_original(path):
    cfg = load(path)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        steps = [step.type for step in loader.dataset.pipeline]
        assert steps.index('LoadAnnotations') > steps.index('ResizeToMultiple')
        assert loader.batch_size == 1  # of images of many sizes


# Width and height of an image; after keeping the ratio to 2048x512; after the stretch.
SIZES = [
    ((683, 512), (683, 512), (704, 512)),
    ((512, 683), (512, 683), (512, 704)),
    ((640, 480), (683, 512), (704, 512)),
    ((500, 375), (683, 512), (704, 512)),
    ((1024, 768), (683, 512), (704, 512)),
    ((512, 512), (512, 512), (512, 512)),
    ((2048, 512), (2048, 512), (2048, 512)),
    ((3000, 400), (2048, 273), (2048, 288)),
    ((513, 512), (513, 512), (544, 512)),
    ((544, 512), (544, 512), (544, 512)),
]


@pytest.mark.parametrize(('size', 'kept', 'stretched'), SIZES)
def test_test_images_keep_their_ratio_and_are_then_stretched_up_to_a_multiple_of_32(
    size, kept, stretched
):
    cfg = load(ADE[0])
    steps = {step.type: step for step in cfg.test_dataloader.dataset.pipeline}
    assert list(steps) == [
        'LoadImageFromFile', 'Resize', 'ResizeToMultiple', 'LoadAnnotations', 'PackSegInputs'
    ]  # fmt: skip
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, -1] = image[-1] = 255  # the last column and row are still at the edge: no padding
    state = dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
    state = TRANSFORMS.build(steps['Resize'])(state)
    assert state['img'].shape[1::-1] == kept
    scale = min(2048 / max(size), 512 / min(size))
    assert all(abs(k - side * scale) <= 0.5 for k, side in zip(kept, size, strict=True))
    state = TRANSFORMS.build(steps['ResizeToMultiple'])(state)
    assert state['img'].shape[1::-1] == stretched
    # the definition, in whole numbers: up, and by less than 32
    assert stretched == tuple(-(-k // 32) * 32 for k in kept)
    assert state['img'][:, -1].min() > 100
    assert state['img'][-1].min() > 100
    packed = Compose([steps['PackSegInputs']])(state)
    assert packed['data_samples'].ori_shape == (size[1], size[0])


@pytest.mark.parametrize('path', CONFIGS, ids=named)
def test_test_time_augmentation_flips_and_scales_around_the_size_of_the_test(path):
    cfg = load(path)
    test, variants = cfg.test_dataloader.dataset.pipeline, cfg.tta_pipeline[1].transforms
    assert cfg.tta_model.type == 'SegTTAModel'
    scales = [step.scale for step in variants[0]]
    assert test[1].scale in scales
    assert len(set(scales)) == len(scales) > 1
    assert all(step.keep_ratio for step in variants[0])
    assert [step.prob for step in variants[2]] == [0.0, 1.0]
    assert [step.type for step, *_ in variants] == [
        'Resize', 'ResizeToMultiple', 'RandomFlip', 'LoadAnnotations', 'PackSegInputs'
    ]  # fmt: skip


def test_the_demo_names_and_colours_the_classes_of_the_built_in_data():
    from rapidnet_mm.data.shapes.classes import SEMANTIC_CLASSES, SEMANTIC_PALETTE

    cfg = load(FOLDER / 'semfpn_rapidnet_ti_shapes.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert tuple(loader.dataset.metainfo.classes) == SEMANTIC_CLASSES
        assert tuple(map(tuple, loader.dataset.metainfo.palette)) == SEMANTIC_PALETTE
        assert loader.dataset.reduce_zero_label is True


def test_camvid_has_eleven_classes_and_ignores_255():
    cfg = load(FOLDER / 'semfpn_rapidnet_ti_camvid.py')
    dataset = cfg.train_dataloader.dataset
    assert len(dataset.metainfo.classes) == len(dataset.metainfo.palette) == 11
    assert not dataset.get('reduce_zero_label')
    assert cfg.model.decode_head.num_classes == 11


def test_every_leaf_opens_with_what_it_is_and_its_command():
    for path in CONFIGS:
        head = path.read_text().split('_base_')[0]
        assert head.startswith('# Semantic FPN, '), path
        assert f'configs/{path.name}' in head, path
