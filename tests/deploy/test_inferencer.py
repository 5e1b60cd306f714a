"""Inferencer: several images at once, pictures and overlays, for all three kinds of models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rapidnet_mm import Inferencer, UserError
from rapidnet_mm.display.images import read_image
from rapidnet_mm.engine.config import build_model, load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
KINDS = {
    # All detections count, so that many results are compared.
    'detector': (
        'maskrcnn_rapidnet_ti_shapes.py',
        {'model.test_cfg.rcnn.score_thr': 0.0, 'model.test_cfg.rcnn.max_per_img': 20},
    ),
    'segmenter': ('semfpn_rapidnet_ti_shapes.py', {}),
    'classifier': ('imagenet/rapidnet_ti_shapes.py', {'model.head.num_classes': 5}),
}
CLASSES = ('disc', 'square', 'triangle', 'star', 'cross')


DETECTOR = pytest.param('detector', marks=pytest.mark.slow)


@pytest.fixture(scope='module', params=[DETECTOR, 'segmenter', 'classifier'])
def model(request, tmp_path_factory):
    """A model with random weights."""
    name, options = KINDS[request.param]
    torch.manual_seed(0)
    state = build_model(load_config(CONFIGS / name, options), device='cpu').state_dict()
    path = tmp_path_factory.mktemp('model') / 'random.pth'
    torch.save({'state_dict': state, 'meta': {}}, path)
    if request.param == 'classifier':
        options = {**options, 'test_dataloader.dataset.metainfo': dict(classes=CLASSES)}
    return Inferencer(CONFIGS / name, path, 'cpu', options)


def images(*shapes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in shapes]


MIXED = ((48, 64), (64, 48), (48, 64), (30, 90), (48, 64))


def test_several_images_at_once_give_what_each_gives_alone(model):
    batch = images(*MIXED)
    for pixels, together in zip(batch, model.batch(batch), strict=True):
        alone = model(pixels)
        assert together.shape == alone.shape == pixels.shape[:2]
        if hasattr(alone, 'boxes'):
            assert len(alone.boxes) > 10
            np.testing.assert_allclose(together.boxes, alone.boxes, atol=1e-2)  # of a pixel
            assert (together.masks != alone.masks).mean() < 1e-4
        if hasattr(alone, 'scores'):
            np.testing.assert_allclose(together.scores, alone.scores, atol=1e-4)
            np.testing.assert_array_equal(together.labels, alone.labels)
        else:
            assert (together.labels != alone.labels).mean() < 1e-3


def test_images_of_one_size_go_through_the_model_together(model, monkeypatch):
    sizes, step = [], model.model.test_step
    monkeypatch.setattr(
        model.model, 'test_step', lambda data: sizes.append(len(data['inputs'])) or step(data)
    )
    model.batch(images((48, 64), (48, 64), (48, 64)))
    assert sizes == [3]
    assert model.batch([]) == []


def test_an_overlay_has_the_size_of_the_image_and_shows_the_result(model):
    (pixels,) = images((70, 90))
    result = model(pixels)
    overlay = model.overlay(pixels, result, score_thr=0.0)
    assert (overlay.shape, overlay.dtype) == (pixels.shape, pixels.dtype)
    assert (overlay != pixels).any()
    if hasattr(result, 'boxes'):  # nothing is as sure as this
        np.testing.assert_array_equal(model.overlay(pixels, result, score_thr=1.0), pixels)


def test_the_picture_is_what_draw_writes(model, tmp_path):
    (pixels,) = images((70, 90))
    result = model.draw(pixels, tmp_path / 'a.png', 0.0)
    written = read_image(tmp_path / 'a.png')
    np.testing.assert_array_equal(model.picture(pixels, result, 0.0), written)


def test_one_bad_image_of_a_batch_is_named(model, tmp_path):
    with pytest.raises(UserError, match=r'missing\.jpg does not exist'):
        model.batch([*images((48, 64)), tmp_path / 'missing.jpg'])
