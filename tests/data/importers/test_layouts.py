"""Data sets as tools write them: where things are, and what numbers mean."""

import base64

import cv2
import numpy as np
import pytest

from rapidnet_mm.data.importers.detect import detect
from rapidnet_mm.data.importers.folders import split_of
from rapidnet_mm.data.importers.pixels import voc_palette
from rapidnet_mm.data.importers.run import import_data
from tests.data.importers import samples
from tests.data.importers.samples import HOLE, RING, H, W, image, read, shape, stripes, text

BOX = '0 0.5 0.5 0.5 0.5\n'


def splits(data):
    return {picture.path.name: picture.split for picture in data.pictures}


def objects(data):
    return [one for picture in data.pictures for one in picture.objects]


def boxes(data):
    return [one.box for one in objects(data)]


@pytest.mark.parametrize(
    ('name', 'split'),
    [
        ('instances_train2017', 'train'),
        ('valid', 'val'),
        ('validation', 'val'),
        ('valannot', 'val'),
        ('testing', 'test'),
        ('trainval', None),
        ('constraint', None),
        ('interval', None),
        ('train_and_val', None),
        ('Train-set', 'train'),
    ],
)
def test_the_split_is_in_a_name(name, split):
    assert split_of(name) == split


def test_coco_files_name_their_splits(tmp_path):
    samples.coco(tmp_path, [{}], split='train')
    samples.coco(tmp_path, [{}, {}], split='val', seed=7)
    text(tmp_path / 'annotations/captions_train2017.json', {'images': [], 'annotations': []})
    data = read(tmp_path)
    assert splits(data) == {
        'train0.png': 'train',
        'train1.png': 'train',
        'val0.png': 'val',
        'val1.png': 'val',
    }
    assert (data.format, data.task, data.classes, len(objects(data))) == (
        'coco',
        'boxes',
        ['a', 'b'],
        3,
    )


def test_a_single_coco_file_can_be_given(tmp_path):
    path = samples.coco(tmp_path, [{}])
    samples.coco(tmp_path, [{}], split='val', seed=7)
    assert splits(read(path)) == {'train0.png': 'train', 'train1.png': 'train'}


def test_coco_of_roboflow(tmp_path):
    for split, seed in (('train', 0), ('valid', 1), ('test', 2)):
        image(tmp_path / split / 'same.png', seed)
        content = {
            'images': [{'id': 0, 'file_name': 'same.png', 'width': W, 'height': H}],
            'annotations': [{'id': 0, 'image_id': 0, 'category_id': 1, 'bbox': [1, 2, 3, 4]}],
            'categories': [
                {'id': 0, 'name': 'fruit', 'supercategory': 'none'},
                {'id': 1, 'name': 'fig', 'supercategory': 'fruit'},
            ],
        }
        text(tmp_path / split / '_annotations.coco.json', content)
    data = read(tmp_path)
    assert [p.split for p in data.pictures] == ['test', 'train', 'val']
    assert [p.path.parent.name for p in data.pictures] == ['test', 'train', 'valid']
    assert data.classes == ['fig']


def test_keypoint_files_beside_instances_are_left_out(tmp_path):
    samples.coco(tmp_path, [{}])
    other = samples.coco(tmp_path, [{'num_keypoints': 3, 'keypoints': []}])
    other.rename(other.with_name('person_keypoints_train2017.json'))
    samples.coco(tmp_path, [{}])
    assert [path.name for path in detect([tmp_path]).files] == ['instances_train2017.json']


@pytest.mark.parametrize('names', [['a', 'b'], {'1': 'b', '0': 'a'}])
def test_yolo_with_data_yaml(tmp_path, names):
    samples.yolo(tmp_path, [BOX, '1 0.1 0.1 0.4 0.1 0.4 0.5\n'], ())
    text(tmp_path / 'data.yaml', {'train': 'images/train', 'val': 'images/val', 'names': names})
    data = read(tmp_path)
    assert data.classes == ['a', 'b']
    assert splits(data) == {'t0.png': 'train', 't1.png': 'train', 'v.png': 'val'}
    assert boxes(data)[:2] == [(10, 7.5, 20, 15), (4, 3, 12, 12)]
    assert objects(data)[1].polygons == [[4, 3, 16, 3, 16, 15]]
    assert data.task == 'boxes'


