"""What the check of COCO annotations lets through can be learned: every loss is finite."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from mmdet.registry import MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope

from rapidnet_mm import load_config
from tests.data.test_coco_property import (  # noqa: F401  (fixtures)
    PROFILE,
    contents,
    dataset,
    files,
    passes,
    root,
)

MASK_RCNN = 'maskrcnn_rapidnet_ti_shapes'
SSDLITE = 'ssdlite_rexnet_100_shapes'
SMALL = {'Resize': dict(scale=(64, 64))}


def learner(name):
    """A detector of two classes, and the pipeline that its config trains it with, at 64 pixels."""
    cfg = load_config(f'configs/{name}.py')
    if name == MASK_RCNN:
        cfg.model.roi_head.bbox_head.num_classes = cfg.model.roi_head.mask_head.num_classes = 2
    else:
        cfg.model.bbox_head.num_classes = 2
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model).train()
    pipeline = cfg.train_dataloader.dataset.pipeline
    return model, [dict(step, **SMALL.get(step['type'], {})) for step in pipeline]


@pytest.mark.slow
@pytest.mark.parametrize('name', [MASK_RCNN, SSDLITE])
def test_what_passes_has_finite_losses(root, files, name, monkeypatch):  # noqa: F811
    model, pipeline = learner(name)
    outcomes = []

    @settings(PROFILE, max_examples=60)
    @given(contents())
    def run(content):
        path = root / f'{name}{next(files)}.json'
        path.write_text(json.dumps(content))
        config = dataset(path, False, pipeline)
        if passes(config, False, monkeypatch) is None:
            return
        np.random.seed(0)
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope('mmdet'):
            images = DATASETS.build(config)
            batch = pseudo_collate([images[index] for index in range(len(images))])
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        total, values = model.parse_losses(losses)
        model.zero_grad()
        total.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(torch.isfinite(value) for value in values.values()), values
        assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        outcomes.append(len(images))

    run()
    assert len(outcomes) > 10
