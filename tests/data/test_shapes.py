import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from faster_coco_eval import COCO as FasterCOCO
from pycocotools.coco import COCO

from rapidnet_mm.data.shapes import make as shapes
from rapidnet_mm.data.shapes import scenes
from rapidnet_mm.data.shapes.classes import (
    CATEGORY_IDS,
    CLASSES,
    PALETTE,
    SEMANTIC_CLASSES,
    SEMANTIC_PALETTE,
)
from rapidnet_mm.data.shapes.make import make_shapes
from rapidnet_mm.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
FEW = {'train': 2, 'val': 1, 'size': (96, 64)}


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=30, val=10)


@pytest.fixture(scope='module')
def coco(root):
    return COCO(root / 'annotations/instances_train.json')


def label_image(root, image):
    name = Path(image['file_name']).with_suffix('.png')
    return cv2.imread(str(root / 'labels/train' / name), cv2.IMREAD_UNCHANGED)


def single_objects(root, coco):
    """Of every object that is no crowd: its annotation, mask, label value and label image."""
    for image in coco.loadImgs(coco.getImgIds()):
        labels = label_image(root, image)
        for entry in coco.loadAnns(coco.getAnnIds(image['id'], iscrowd=False)):
            value = 1 + SEMANTIC_CLASSES.index(CLASSES[CATEGORY_IDS.index(entry['category_id'])])
            yield entry, coco.annToMask(entry).astype(bool), value, labels


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    first, second = (contents(make_shapes(tmp_path / name, **FEW)) for name in 'ab')
    assert first == second
    assert len(first) == 2 * 3 + 2 + 1


def test_another_seed_and_another_split_give_other_pictures(tmp_path):
    zero, one = (contents(make_shapes(tmp_path / f'{seed}', **FEW, seed=seed)) for seed in range(2))
    pictures = [files[f'{split}/000001.jpg'] for files in (zero, one) for split in ('train', 'val')]
    assert len(set(pictures)) == 4


@pytest.mark.parametrize('reader', [COCO, FasterCOCO])
@pytest.mark.parametrize('split', ['train', 'val'])
def test_coco_readers_load_the_annotations(root, reader, split):
    data = reader(str(root / f'annotations/instances_{split}.json'))
    assert [c['name'] for c in data.loadCats(data.getCatIds())] == list(CLASSES)
    assert tuple(data.getCatIds()) == CATEGORY_IDS
    assert len(data.getImgIds()) == {'train': 30, 'val': 10}[split]
    for entry in data.loadAnns(data.getAnnIds()):
        image = data.loadImgs(entry['image_id'])[0]
        assert data.annToMask(entry).shape == (image['height'], image['width'])
        assert entry['id'] > 0


def test_images_have_the_size_they_are_listed_with_and_some_are_upright(root, coco):
    upright = []
    for image in coco.loadImgs(coco.getImgIds()):
        shape = image['height'], image['width']
        assert cv2.imread(str(root / 'train' / image['file_name'])).shape == (*shape, 3)
        assert label_image(root, image).shape == shape
        upright.append(shape[0] > shape[1])
    assert 0 < sum(upright) < len(upright) / 2


def test_labels_are_the_eight_values_and_every_value_occurs(root, coco):
    images = [label_image(root, image) for image in coco.loadImgs(coco.getImgIds())]
    assert all(labels.dtype == np.uint8 and labels.ndim == 2 for labels in images)
    values = np.unique(np.concatenate([labels.ravel() for labels in images]))
    assert values.tolist() == list(range(1 + len(SEMANTIC_CLASSES)))


def test_palettes_have_one_colour_per_class():
    assert len(set(PALETTE)) == len(CLASSES)
    assert len(set(SEMANTIC_PALETTE)) == len(SEMANTIC_CLASSES)


def test_polygons_agree_with_the_label_images(root, coco):
    overlaps, wrong = [], []
    for _, mask, value, labels in single_objects(root, coco):
        overlaps.append((mask & (labels == value)).sum() / mask.sum())
        wrong.append((mask & (labels != value) & (labels != 0)).sum() / mask.sum())
    # what is hidden by another object loses a line of 1 px to the void: much for small ones
    assert np.median(overlaps) > 0.95
    assert np.mean(np.less(wrong, 0.05)) > 0.99