@pytest.mark.parametrize('train', ['../train/images', ['train/images'], 'train.txt'])
def test_yolo_names_images_in_many_ways(tmp_path, train):
    image(tmp_path / 'train/images/t.png', 1)
    text(tmp_path / 'train/labels/t.txt', BOX)
    image(tmp_path / 'valid/images/v.png', 2)
    text(tmp_path / 'valid/labels/v.txt', BOX)
    text(tmp_path / 'train.txt', './train/images/t.png\n')
    settings = {'train': train, 'val': 'valid/images', 'names': ['a'], 'nc': 1}
    path = text(tmp_path / 'data.yaml', settings)
    for given in (tmp_path, path):
        data = read(given)
        assert splits(data) == {'t.png': 'train', 'v.png': 'val'}
        assert len(objects(data)) == 2


def test_data_yaml_may_be_elsewhere_and_need_not_name_all_images(tmp_path):
    samples.yolo(tmp_path / 'in', [BOX])
    image(tmp_path / 'in/images/more/m.png', 5)
    text(tmp_path / 'in/labels/more/m.txt', BOX)
    settings = {'path': '../in', 'train': 'images/train', 'val': 'images/val', 'names': ['b']}
    path = text(tmp_path / 'config/fruit.yaml', settings)
    data = read(path)
    assert (data.classes, splits(data)) == (['b'], {'t0.png': 'train', 'v.png': 'val'})
    assert len(objects(data)) == 2


def test_yolo_without_data_yaml_beside_the_images(tmp_path):
    image(tmp_path / 'a.png', 1)
    image(tmp_path / 'b.png', 2)
    text(tmp_path / 'a.txt', BOX)
    data = read(tmp_path)
    assert (data.format, data.classes) == ('yolo', ['class_0'])
    text(tmp_path / 'classes.txt', 'fig\npear\n')
    data = read(tmp_path)
    assert data.classes == ['fig', 'pear']
    assert splits(data) == {'a.png': None, 'b.png': None}


def test_voc_counts_pixels_from_one(tmp_path):
    samples.voc(tmp_path, (1, 1, W, H), extra='<difficult>1</difficult>')
    data = read(tmp_path)
    assert boxes(data) == [(0, 0, W, H)]
    assert objects(data)[0].extra == {'difficult': True}
    samples.voc(tmp_path, (0, 3, 5.5, 6), stem='b')
    assert boxes(read(tmp_path)) == [(1, 1, W - 1, H - 1), (0, 3, 5.5, 3)]


def test_voc_has_lists_of_its_splits_and_parts_are_no_objects(tmp_path):
    part = '<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>'
    for stem in 'abc':
        samples.voc(tmp_path, (2, 3, 9, 9), stem, extra=part if stem == 'c' else '')
    text(tmp_path / 'ImageSets/Main/train.txt', 'a\n')
    text(tmp_path / 'ImageSets/Main/val.txt', 'c\n')
    text(tmp_path / 'ImageSets/Main/dog_train.txt', 'b 1\n')
    data = read(tmp_path)
    assert splits(data) == {'a.png': 'train', 'c.png': 'val'}
    assert boxes(data) == [(1, 2, 8, 7)] * 2


def pairs(ring):
    return [ring[i : i + 2] for i in range(0, len(ring), 2)]


