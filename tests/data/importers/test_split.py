"""Divisions: classes in proportion, images that resemble on one side, the same each time."""

import random
from collections import Counter

import cv2
import numpy as np
import pytest

from rapidnet_mm.data.importers.run import import_data
from rapidnet_mm.data.importers.samples import Annotation, Collection, Picture
from rapidnet_mm.data.importers.similar import groups_of
from rapidnet_mm.data.importers.split import complete_splits, stratify
from tests.data.importers import samples


def single(classes):
    """A group for each image."""
    return [[i] for i in range(len(classes))], dict(enumerate(classes))


def labelled(count, seed=0):
    """Classes of images as in photos: one common class, some rare ones, some images with none."""
    rng = random.Random(seed)
    shares = {'a': 0.8, 'b': 0.3, 'c': 0.1, 'd': 0.04}
    return [
        {n for n, share in shares.items() if rng.random() < share} or {''} for _ in range(count)
    ]


@pytest.mark.parametrize('seed', range(4))
def test_classes_and_images_are_in_proportion(seed):
    groups, classes = single(labelled(400, seed))
    chosen = stratify(groups, classes, 0.2, seed)
    assert abs(len(chosen) - 80) <= 4
    totals = Counter(name for names in classes.values() for name in names)
    val = Counter(name for i in chosen for name in classes[i])
    for name, total in totals.items():
        assert abs(val[name] - 0.2 * total) <= max(2, 0.02 * total), name


@pytest.mark.parametrize('seed', range(6))
def test_a_class_of_two_images_is_on_both_sides(seed):
    names = [{'common'} for _ in range(20)] + [{'rare'}] * 2 + [{'pair', 'common'}] * 2
    groups, classes = single(names)
    chosen = stratify(groups, classes, 0.2, seed)
    for name in ('rare', 'pair'):
        assert sum(name in classes[i] for i in chosen) == 1


def test_a_class_of_one_image_is_in_train():
    groups, classes = single([{'a'}, {'a'}, {'a'}, {'a', 'once'}, {'a'}])
    for seed in range(6):
        assert 3 not in stratify(groups, classes, 0.4, seed)


def test_groups_are_not_divided_and_the_seed_decides():
    classes = dict(enumerate(labelled(120)))
    groups = [list(range(i, i + 3)) for i in range(0, 120, 3)]
    divisions = [stratify(groups, classes, 0.25, seed) for seed in (0, 0, 1)]
    assert divisions[0] == divisions[1] != divisions[2]
    for group in groups:
        assert len({i in divisions[0] for i in group}) == 1


@pytest.mark.parametrize('names', [[{'a'}, {''}], [{''}, {'a'}], [{'a'}, {'b'}], [{''}, {''}]])
def test_two_images_are_one_on_each_side(names):
    for seed in range(3):
        chosen = stratify(*single(names), 0.2, seed)
        assert len(chosen) == 1
        if {'a'} in names and {''} in names:
            assert names[chosen.pop()] == {''}


