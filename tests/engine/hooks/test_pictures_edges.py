"""Pictures of classifiers and segmenters where a small fault would go unnoticed."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from rapidnet_mm.display import drawing
from rapidnet_mm.engine.hooks import ClassPicturesHook, LabelPicturesHook
from rapidnet_mm.engine.hooks import pictures as hook_module

CLASSES = ('sky', 'road', 'tree')
PALETTE = [(10, 200, 250), (200, 10, 20), (20, 180, 30)]
RED = (200, 30, 60)  # in the order of RGB, no two channels alike
SIZE = (50, 80)


@pytest.fixture
def source(tmp_path):
    """An image in a folder."""
    path = tmp_path / 'data/road/17.png'
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.full((*SIZE, 3), RED[::-1], np.uint8))
    return path


@pytest.fixture
def composed(monkeypatch):
    """Panels and legends of the pictures that are put together."""
    composed, compose = [], drawing.compose

    def record(panels, legend):
        composed.append((panels, legend))
        return compose(panels, legend)

    for module in (drawing, hook_module):
        monkeypatch.setattr(module, 'compose', record, raising=False)
    return composed


def draw(hook, *samples):
    dataset = SimpleNamespace(metainfo=dict(classes=CLASSES, palette=PALETTE))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))
    hook.after_test_iter(runner, 0, None, list(samples))


def test_a_class_picture_names_the_class_and_the_likely_ones(source, tmp_path, composed):
    sample = DataSample(metainfo=dict(img_path=str(source)))
    sample.set_gt_label(1).set_pred_score(torch.tensor([0.125, 0.25, 0.625]))
    draw(ClassPicturesHook(tmp_path / 'out'), sample)
    (((panel,), legend),) = composed
    assert 'road' in panel.title
    assert not any(name in panel.title for name in ('sky', 'tree'))
    assert (panel.pixels == RED).all()
    assert [name.split() for name, _ in legend] == [
        ['tree', '0.62'],
        ['road', '0.25'],
        ['sky', '0.12'],
    ]
    assert [colour for _, colour in legend] == [PALETTE[2], PALETTE[1], PALETTE[0]]
    picture = cv2.imread(str(tmp_path / 'out/road/17.jpg'))[..., ::-1].astype(int)
    flat = np.abs(picture - RED).max(2) < 12
    assert flat.sum() > 0.9 * SIZE[0] * SIZE[1]


def segmented(source, **maps):
    sample = SegDataSample(metainfo=dict(img_path=str(source)))
    for key, label in maps.items():
        sample.set_field(PixelData(data=torch.full((1, *SIZE), label)), key)
    return sample


@pytest.mark.parametrize(
    ('maps', 'titles', 'names'),
    [
        (dict(gt_sem_seg=0, pred_sem_seg=2), ['ground truth', 'prediction'], {'sky', 'tree'}),
        (dict(pred_sem_seg=2), ['prediction'], {'tree'}),
    ],
)
def test_a_label_picture_has_a_panel_for_what_is_there(
    maps, titles, names, source, tmp_path, composed
):
    draw(LabelPicturesHook(tmp_path / 'out'), segmented(source, **maps))
    ((panels, legend),) = composed
    assert [panel.title for panel in panels] == ['image', *titles]
    assert (panels[0].pixels == RED).all()
    for panel, label in zip(panels[1:], maps.values(), strict=True):
        expected = drawing.paint(panels[0].pixels, np.full(SIZE, label), PALETTE)
        np.testing.assert_array_equal(panel.pixels, expected)
    assert dict(legend) == {name: PALETTE[CLASSES.index(name)] for name in names}
    assert (tmp_path / 'out/17.jpg').exists()


def test_every_image_of_a_batch_gets_its_picture(source, tmp_path):
    other = source.with_name('18.png')
    other.write_bytes(source.read_bytes())
    draw(
        LabelPicturesHook(str(tmp_path / 'out')),
        *(segmented(path, pred_sem_seg=1) for path in (source, other)),
    )
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'17.jpg', '18.jpg'}