def test_labelme_joins_a_group_and_takes_inner_rings_as_holes(tmp_path):
    island = [30.0, 20.0, 36.0, 20.0, 36.0, 26.0]
    group = [shape('fig', pairs(ring), group_id=3) for ring in (RING, HOLE, island)]
    samples.labelme(tmp_path, [*group, shape('pear', [[5, 6], [8, 6]], 'circle', group_id=3)])
    data = read(tmp_path)
    fig, pear = objects(data)
    assert (fig.name, fig.polygons, fig.holes) == ('fig', [RING, island], [HOLE])
    assert fig.box == (4.25, 3.5, 31.75, 22.5)
    np.testing.assert_allclose(pear.box, (2, 3, 6, 6), atol=0.02)
    assert data.task == 'instance'


def test_labelme_rectangles_are_boxes_and_lines_are_left_out(tmp_path):
    shapes = [
        shape('a', [[9.5, 8], [2, 3.25]], 'rectangle', flags={'occluded': True}),
        shape('a', [[1, 2], [3, 4]], 'line'),
    ]
    samples.labelme(tmp_path, shapes)
    data = read(tmp_path)
    assert (data.task, boxes(data)) == ('boxes', [(2, 3.25, 7.5, 4.75)])
    assert objects(data)[0].extra == {'occluded': True}
    assert any('line' in note for note in data.notes)


def test_labelme_masks_are_pictures(tmp_path):
    mask = np.zeros((4, 3), np.uint8)
    mask[1:, 1] = 255
    coded = base64.b64encode(cv2.imencode('.png', mask)[1]).decode()
    samples.labelme(tmp_path, [shape('a', [[5, 6], [7, 9]], 'mask', mask=coded)])
    assert boxes(read(tmp_path)) == [(6, 7, 1, 3)]


def test_cvat_has_boxes_masks_groups_and_an_order(tmp_path):
    ring = ';'.join(f'{x},{y}' for x, y in pairs(RING))
    hole = ';'.join(f'{x},{y}' for x, y in pairs(HOLE))
    samples.cvat(
        tmp_path,
        '<box label="b" xtl="1.5" ytl="2" xbr="4" ybr="5" z_order="2" occluded="1">'
        '<attribute name="kind">old</attribute></box>\n'
        f'<polygon label="a" points="{ring}" group_id="1"/>'
        f'<polygon label="a" points="{hole}" group_id="1"/>'
        '<mask label="c" rle="1, 2, 1, 2" left="5" top="6" width="3" height="2" z_order="1"/>'
        '<points label="c" points="1,2"/>',
    )
    data = read(tmp_path)
    assert [one.name for one in objects(data)] == ['a', 'c', 'b']
    a, c, b = objects(data)
    assert (a.polygons, a.holes) == ([RING], [HOLE])
    assert c.box == (6, 6, 2, 2)
    assert b.box == (1.5, 2, 2.5, 3)
    assert b.extra == {'occluded': True, 'z_order': 2, 'kind': 'old'}
    assert any('points' in note for note in data.notes)


def label_data(
    root, label, images='images/{split}', labels='labels/{split}', ending='.png', **more
):
    for i, split in enumerate(('train', 'val')):
        image(root / images.format(split=split) / f'{split}.png', i)
        folder = root / labels.format(split=split)
        samples.label_map(folder / f'{split}{ending}', label, **more)


def decoded(data):
    return {index for p in data.pictures for index in np.unique(data.decode(p.label_map)).tolist()}


@pytest.mark.parametrize(
    ('images', 'labels', 'ending'),
    [
        ('images/{split}', 'annotations/{split}', '.png'),
        ('{split}', '{split}annot', '.png'),
        ('images/{split}', 'masks/{split}', '_mask.png'),
        ('{split}', '{split}_labels', '_L.png'),
        ('{split}', '{split}', '_mask.png'),
        ('data/{split}', 'other/{split}', '.png'),
    ],
)
def test_label_maps_are_found_in_many_layouts(tmp_path, images, labels, ending):
    label_data(tmp_path, stripes(0, 1), images, labels, ending)
    text(tmp_path / 'classes.txt', '0\troad\n1\tsky\n255\tvoid (ignore)\n')
    data = read(tmp_path)
    assert (data.format, data.classes) == ('labels', ['road', 'sky'])
    assert splits(data) == {'train.png': 'train', 'val.png': 'val'}
    assert decoded(data) == {0, 1}


