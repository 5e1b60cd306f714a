"""Contact sheets show what the model gets: the same draws, the same pixels, labels in place."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from rapidnet_mm.analysis.browse import Browser
from rapidnet_mm.commands.main import main
from rapidnet_mm.data.shapes.make import make_classes
from rapidnet_mm.display.images import read_image
from rapidnet_mm.engine.config import load_config
from rapidnet_mm.engine.exact.draws import batches_from
from rapidnet_mm.engine.runner import build_runner

MASKS, BOXES = 'maskrcnn_rapidnet_ti_shapes', 'ssdlite_rexnet_100_shapes'
LABELS, CLASSES = 'semfpn_rapidnet_ti_shapes', 'imagenet/rapidnet_ti_shapes'


@pytest.fixture(scope='module')
def project(shapes):
    make_classes(shapes / 'data/shapes_classes', train=25, val=5)
    return shapes


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)


def browse(config, split='train', number=4, epochs=1, options=None, seed=0):
    return Browser(load_config(config, options), split, seed).views(number, epochs)


def slow(name):
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize('config', [slow(MASKS), slow(LABELS), CLASSES])
def test_the_images_are_those_that_the_training_draws(config, tmp_path):
    cfg = load_config(config, work_dir=str(tmp_path))
    cfg.randomness = dict(seed=7)
    runner = build_runner(cfg)
    loader = runner.build_train_loop(cfg.train_cfg).dataloader
    maker = runner.model.data_preprocessor
    data = maker(next(batches_from(loader, 0, 0)), True)
    views = [view for (view,) in browse(config, number=2, seed=7)]
    for tensor, view in zip(data['inputs'], views, strict=False):
        seen = (view.image.transpose(2, 0, 1) - maker.mean.numpy()) / maker.std.numpy()
        np.testing.assert_allclose(seen, tensor.numpy(), atol=0.02)  # half a level of 255
    other = browse(config, number=2, seed=8)
    shape = views[0].image.shape
    assert shape != other[0][0].image.shape or (views[0].image != other[0][0].image).any()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_boxes_and_masks_lie_on_the_objects(split):
    count = 0
    for (view,) in browse(MASKS, split):
        height, width = view.size
        assert len(view.boxes) == len(view.texts) == len(view.classes) == len(view.masks)
        for box, mask in zip(view.boxes, view.masks, strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            extent = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(extent, box, atol=4)  # both were scaled and rounded
            assert extent[2] <= width
            assert extent[3] <= height
            count += 1
    assert count > 5


def test_padding_is_shown_and_said():
    padded = [view for (view,) in browse(MASKS, number=8) if view.size != view.image.shape[:2]]
    assert padded
    for view in padded:
        height, width = view.size
        assert view.caption[-1] == f'padded to {view.image.shape[1]} x {view.image.shape[0]}'
        outside = np.concatenate([view.image[height:].ravel(), view.image[:, width:].ravel()])
        assert len(np.unique(outside)) <= 3  # the mean colour, which the model sees as 0


@pytest.mark.parametrize('split', ['train', 'val'])
def test_label_maps_fit_their_images(split):
    for (view,) in browse(LABELS, split):
        assert view.labels.shape == view.image.shape[:2]
        assert set(np.unique(view.labels)) <= {*range(7), 255}
        if split == 'val':  # nothing is cut off
            path = Path('data/shapes/labels/val', view.caption[0]).with_suffix('.png')
            original = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            for label in range(7):
                share = (original == label + 1).mean()  # label 0 is no class
                assert (view.labels == label).mean() == pytest.approx(share, abs=0.02)


def test_mixed_images_say_their_shares():
    augments = [dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]
    options = {'model.train_cfg': dict(augments=augments)}
    texts = [view.caption[-1] for (view,) in browse(CLASSES, number=12, options=options)]
    mixed = [text for text in texts if ' + ' in text]
    assert mixed
    for text in mixed:
        shares = [float(part.split()[0]) for part in text.split(' + ')]
        assert sum(shares) == pytest.approx(1, abs=0.02)
    plain = {view.caption[-1] for (view,) in browse(CLASSES, number=12)}
    assert plain <= {'cross', 'disc', 'square', 'star', 'triangle'}


@pytest.mark.parametrize('config', [BOXES, LABELS])  # epochs, and a sampler without end
def test_an_image_comes_again_as_other_draws_show_it(config):
    draws = browse(config, number=3, epochs=3)
    assert [len(views) for views in draws] == [3, 3, 3]
    assert len({views[0].caption[0] for views in draws}) == 3
    for views in draws:
        assert len({view.caption[0] for view in views}) == 1
        first, second, _ = (view.image for view in views)
        assert first.shape != second.shape or (first != second).any()


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(['browse', *arguments])
    return end.value.code


@pytest.mark.slow
def test_the_command_writes_pages(tmp_path, capfd):
    out = tmp_path / 'out'
    assert not run(LABELS, '--number', '20', '--out-dir', str(out))
    pages = sorted(path.name for path in out.iterdir())
    assert pages == ['train_01.jpg', 'train_02.jpg']
    assert '20 images of train' in capfd.readouterr().out
    first, last = (read_image(out / name) for name in pages)
    assert first.shape[0] > 2 * last.shape[0]  # 16 pictures, then 4
    assert not run(BOXES, '--number', '2', '--epochs', '2', '--out-dir', str(out / 'row'))
    assert not run(BOXES, '--number', '1', '--epochs', '5', '--out-dir', str(out / 'rows'))
    row, rows = (read_image(out / name / 'train_01.jpg') for name in ('row', 'rows'))
    assert row.shape[1] == rows.shape[1]  # two images side by side, and one in two rows
    assert rows.shape[0] == pytest.approx(2 * row.shape[0], rel=0.05)


def test_bad_input_is_one_line(capfd, tmp_path, monkeypatch):
    assert run(MASKS, '--split', 'val', '--epochs', '2') == 2
    monkeypatch.chdir(tmp_path)
    assert run(MASKS) == 2
    printed = capfd.readouterr().err
    assert '--epochs: only a training' in printed
    assert 'data/shapes' in printed
    assert 'Traceback' not in printed
