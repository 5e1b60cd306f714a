from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

import rapidnet_mm  # noqa: F401  before mmdet
from tests.configs.loading import load, on

pytestmark = pytest.mark.openmmlab
# Semantic segmentation has a file of its own.
CONFIGS = [
    path
    for path in sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))
    if not path.stem.startswith('semfpn_')
]
assert CONFIGS
IDS = [path.stem for path in CONFIGS]
COCO = [path for path in CONFIGS if '_coco' in path.stem]
SSDLITE = [path for path in COCO if path.stem.startswith('ssdlite_')]
SCRATCH = [path for path in SSDLITE if path.stem.endswith('_scratch')]


def detection_batch(classes, shape=(96, 160)):
    """Two images with one box and mask each, as the data preprocessor hands them on."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    samples = []
    for index in range(2):
        mask = torch.zeros(1, *shape)
        mask[:, 20:70, 30:120] = 1
        truth = InstanceData(
            bboxes=torch.tensor([[30.0, 20, 120, 70]]),
            labels=torch.tensor([classes - 1 - index]),
            masks=BitmapMasks(mask.numpy(), *shape),
        )
        meta = dict(img_shape=shape, ori_shape=shape, batch_input_shape=shape, pad_shape=shape)
        sample = DetDataSample(metainfo=meta, gt_instances=truth)
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    return torch.randn(2, 3, *shape), samples


def expected_losses(model):
    """Names of the losses, by the heads that the detector has."""
    if 'roi_head' not in model:
        return {'loss_cls', 'loss_bbox'}
    two_stages = {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox'}
    return two_stages | ({'loss_mask'} if 'mask_head' in model.roi_head else set())


@pytest.mark.slow
@on([path for path in CONFIGS if path not in SCRATCH])  # whose models are those of their siblings
def test_a_training_step_gives_finite_losses_and_gradients(path):
    torch.manual_seed(0)
    cfg = load(path)
    if 'roi_head' in cfg.model:
        shape, classes = (96, 160), cfg.model.roi_head.bbox_head.num_classes
        cfg.model.train_cfg.rcnn.sampler.num = 16  # regions; the recipe's 512 take their time
    else:  # SSD's anchors are made for one input size
        shape = tuple(cfg.val_dataloader.dataset.pipeline[1].scale)
        classes = cfg.model.bbox_head.num_classes
    model = MODELS.build(cfg.model).train()
    images, samples = detection_batch(classes, shape)
    loss, values = model.parse_losses(model.loss(images, samples))
    loss.backward()
    assert expected_losses(cfg.model) <= set(values)
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        # a few heads see no box of theirs in so small a batch, the backbone always does
        trained = name.startswith(('backbone', 'neck')) and 'fpn_convs' not in name
        if trained and parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.slow
@on(CONFIGS)
def test_every_part_takes_what_the_one_before_gives(path):
    model = load(path).model
    with torch.device('meta'):
        maps = MODELS.build(model.backbone)(torch.empty(1, 3, 64, 128))
    assert list(model.neck.in_channels) == [m.shape[1] for m in maps]
    if 'rpn_head' in model:
        assert model.rpn_head.in_channels == model.neck.out_channels
        strides = model.rpn_head.anchor_generator.strides
    else:
        assert model.bbox_head.in_channels == model.neck.out_channels
        strides = model.bbox_head.anchor_generator.strides
    assert [64 // m.shape[2] for m in maps] == list(strides)[: len(maps)]


@on(CONFIGS)
def test_validation_reads_the_file_that_is_evaluated(path):
    cfg = load(path)
    for loader, evaluator in (
        (cfg.val_dataloader, cfg.val_evaluator),
        (cfg.test_dataloader, cfg.test_evaluator),
    ):
        assert loader.dataset.data_root + loader.dataset.ann_file == evaluator.ann_file


@on(CONFIGS)
def test_masks_are_read_and_evaluated_where_there_is_a_mask_head(path):
    cfg = load(path)
    masks = 'mask_head' in cfg.model.get('roi_head', {})
    assert ('segm' in cfg.val_evaluator.metric) == masks
    assert 'bbox' in cfg.val_evaluator.metric
    assert bool(cfg.train_dataloader.dataset.pipeline[1].get('with_mask')) == masks
    assert bool(cfg.model.data_preprocessor.get('pad_mask')) == masks


@on(CONFIGS)
def test_test_time_augmentation_flips_and_scales_around_the_size_of_the_test(path):
    cfg = load(path)
    sizes, flips, (labels,), (packed,) = cfg.tta_pipeline[1].transforms
    test = cfg.test_dataloader.dataset.pipeline
    assert test[1] in sizes
    assert len(sizes) == (1 if 'ssdlite' in path.stem else 3)  # whose anchors fit one size
    assert [flip.prob for flip in flips] == [0.0, 1.0]
    assert labels == test[2]
    assert packed.type == 'PackDetInputs'
    suppression = cfg.model.test_cfg.get('rcnn', cfg.model.test_cfg)
    assert (cfg.tta_model.type, cfg.tta_model.nms) == ('DetectionTTA', suppression.nms)
    assert cfg.tta_model.max_per_img == suppression.max_per_img


@on([path for path in COCO if path not in SSDLITE])
def test_coco_configs_with_a_pyramid_follow_the_1x_recipe(path):
    cfg = load(path)
    assert cfg.train_cfg.max_epochs == 12
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=2e-4, weight_decay=0.05)
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.end - 1, warm_up.by_epoch, steps.milestones) == (500, False, [8, 11])
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8 * 2)
    assert cfg.train_dataloader.batch_size == 2
    large = cfg.model.backbone.type in ('RapidNet', 'MobileViG', 'VGNet')
    scale = (1333, 800) if large else (1200, 800)
    assert cfg.train_dataloader.dataset.pipeline[2].scale == scale
    assert cfg.val_dataloader.dataset.pipeline[1].scale == scale
    assert cfg.sync_bn == 'torch'
    frozen = cfg.model.backbone.get('frozen_stages', -1), cfg.model.backbone.get('norm_eval', False)
    assert frozen == ((1, True) if cfg.model.backbone.type == 'ResNet' else (-1, False))


def from_scratch(path):
    return path in SCRATCH or 'plain' in path.stem  # plain has no published weights


def without_backbone(cfg):
    """What SSDLite configs have in common: all but the network and the channels of its maps."""
    cfg = cfg.to_dict()
    for key in ('model', 'maps', 'channels'):
        cfg.pop(key)
    return cfg


@on(SSDLITE)
def test_ssdlite_configs_share_one_recipe(path):
    cfg = load(path)
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.01 * 256 / 32, momentum=0.9, weight_decay=4e-5
    )
    iterations = 400_000 if from_scratch(path) else 200_000
    assert cfg.train_cfg.max_iters == iterations
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.type, warm_up.begin, warm_up.end) == ('LinearLR', 0, 500)
    assert (cosine.type, cosine.begin, cosine.end) == ('CosineAnnealingLR', 500, iterations)
    assert not warm_up.by_epoch
    assert not cosine.by_epoch
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8 * 32)
    assert cfg.train_dataloader.batch_size == 32
    assert cfg.sync_bn == 'torch'
    other = SCRATCH[0] if from_scratch(path) else SSDLITE[0]
    assert without_backbone(cfg) == without_backbone(load(other))


@on(SSDLITE)
def test_ssdlite_starts_from_imagenet_weights_unless_it_is_from_scratch(path):
    backbone = load(path).model.backbone
    weights = backbone.get('backbone', backbone).get('init_cfg')
    if from_scratch(path):
        assert weights is None
    else:
        assert weights.type == 'Pretrained'
    if 'backbone' in backbone:  # what is around a backbone has none
        assert backbone.get('init_cfg') is None


@on(SCRATCH)
def test_a_scratch_config_differs_from_its_sibling_in_weights_and_iterations_only(path):
    sibling = path.with_name(path.name.replace('_scratch', ''))
    ours, theirs = load(path), load(sibling)
    assert ours.model.backbone.backbone.pop('init_cfg') is None
    del theirs.model.backbone.backbone.init_cfg
    assert ours.model == theirs.model
    for cfg in (ours, theirs):
        assert cfg.train_cfg.pop('max_iters') == cfg.param_scheduler[1].pop('end')
        cfg.pop('iterations')
    assert ours.to_dict() == theirs.to_dict()


def test_both_sides_of_the_ssdlite_tables_are_there():
    backbones = [f'efficientnet_b{i}' for i in range(3)]
    backbones += [f'rexnet_{width}' for width in ('090', '100', '130')]
    assert [path.stem for path in SCRATCH] == [f'ssdlite_{b}_coco_scratch' for b in backbones]
    assert {f'ssdlite_{b}_coco' for b in backbones} <= set(IDS)


def test_every_leaf_opens_with_what_it_is_and_its_command():
    for path in CONFIGS:
        head = path.read_text().split('_base_')[0]
        assert head.startswith('# '), path
        assert f'configs/{path.name}' in head, path


def test_the_demo_names_and_colours_the_classes_of_the_built_in_data():
    from rapidnet_mm.data.shapes.classes import CLASSES, PALETTE

    cfg = load(CONFIGS[0].with_name('maskrcnn_rapidnet_ti_shapes.py'))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert tuple(loader.dataset.metainfo.classes) == CLASSES
        assert tuple(map(tuple, loader.dataset.metainfo.palette)) == PALETTE