@pytest.mark.parametrize(
    ('name', 'content', 'values', 'classes', 'indexes'),
    [
        ('classes.txt', 'road\nsky\n', (0, 1, 255), ['road', 'sky'], {0, 1, 255}),
        ('classes.txt', 'road\nsky\n', (0, 1, 2), ['road', 'sky'], {0, 1, 255}),
        ('classes.txt', '0 unlabeled\n3 sky\n7 road\n', (0, 3, 7), ['sky', 'road'], {0, 1, 255}),
        ('objectInfo150.txt', 'Idx\tVal\tName\n1\t9\twall\n2\t8\tsky, air\n', (0, 1, 2),
         ['wall', 'sky, air'], {0, 1, 255}),
        ('_classes.csv', 'Pixel Value, Class\n0, background\n1, fig\n', (0, 1),
         ['background', 'fig'], {0, 1}),
        ('SOURCES.md', '', (1, 2), ['class_1', 'class_2'], {0, 1}),
    ],
)  # fmt: skip
def test_lists_say_what_numbers_mean(tmp_path, name, content, values, classes, indexes):
    label_data(tmp_path, stripes(*values))
    text(tmp_path / name, content)
    data = read(tmp_path)
    assert (data.classes, decoded(data)) == (classes, indexes)


@pytest.mark.parametrize(
    ('name', 'content', 'classes'),
    [
        ('labelmap.txt', '# label:color_rgb:parts:actions\nroad:128,64,128::\nsky:1,2,3::\n',
         ['road', 'sky']),
        ('label_colors.txt', '128 64 128\t\tRoad\n1 2 3\tVoid\n', ['Road']),
        ('class_dict.csv', 'name,r,g,b\nsky,1,2,3\nroad,128,64,128\n', ['sky', 'road']),
        ('README.md', '', ['colour_010203', 'colour_804080']),
    ],
)  # fmt: skip
def test_lists_say_what_colours_mean(tmp_path, name, content, classes):
    colours = np.array([(128, 64, 128), (1, 2, 3)], np.uint8)[stripes(0, 1)]
    label_data(tmp_path, colours)
    text(tmp_path / name, content)
    data = read(tmp_path)
    assert data.classes == classes
    labels = data.decode(data.pictures[0].label_map)
    names = [classes[v] if v < 255 else None for v in (labels[0, 0], labels[0, 1])]
    assert [str(n).lower() for n in names] in (
        [['road', 'sky'], ['road', 'none'], ['colour_804080', 'colour_010203']]
    )
    assert data.palette[classes.index(names[0])] == (128, 64, 128)


@pytest.mark.parametrize('listed', [False, True])
def test_voc_segmentation_has_a_palette(tmp_path, listed):
    palette = voc_palette(256)
    for stem, values in (('a', (0, 15, 255)), ('b', (0, 7))):
        image(tmp_path / f'JPEGImages/{stem}.jpg', ord(stem))
        samples.label_map(tmp_path / f'SegmentationClass/{stem}.png', stripes(*values), palette)
    text(tmp_path / 'ImageSets/Segmentation/train.txt', 'a\n')
    text(tmp_path / 'ImageSets/Segmentation/val.txt', 'b\n')
    if listed:
        lines = ('person:192,128,128::', 'background:0,0,0::', 'car:128,128,128::')
        text(tmp_path / 'labelmap.txt', '\n'.join([*lines, 'ignore:224,224,192::']))
    data = read(tmp_path)
    names = {data.classes[index] for index in decoded(data) - {255}}
    assert names == {'background', 'person', 'car'}
    assert len(data.classes) == (3 if listed else 21)
    assert splits(data) == {'a.jpg': 'train', 'b.jpg': 'val'}