def scene(seed):
    """A background with soft shapes."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)


def write(path, pixels, quality=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def burst(root, seed, count, prefix='frame_'):
    """Frames of a camera that turns slowly while the light changes."""
    wide = cv2.resize(scene(seed), (320, 120))
    frames = [
        np.clip(wide[:, 6 * i : 6 * i + 160] * (1 - 0.01 * i) + i, 0, 255).astype(np.uint8)
        for i in range(count)
    ]
    return [write(root / f'{prefix}{i:04}.jpg', frame) for i, frame in enumerate(frames)]


def names_of(groups, paths):
    return {frozenset(paths[i].stem for i in group) for group in groups if len(group) > 1}


def test_copies_are_found_after_saving_resizing_and_brightening(tmp_path):
    base = scene(1)
    paths = [
        write(tmp_path / 'one.jpg', base),
        write(tmp_path / 'x/again.jpg', base, 40),
        write(tmp_path / 'small.jpg', cv2.resize(base, (96, 72))),
        write(tmp_path / 'bright.jpg', np.clip(base * 1.1 + 8, 0, 255).astype(np.uint8)),
        *(write(tmp_path / f'other{i}.jpg', scene(i)) for i in range(2, 30)),
    ]
    assert names_of(groups_of(paths), paths) == {frozenset({'one', 'again', 'small', 'bright'})}


def test_a_burst_is_one_group_and_numbered_photos_are_not(tmp_path):
    paths = burst(tmp_path, 5, 12)
    paths += [write(tmp_path / f'photo_{i:04}.jpg', scene(100 + i)) for i in range(30)]
    assert names_of(groups_of(paths), paths) == {frozenset(f'frame_{i:04}' for i in range(12))}


def test_plain_images_are_compared_by_their_grey(tmp_path):
    paths = [
        write(tmp_path / f'{name}.png', np.full((20, 20, 3), grey, np.uint8))
        for name, grey in (('black', 0), ('dark', 1), ('white', 255), ('grey', 128))
    ]
    assert names_of(groups_of(paths), paths) == {frozenset({'black', 'dark'})}


def collection(paths, split=None):
    pictures = [
        Picture(path, 160, 120, split, [Annotation('ab'[i % 2], (1, 1, 5, 5))])
        for i, path in enumerate(paths)
    ]
    return Collection('coco', 'boxes', ['a', 'b'], pictures)


@pytest.mark.parametrize('seed', range(3))
def test_each_burst_lands_on_one_side(tmp_path, seed):
    paths = [path for i in range(6) for path in burst(tmp_path, 10 + i, 4, f'clip{i}_')]
    data = collection(paths)
    complete_splits(data, 0.3, seed)
    sides = {p.path.stem.split('_')[0]: set() for p in data.pictures}
    for picture in data.pictures:
        sides[picture.path.stem.split('_')[0]].add(picture.split)
    assert sorted(map(len, sides.values())) == [1] * 6
    assert {side for one in sides.values() for side in one} == {'train', 'val'}
    assert any('24 images resemble others' in note for note in data.notes)


def test_one_video_is_cut_by_time_and_that_is_said(tmp_path):
    data = collection(burst(tmp_path, 3, 20))
    complete_splits(data, 0.2, 0)
    splits = [picture.split for picture in sorted(data.pictures, key=lambda p: p.path.name)]
    assert splits in (['train'] * 16 + ['val'] * 4, ['val'] * 16 + ['train'] * 4)
    assert splits.count('val') == 4
    assert any('one video' in note for note in data.notes)


@pytest.mark.parametrize(
    'present', [('train', 'val'), ('train',), ('val',), ('train', 'test'), ('test',)]
)
def test_only_what_is_missing_is_divided(tmp_path, present):
    paths = [write(tmp_path / f'{i}.jpg', scene(i)) for i in range(10)]
    data = collection(paths)
    for i, picture in enumerate(data.pictures):
        picture.split = present[i % len(present)]
    before = [picture.split for picture in data.pictures]
    complete_splits(data, 0.2, 0)
    after = [picture.split for picture in data.pictures]
    assert {'train', 'val'} <= set(after)
    if present == ('train', 'val'):
        assert after == before
    if 'train' in present and 'test' in present:
        assert [s == 'test' for s in after] == [s == 'test' for s in before]
    complete_splits(data, 0.2, 0, divide=True)
    assert [p.split for p in data.pictures].count('val') == (1 if 'test' in after else 2)


def test_the_same_seed_gives_the_same_files(tmp_path):
    samples.coco(tmp_path / 'in', [{}, {'image_id': 2, 'category_id': 2}], images=8)
    files = []
    for name in ('a', 'b'):
        dataset = import_data([tmp_path / 'in'], tmp_path / name, seed=3)
        files.append([path.read_bytes() for path in sorted(dataset.folder.rglob('*.json'))])
        assert (dataset.splits['train'].images, dataset.splits['val'].images) == (6, 2)
    assert files[0] == files[1]