def test_no_pixel_belongs_to_two_objects(coco):
    for image in coco.getImgIds():
        entries = coco.loadAnns(coco.getAnnIds(image))
        masks = [coco.annToMask(entry).astype(int) for entry in entries]
        # polygons are rounded along their common edges
        assert not masks or (sum(masks) > 1).sum() <= 0.02 * sum(map(np.sum, masks)), image


def test_a_shape_that_would_make_a_hole_is_not_placed():
    """One scene in hundreds tries to, so none of the few above is likely to show it."""
    full = np.full((400, 400), 255, np.uint8)
    hole, bite = full.copy(), full.copy()
    hole[100:200, 100:200] = 0
    bite[:100, 100:200] = 0
    layer = scenes._Layer(0, full, full, np.array([50, 50]), 50)
    assert scenes._is_enough(layer, bite)
    assert not scenes._is_enough(layer, hole)


def test_a_void_line_parts_different_classes(root, coco):
    for image in coco.loadImgs(coco.getImgIds()):
        labels = label_image(root, image)
        for one, next_one in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            assert not ((one != next_one) & (one > 0) & (next_one > 0)).any()


def test_polygons_are_neither_too_large_nor_too_small_nor_shifted(root, coco):
    """``area`` counts the pixels of the exact mask, also where a label image has a void line."""
    ratios, shifts, overlaps = [], [], []
    for entry, mask, value, labels in single_objects(root, coco):
        ratios.append(mask.sum() / entry['area'])
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        exact = near & (labels == value)
        if exact.sum() == entry['area']:  # in front of all others, next to none of its class
            overlaps.append((mask & exact).sum() / (mask | exact).sum())
            shifts.append(np.subtract(*(np.argwhere(m).mean(axis=0) for m in (mask, exact))))
    assert len(overlaps) > 30
    assert min(overlaps) > 0.9
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.03  # px; half a pixel is the usual mistake
    assert abs(np.median(ratios) - 1) < 0.01
    assert 0.9 < min(ratios) < max(ratios) < 1.1


def test_boxes_enclose_their_masks_within_a_pixel(root, coco):
    for entry, mask, _, _ in single_objects(root, coco):
        x, y, w, h = entry['bbox']
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        drawn = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        # a thin tip covers no pixel's centre, so the box may reach out further than the pixels
        assert (np.abs(drawn - (x, y, x + w, y + h)) <= 3).all()
        assert entry['area'] >= 70


def test_one_scene_in_ten_has_a_crowd_as_uncompressed_rle(coco):
    crowds = [entry for entry in coco.anns.values() if entry['iscrowd']]
    assert len({entry['image_id'] for entry in crowds}) == len(crowds) == 3
    for entry in crowds:
        height, width = entry['segmentation']['size']
        assert sum(entry['segmentation']['counts']) == height * width
        mask = coco.annToMask(entry)
        assert mask.sum() == entry['area']
        assert cv2.boundingRect(mask) == tuple(entry['bbox'])


def test_some_scenes_have_no_objects_and_the_others_at_most_eight(coco):
    counts = [len(coco.getAnnIds(image)) for image in coco.getImgIds()]
    assert counts.count(0) == 1
    assert 2 <= min(filter(None, counts)) <= max(counts) <= 8


def test_the_same_call_again_touches_nothing(tmp_path):
    root = make_shapes(tmp_path / 'shapes', **FEW)
    before = {path: os.stat(path).st_mtime_ns for path in [root, *root.rglob('*')]}
    make_shapes(root, **FEW)
    assert {path: os.stat(path).st_mtime_ns for path in [root, *root.rglob('*')]} == before


def test_other_arguments_replace_the_data_set_and_missing_files_come_back(tmp_path):
    root = make_shapes(tmp_path / 'shapes', **FEW)
    whole = contents(root)
    make_shapes(root, **{**FEW, 'train': 1})
    assert json.loads((root / 'dataset.json').read_text())['train'] == 1
    assert not (root / 'train/000002.jpg').exists()
    make_shapes(root, **FEW)
    (root / 'train/000002.jpg').unlink()
    make_shapes(root, **FEW)
    assert contents(root) == whole
    assert os.listdir(tmp_path) == ['shapes']