def test_imported_label_maps_have_plain_indexes(tmp_path):
    label_data(tmp_path / 'in', stripes(0, 1, 2))
    text(tmp_path / 'in/classes.txt', 'road\nsky\n')
    dataset = import_data([tmp_path / 'in'], tmp_path / 'out')
    assert (dataset.task, dataset.img_suffix, dataset.seg_map_suffix) == (
        'semantic',
        '.png',
        '.png',
    )
    name = dataset.splits['train'].annotations.read_text().strip()
    assert (dataset.images / f'{name}.png').is_file()
    label = cv2.imread(str(dataset.labels / f'{name}.png'), cv2.IMREAD_COLOR)
    assert len(np.unique(label.reshape(-1, 3), axis=0)) == 3
    again = read(dataset.folder)
    assert (again.classes, decoded(again)) == (['road', 'sky'], {0, 1, 255})


def test_images_of_several_kinds_keep_their_endings(tmp_path):
    for i, name in enumerate(('a.png', 'b.jpg')):
        image(tmp_path / 'in/images' / name, i)
        samples.label_map(tmp_path / f'in/labels/{name[0]}.png', stripes(0, 1))
    dataset = import_data([tmp_path / 'in'], tmp_path / 'out')
    assert dataset.img_suffix == ''
    assert {p.name for p in dataset.labels.rglob('*.png')} == {'a.png.png', 'b.jpg.png'}
    assert len(read(dataset.folder).pictures) == 2


@pytest.mark.parametrize('divided', [True, False])
def test_class_folders_become_lists(tmp_path, divided):
    for i in range(8):
        folder = f'{("train", "val")[i % 2]}/' if divided else ''
        image(tmp_path / f'in/{folder}{"cat" if i < 4 else "red fox"}/{i}.png', i)
    dataset = import_data([tmp_path / 'in'], tmp_path / 'out', val=0.5)
    assert (dataset.task, dataset.classes) == ('classes', ('cat', 'red fox'))
    for split in dataset.splits.values():
        lines = split.annotations.read_text().splitlines()
        assert len(lines) == split.images == 4
        for line in lines:
            name, index = line.rsplit(' ', 1)
            assert (dataset.images / name).parent.name == dataset.classes[int(index)]


def test_a_class_called_mask_is_no_label_map(tmp_path):
    for i, name in enumerate(('mask', 'no_mask')):
        image(tmp_path / f'{name}/1.png', i, size=(96, 96))
    assert read(tmp_path).classes == ['mask', 'no_mask']


def test_linked_folders_are_followed_and_circles_are_not(tmp_path):
    samples.coco(tmp_path / 'there', [{}])
    (tmp_path / 'in').mkdir()
    for name in ('train', 'annotations'):
        (tmp_path / 'in' / name).symlink_to(tmp_path / 'there' / name)
    (tmp_path / 'in/train/back').symlink_to(tmp_path / 'there')
    assert len(read(tmp_path / 'in').pictures) == 2


def test_images_and_annotations_may_be_in_folders_given_one_by_one(tmp_path):
    samples.coco(tmp_path / 'a', [{}])
    (tmp_path / 'a/train').rename(tmp_path / 'photos')
    assert len(read(tmp_path / 'photos', tmp_path / 'a/annotations').pictures) == 2
    label_data(tmp_path / 'b', stripes(0, 1), 'pictures', 'masks')
    label_data(tmp_path / 'b', stripes(1), 'pictures', 'old_masks')
    text(tmp_path / 'b/classes.txt', 'road\nsky\n')
    data = read(tmp_path / 'b/pictures', tmp_path / 'b/masks', tmp_path / 'b/classes.txt')
    assert {p.label_map.parent.name for p in data.pictures} == {'masks'}
    assert data.classes == ['road', 'sky']


def test_a_class_may_be_called_train(tmp_path):
    for i, name in enumerate(('car', 'train')):
        image(tmp_path / f'{name}/1.png', i)
    assert read(tmp_path).classes == ['car', 'train']
