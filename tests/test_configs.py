from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

import rapidnet_mm  # noqa: F401  before mmdet

pytestmark = pytest.mark.openmmlab
CONFIGS = [
    path
    for path in sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
    if not path.stem.startswith('semfpn_')
]
assert CONFIGS
IDS = [path.stem for path in CONFIGS]


def load(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg


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


@pytest.mark.parametrize('path', CONFIGS, ids=IDS)
def test_a_training_step_gives_finite_losses_and_gradients(path):
    torch.manual_seed(0)
    cfg = load(path)
    model = MODELS.build(cfg.model).train()
    images, samples = detection_batch(cfg.model.roi_head.bbox_head.num_classes)
    loss, values = model.parse_losses(model.loss(images, samples))
    loss.backward()
    assert {'loss_rpn_cls', 'loss_bbox', 'loss_mask'} <= set(values)
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        # a few heads see no box of theirs in so small a batch, the backbone always does
        if name.startswith(('backbone', 'neck')) and 'fpn_convs' not in name:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('path', CONFIGS, ids=IDS)
def test_the_neck_takes_what_the_backbone_gives(path):
    cfg = load(path)
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
    assert tuple(cfg.model.neck.in_channels) == backbone.out_channels
    assert backbone.out_strides[0] == cfg.model.rpn_head.anchor_generator.strides[0]


@pytest.mark.parametrize('path', CONFIGS, ids=IDS)
def test_validation_reads_the_file_that_is_evaluated(path):
    cfg = load(path)
    dataset = cfg.val_dataloader.dataset
    assert dataset.data_root + dataset.ann_file == cfg.val_evaluator.ann_file


@pytest.mark.parametrize(
    'path', [p for p in CONFIGS if p.stem.endswith('_coco')], ids=lambda p: p.stem
)
def test_coco_configs_follow_the_published_recipe(path):
    cfg = load(path)
    assert cfg.train_cfg.max_epochs == 12
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=2e-4, weight_decay=0.05)
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.end, warm_up.by_epoch, steps.milestones) == (500, False, [8, 11])
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8 * 2)
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.train_dataloader.dataset.pipeline[2].scale == (1333, 800)
    assert cfg.sync_bn == 'torch'
    assert 'frozen_stages' not in cfg.model.backbone


def test_every_leaf_opens_with_what_it_is_and_its_command():
    for path in CONFIGS:
        head = path.read_text().split('_base_')[0]
        assert head.startswith('# '), path
        assert f'configs/{path.name}' in head, path


def test_the_demo_names_and_colours_the_classes_of_the_built_in_data():
    from rapidnet_mm.datasets.shapes import CLASSES, PALETTE

    cfg = load(CONFIGS[0].with_name('maskrcnn_rapidnet_ti_shapes.py'))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert tuple(loader.dataset.metainfo.classes) == CLASSES
        assert tuple(map(tuple, loader.dataset.metainfo.palette)) == PALETTE