@pytest.mark.parametrize('name', ['photo.jpg', 'dataset.json'])
def test_a_folder_of_somebody_else_is_refused_and_nothing_is_lost(tmp_path, name):
    (tmp_path / name).write_text('{"mine": true}')
    with pytest.raises(UserError, match=name):
        make_shapes(tmp_path, **FEW)
    assert contents(tmp_path) == {name: b'{"mine": true}'}


def test_a_stranger_inside_our_folder_is_not_thrown_away(tmp_path):
    root = make_shapes(tmp_path / 'shapes', **FEW)
    (root / 'notes.txt').write_text('mine')
    before = contents(root)
    with pytest.raises(UserError, match=r'notes\.txt'):
        make_shapes(root, **{**FEW, 'train': 1})
    assert contents(root) == before


@pytest.mark.parametrize(
    'name', ['train/mine.jpg', 'train/000002.jpg', 'annotations/instances_val.json', 'labels/link']
)
@pytest.mark.parametrize('train', [1, FEW['train']])
def test_what_was_added_or_changed_below_our_folder_stays(tmp_path, name, train):
    root = make_shapes(tmp_path / 'shapes', **FEW)
    if name == 'labels/link':
        (root / name).symlink_to(root / 'train')
    else:
        (root / name).write_bytes(b'mine')
    (root / 'val/000001.jpg').unlink()  # so that the data set is made again
    before = contents(root)
    with pytest.raises(UserError, match=name):
        make_shapes(root, **{**FEW, 'train': train})
    assert contents(root) == before


def test_a_data_set_of_an_earlier_version_is_replaced_but_no_other_file(tmp_path):
    root = make_shapes(tmp_path / 'shapes', **FEW)
    marker = json.loads((root / 'dataset.json').read_text())
    del marker['files']
    (root / 'dataset.json').write_text(json.dumps(marker))
    (root / 'train/mine.jpg').write_bytes(b'mine')
    with pytest.raises(UserError, match=r'train/mine\.jpg'):
        make_shapes(root, **{**FEW, 'train': 1})
    (root / 'train/mine.jpg').unlink()
    make_shapes(root, **{**FEW, 'train': 1})
    assert len(list((root / 'train').iterdir())) == 1


@pytest.mark.parametrize('existing', [False, True])
def test_an_interruption_leaves_no_half_written_data_set(tmp_path, monkeypatch, existing):
    root = tmp_path / 'shapes'
    if existing:
        make_shapes(root, **FEW)
    before = contents(root)
    draw, calls = shapes.draw_scene, []

    def draw_twice(*args, **kwargs):
        calls.append(args)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return draw(*args, **kwargs)

    monkeypatch.setattr(shapes, 'draw_scene', draw_twice)
    with pytest.raises(KeyboardInterrupt):
        make_shapes(root, **{**FEW, 'train': 5})
    assert contents(root) == before
    assert os.listdir(tmp_path) == (['shapes'] if existing else [])


def test_an_unusable_target_is_the_users_error(tmp_path):
    (tmp_path / 'file').write_text('')
    for target in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        with pytest.raises(UserError, match='file'):
            make_shapes(target, **FEW)


@pytest.mark.parametrize(
    'wrong', [{'train': 0}, {'val': -1}, {'size': (256, 20)}, {'size': (9000, 192)}, {'seed': -1}]
)
def test_impossible_arguments_are_named(tmp_path, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        make_shapes(tmp_path / 'shapes', **wrong)
    assert not (tmp_path / 'shapes').exists()


def run_tool(*arguments):
    return subprocess.run(
        [sys.executable, REPOSITORY / 'tools/make_shapes.py', *map(str, arguments)],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tool_writes_the_data_set_and_says_so(tmp_path):
    root = tmp_path / 'deep/shapes'
    done = run_tool('--root', root, '--train', 2, '--val', 1, '--size', 96, 64)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f'{root}: 2 images to train on, 1 to evaluate on\n'
    assert contents(root) == contents(make_shapes(tmp_path / 'again', **FEW))


def test_the_tool_reports_a_wrong_argument_in_one_line(tmp_path):
    done = run_tool('--root', tmp_path / 'shapes', '--train', 0)
    assert done.returncode == 2
    assert done.stderr == 'error: train must be at least 1 image, not 0\n'
