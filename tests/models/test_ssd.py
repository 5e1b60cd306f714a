from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import rapidnet_mm  # noqa: F401  before mmdet
from rapidnet_mm.models import SSDLiteAnchorGenerator
from tests.messages import assert_says, refusal

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('ssdlite_*.py'))
MAPS = (20, 10, 5, 3, 2, 1)  # at 320x320
# Side of the squares in pixels at 320: 0.2, 0.35, 0.5, 0.65, 0.8, 0.95 and 1 of it, and the
# geometric means of neighbours for the second square of a level.
SIDES = (64, 112, 160, 208, 256, 304, 320)
CENTERS = (8, 16, 32, 53.5, 80, 160)  # of the first cell: half of the stride


def rectangle(center, side, ratio):
    """Corners of the box with the area of a square of this side, ``ratio`` times as high."""
    half_height, half_width = side * ratio**0.5 / 2, side / ratio**0.5 / 2
    return [center - half_width, center - half_height, center + half_width, center + half_height]


def test_the_first_map_has_a_small_square_and_a_wide_and_a_high_box():
    boxes = SSDLiteAnchorGenerator().base_anchors[0]
    root = 2**0.5
    expected = [
        [8 - 16, 8 - 16, 8 + 16, 8 + 16],  # 0.1 of 320
        [8 - 32 * root, 8 - 32 / root, 8 + 32 * root, 8 + 32 / root],  # area 64 x 64
        [8 - 32 / root, 8 - 32 * root, 8 + 32 / root, 8 + 32 * root],
    ]
    torch.testing.assert_close(boxes, torch.tensor(expected))


@pytest.mark.parametrize('level', range(1, 6))
def test_the_other_maps_have_two_squares_and_four_rectangles(level):
    boxes = SSDLiteAnchorGenerator().base_anchors[level]
    center, side = CENTERS[level], SIDES[level]
    between = (side * SIDES[level + 1]) ** 0.5
    expected = [rectangle(center, side, ratio) for ratio in (1, 1 / 2, 2, 1 / 3, 3)]
    expected.insert(1, rectangle(center, between, 1))
    torch.testing.assert_close(boxes, torch.tensor(expected))


def test_an_image_of_320_pixels_has_2034_anchors():
    generator = SSDLiteAnchorGenerator()
    assert generator.num_base_priors == [3, 6, 6, 6, 6, 6]
    levels = generator.grid_priors([(size, size) for size in MAPS], device='cpu')
    assert [len(level) for level in levels] == [1200, 600, 150, 54, 24, 6]
    assert sum(map(len, levels)) == 3 * 20 * 20 + 6 * (10 * 10 + 5 * 5 + 3 * 3 + 2 * 2 + 1)
    for level, stride in zip(levels, (16, 32, 64, 107, 160, 320), strict=True):
        last = level.view(-1, 2, 2).mean(1)[-1]
        assert last.tolist() == pytest.approx([320 - stride / 2] * 2, abs=2)


def test_sizes_follow_the_input():
    generator = SSDLiteAnchorGenerator(input_size=160, strides=(8, 16), scales=(0.25, 0.5, 1))
    first, second = generator.base_anchors
    assert (first[0, 2] - first[0, 0]).item() == pytest.approx(16)  # 0.1 of 160
    assert ((second[:2, 2] - second[:2, 0]) ** 2).tolist() == pytest.approx([80**2, 80 * 160])


@pytest.mark.parametrize('count', [0, 6, 8])
def test_scales_that_do_not_fit_the_maps_are_refused(count):
    line = refusal(lambda: SSDLiteAnchorGenerator(scales=(0.5,) * count))
    assert_says(line, f'6 strides need 7 scales, not {count}')


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_six_maps_of_20_10_5_3_2_1_feed_a_head_of_3_and_6_boxes(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        parts = (MODELS.build(cfg.model.backbone), MODELS.build(cfg.model.neck))
        settings = {**cfg.model.bbox_head, 'train_cfg': None, 'test_cfg': cfg.model.test_cfg}
        image = torch.empty(2, 3, 320, 320)
    head = MODELS.build(settings).to('meta')
    maps = parts[1](parts[0](image))
    assert [tuple(m.shape[2:]) for m in maps] == [(size, size) for size in MAPS]
    scores, boxes = head(maps)
    for score, box, size, count in zip(scores, boxes, MAPS, (3, 6, 6, 6, 6, 6), strict=True):
        assert score.shape == (2, count * (cfg.model.bbox_head.num_classes + 1), size, size)
        assert box.shape == (2, count * 4, size, size)
