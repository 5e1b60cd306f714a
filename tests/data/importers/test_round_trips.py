"""What a format can hold comes back from it, to the last digit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapidnet_mm.data.importers.geometry import mask_of
from rapidnet_mm.data.importers.run import HOLDS, WRITERS, export_data, import_data
from rapidnet_mm.data.importers.samples import Annotation, Collection, Picture
from rapidnet_mm.data.importers.target import link
from tests.data.importers import samples
from tests.data.importers.samples import CLASSES, HOLE, ISLAND, RING, RLE, H, W, contents, read
from tests.messages import assert_says, refusal

OBJECT_FORMATS = HOLDS['boxes']
PROFILE = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def there_and_back(data, format, folder):
    notes = WRITERS[format].write(data, folder, link)
    return read(folder), notes


@pytest.mark.parametrize('format', OBJECT_FORMATS)
def test_boxes_classes_and_splits_come_back(tmp_path, format):
    data = samples.collection(tmp_path / 'in', boxes_only=True)
    back, notes = there_and_back(data, format, tmp_path / 'out')
    assert (back.task, back.classes) == ('boxes', CLASSES)
    assert contents(back) == contents(data)
    assert notes == []


@pytest.mark.parametrize('format', ['coco', 'labelme', 'cvat'])
def test_polygons_of_several_parts_come_back(tmp_path, format):
    data = samples.collection(tmp_path / 'in')
    back, notes = there_and_back(data, format, tmp_path / 'out')
    assert (back.task, back.classes) == ('instance', CLASSES)
    assert contents(back) == contents(data)
    assert notes == []


@pytest.mark.parametrize('format', ['coco', 'labelme', 'cvat'])
def test_holes_islands_and_crowds_come_back(tmp_path, format):
    data = samples.collection(tmp_path / 'in')
    island = [9.0, 9.0, 11.0, 9.0, 11.0, 11.0]
    data.pictures[0].objects = [
        Annotation('fig', (4.25, 3.5, 32.25, 23.5), [RING, ISLAND, island], [HOLE]),
        Annotation('pear', (1, 3, 2, 5), rle=RLE, crowd=True),
        Annotation('pear', (1, 3, 2, 5), rle=RLE, extra={'truncated': True}),
    ]
    back, _ = there_and_back(data, format, tmp_path / 'out')
    before = data.pictures[0].objects
    after = next(p for p in back.pictures if p.path.stem == 'p0').objects
    for one, other in zip(before, after, strict=True):
        assert (one.name, one.box, one.crowd, one.extra) == (
            other.name,
            tuple(other.box),
            other.crowd,
            other.extra,
        )
        np.testing.assert_array_equal(mask_of(one, W, H), mask_of(other, W, H))
    if format != 'coco':  # there, holes become run lengths
        assert (before[0].polygons, before[0].holes) == (after[0].polygons, after[0].holes)


def test_a_hole_can_have_an_island():
    island = [9.0, 9.0, 11.0, 9.0, 11.0, 11.0, 9.0, 11.0]
    mask = mask_of(Annotation('fig', (0, 0, 1, 1), [island, RING], [HOLE]), W, H)
    assert mask[5, 5]
    assert not mask[8, 8]
    assert mask[10, 10]
    assert not mask[25, 25]


def test_a_corner_far_outside_does_not_end_the_process(tmp_path):
    one = Annotation('pear', (0, 0, 1, 1), [[1, 1, 1e12, 1, 1e12, 1e12, -1e12, 9]])
    assert mask_of(one, W, H).any()
    data = samples.collection(tmp_path / 'in')
    data.pictures[0].objects = [one]
    back, _ = there_and_back(data, 'coco', tmp_path / 'out')
    assert any(one.polygons in (o.polygons for o in p.objects) for p in back.pictures)


def test_yolo_says_what_it_cannot_hold(tmp_path):
    data = samples.collection(tmp_path / 'in')
    data.pictures[0].objects.append(Annotation('pear', (1, 3, 2, 5), rle=RLE, crowd=True))
    data.pictures[0].objects[0].box = (4, 3, 17, 15)
    back, notes = there_and_back(data, 'yolo', tmp_path / 'out')
    assert_says(' '.join(notes), '1 crowd left out', '1 object)', '1 box of 4', 'extent')
    before, after = contents(data), contents(back)
    assert after['p0'][1][0][1:3] == ((4.25, 3.5, 16.5, 14.625), [RING])
    assert after['p1'][1][0] == before['p1'][1][0]
    fig, other = data.pictures[1].objects[1], back.pictures[1].objects[1]
    assert len(other.polygons) == 1
    np.testing.assert_array_equal(mask_of(fig, W, H), mask_of(other, W, H))


def test_voc_says_what_it_cannot_hold(tmp_path):
    data = samples.collection(tmp_path / 'in')
    data.pictures[0].objects[0].crowd = True
    back, notes = there_and_back(data, 'voc', tmp_path / 'out')
    assert_says(' '.join(notes), 'no polygons', '3 masks', 'no crowds: 1')
    assert [one[:2] for one in contents(back)['p1'][1]] == [
        one[:2] for one in contents(data)['p1'][1]
    ]
    assert contents(back)['p0'][1][0][5]


def test_masks_are_painted_as_label_maps_small_ones_on_top(tmp_path):
    data = samples.collection(tmp_path / 'in')
    data.pictures[0].objects.insert(0, Annotation('fig', (8, 8, 4, 4), [HOLE]))
    back, notes = there_and_back(data, 'labels', tmp_path / 'out')
    assert (back.task, back.classes) == ('semantic', CLASSES)
    labels = back.decode(next(p for p in back.pictures if p.path.stem == 'p0').label_map)
    assert (labels[10, 10], labels[5, 5], labels[29, 39]) == (2, 0, 255)
    assert_says(' '.join(notes), '5 objects')


def test_label_maps_and_their_colours_come_back(tmp_path):
    for i, split in enumerate(('train', 'val')):
        samples.image(tmp_path / f'in/images/{split}/{split}.png', i)
        labels = samples.stripes(0, 1, 2, 255)
        samples.label_map(tmp_path / f'in/labels/{split}/{split}.png', labels, [(9, 8, 7)] * 256)
    samples.text(tmp_path / 'in/classes.txt', 'road\nsky\ncar\n')
    data = read(tmp_path / 'in')
    back, _ = there_and_back(data, 'labels', tmp_path / 'out')
    assert back.classes == data.classes == ['road', 'sky', 'car']
    assert back.palette == data.palette == [(9, 8, 7)] * 3
    assert {p.path.stem: p.split for p in back.pictures} == {'train': 'train', 'val': 'val'}
    for picture in back.pictures:
        np.testing.assert_array_equal(back.decode(picture.label_map), samples.stripes(0, 1, 2, 255))


def test_class_folders_come_back(tmp_path):
    for i, name in enumerate(('train/cat', 'train/dog', 'val/cat', 'val/dog')):
        samples.image(tmp_path / f'in/{name}/same.png', i)
    export = export_data([tmp_path / 'in'], 'folders', tmp_path / 'out', images='link')
    back = read(tmp_path / 'out')
    assert back.classes == ['cat', 'dog']
    assert sorted(path.name for path in (tmp_path / 'out').rglob('*.png')) == [
        'same.png',
        'train_dog_same.png',
        'val_cat_same.png',
        'val_dog_same.png',
    ]
    facts = [sorted((p.split, p.label) for p in c.pictures) for c in (export.collection, back)]
    assert facts[0] == facts[1]


@pytest.mark.parametrize('task', ['boxes', 'instance'])
def test_an_imported_data_set_can_be_converted(tmp_path, task):
    data = samples.collection(tmp_path / 'in', boxes_only=task == 'boxes')
    WRITERS['coco'].write(data, tmp_path / 'coco', link)
    dataset = import_data([tmp_path / 'coco'], tmp_path / 'out')
    assert (dataset.task, dataset.format, dataset.classes) == (task, 'coco', tuple(CLASSES))
    assert {name: split.images for name, split in dataset.splits.items()} == {
        'train': 2,
        'val': 1,
        'test': 1,
    }
    assert contents(read(dataset.folder)) == contents(data)
    export_data([dataset.folder], 'cvat', tmp_path / 'cvat')
    assert contents(read(tmp_path / 'cvat')) == contents(data)
    line = refusal(import_data, [dataset.folder], tmp_path / 'coco/train/new')
    assert_says(line, 'inside the data')


@st.composite
def boxes(draw, width, height, digits):
    step = 10**digits
    x = draw(st.integers(0, (width - 1) * step))
    y = draw(st.integers(0, (height - 1) * step))
    w = draw(st.integers(1, width * step - x))
    h = draw(st.integers(1, height * step - y))
    return x / step, y / step, w / step, h / step


@pytest.mark.parametrize('format', OBJECT_FORMATS)
def test_every_digit_of_a_box_comes_back(tmp_path, format):
    path, number = samples.image(tmp_path / 'in/a.png', size=(641, 479)), iter(range(1000))

    @PROFILE
    @given(st.lists(st.integers(0, 6).flatmap(lambda d: boxes(641, 479, d)), min_size=1))
    def check(values):
        objects = [Annotation('pear', box) for box in values]
        data = Collection('coco', 'boxes', ['pear'], [Picture(path, 641, 479, 'train', objects)])
        back, _ = there_and_back(data, format, tmp_path / f'{next(number)}')
        assert [tuple(one.box) for one in back.pictures[0].objects] == values

    check()


@pytest.mark.parametrize('format', ['coco', 'labelme', 'cvat', 'yolo'])
def test_every_digit_of_a_polygon_comes_back(tmp_path, format):
    path, number = samples.image(tmp_path / 'in/a.png', size=(641, 479)), iter(range(1000))
    points = st.tuples(st.integers(0, 641_000_000), st.integers(0, 479_000_000))

    @PROFILE
    @given(st.lists(points, min_size=3, max_size=8, unique=True))
    def check(values):
        ring = [value / 10**6 for point in values for value in point]
        one = Annotation('pear', (0, 0, 1, 1), [ring])
        data = Collection('coco', 'instance', ['pear'], [Picture(path, 641, 479, 'train', [one])])
        back, _ = there_and_back(data, format, tmp_path / f'{next(number)}')
        assert back.pictures[0].objects[0].polygons == [ring]

    check()
