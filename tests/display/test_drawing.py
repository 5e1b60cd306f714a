import cv2
import numpy as np
import pytest
from mmengine.structures import PixelData

from rapidnet_mm import UserError
from rapidnet_mm.display.drawing import (
    GAP,
    UNLABELLED,
    Panel,
    compose,
    legend_of,
    paint,
    palette_of,
)
from rapidnet_mm.display.images import write_image
from rapidnet_mm.engine.hooks import LabelPicturesHook

CLASSES = ('sky', 'road', 'tree')
PALETTE = [(10, 200, 250), (200, 10, 20), (20, 180, 30)]
META = dict(classes=CLASSES, palette=PALETTE)


def distance(pixel, colour):
    return np.abs(np.asarray(pixel, int) - colour).max()


def test_each_label_has_its_colour_and_what_is_no_class_has_none():
    image = np.full((2, 4, 3), 128, np.uint8)
    labels = np.array([[0, 1, 2, 255], [0, 1, 2, 3]])
    painted = paint(image, labels, PALETTE)
    for column, colour in enumerate([*PALETTE, UNLABELLED]):
        for row in (0, 1):
            assert distance(painted[row, column], 0.75 * np.array(colour) + 0.25 * 128) <= 1


def test_the_image_shows_through_the_colours():
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 255
    dark, light = paint(image, np.zeros((1, 2), int), PALETTE)[0].astype(int)
    assert (light - dark >= 60).all()


def test_the_legend_names_what_occurs_the_largest_first():
    truth = np.array([[2, 2, 2, 255], [2, 2, 0, 0]])
    found = np.array([[2, 2, 2, 2], [2, 2, 2, 2]])
    assert legend_of([truth, found], CLASSES, PALETTE) == [
        ('tree', PALETTE[2]),
        ('sky', PALETTE[0]),
        ('not labelled', UNLABELLED),
    ]
    assert legend_of([found], CLASSES, PALETTE) == [('tree', PALETTE[2])]


def test_panels_are_whole_and_titles_and_legend_are_outside_them():
    rng = np.random.default_rng(0)
    panels = [Panel(str(k), rng.integers(0, 255, (90, 130, 3), np.uint8)) for k in range(3)]
    picture = compose(panels, [('sky', PALETTE[0]), ('road', PALETTE[1])])
    top = next(
        y for y in range(picture.shape[0]) if (picture[y, :130] == panels[0].pixels[0]).all()
    )
    for index, panel in enumerate(panels):
        left = index * (130 + GAP)
        np.testing.assert_array_equal(picture[top : top + 90, left : left + 130], panel.pixels)
    below = picture[top + 90 :].reshape(-1, 3)
    for colour in PALETTE[:2]:
        assert (below == colour).all(axis=1).sum() > 50
    assert top >= 13


@pytest.mark.parametrize('count', [1, 7, 60])
def test_a_long_legend_flows_into_rows_and_nothing_is_cut_off(count):
    panel = Panel('image', np.zeros((40, 60, 3), np.uint8))
    colours = [(255, 3 * k, 255 - 4 * k) for k in range(count)]
    legend = [(f'a class with a long name {k}', colour) for k, colour in enumerate(colours)]
    picture = compose([panel], legend)
    flat = picture.reshape(-1, 3)
    areas = {int((flat == colour).all(axis=1).sum()) for colour in colours}
    assert len(areas) == 1
    assert areas.pop() > 50
    assert (picture[:, -1] == 255).all()  # no name runs into the edge
    assert picture[-1].min() == 255


def test_classes_without_colours_get_distinct_ones():
    colours = palette_of(dict(classes=[str(k) for k in range(150)]))
    assert len(set(colours)) == 150
    assert palette_of(META) == PALETTE


def test_a_picture_in_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'a picture of 4 x 3 cannot be written as \.xyz'):
        write_image(np.zeros((3, 4, 3), np.uint8), tmp_path / 'a.xyz')


def test_the_hook_leaves_image_truth_and_prediction_under_the_name_of_the_image(tmp_path):
    from types import SimpleNamespace

    import torch
    from mmseg.structures import SegDataSample

    source = tmp_path / 'in/street.png'
    source.parent.mkdir()
    cv2.imwrite(str(source), np.full((50, 80, 3), 128, np.uint8))
    truth, found = torch.zeros(1, 50, 80), torch.ones(50, 80)  # merged predictions lack a channel
    truth[:, :25] = 255
    sample = SegDataSample(metainfo=dict(img_path=str(source)))
    sample.gt_sem_seg, sample.pred_sem_seg = PixelData(data=truth), PixelData(data=found)
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=META))
    hook = LabelPicturesHook(tmp_path / 'out')
    hook.after_test_iter(SimpleNamespace(test_dataloader=loader), 0, None, [sample])
    picture = cv2.imread(str(tmp_path / 'out/street.jpg'))[..., ::-1]
    middle = picture.shape[0] // 2
    assert picture.shape[1] >= 3 * 80
    row = [picture[middle, 40 + index * (80 + GAP)] for index in range(3)]
    assert distance(row[0], (128, 128, 128)) < 12
    assert distance(row[2], 0.75 * np.array(PALETTE[1]) + 0.25 * 128) < 12
    assert distance(picture[middle - 15, 40 + 86], 0.75 * np.array(UNLABELLED) + 32) < 12
