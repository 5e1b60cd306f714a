"""Each fault of the data is one line that names the place and the way out."""

import pytest

from rapidnet_mm.data.importers.run import export_data, import_data
from tests.data.importers import samples
from tests.data.importers.samples import H, W, fault, image, label_map, shape, stripes, text
from tests.messages import assert_says, refusal

LAUGHS = (
    '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]>\n'
    '<annotation><object>&c;</object></annotation>'
)
NO_BOX = '<annotation>\n<object><name>x</name></object></annotation>'
OBJECT = {'id': 1, 'image_id': 0, 'category_id': 1}


def coco_with(**change):
    def write(root):
        import json

        path = samples.coco(root, [{}])
        content = json.loads(path.read_text())
        text(path, {**content, **change})

    return write


def two_coco_files(root):
    samples.coco(root, [{}], ('a', 'b'))
    samples.coco(root, [{}], ('a', 'c'), split='val', seed=9)


def repeated_names(root):
    path = samples.coco(root / 'x', [{}])
    path.rename(root / 'all.json')
    image(root / 'y/train0.png', 5)


def labels(root, values=(0, 1), names='road\nsky\n', size=(W, H)):
    image(root / 'images/a.png', 1, size)
    label_map(root / 'labels/a.png', stripes(*values))
    text(root / 'classes.txt', names)


def lone_label(root):
    labels(root)
    image(root / 'images/b.png', 2)
    label_map(root / 'labels/c.png', stripes(0))
    image(root / 'other/labels/c.png', 2)


def image_of_another_split(root):
    path = samples.coco(root, [{}])
    path.write_text(path.read_text().replace('train0.png', 'val/train0.png'))


def mixed(root):
    samples.coco(root, [{}])
    for i in range(2):
        text(root / f'train/train{i}.txt', '0 0.5 0.5 0.1 0.1\n')


def classes(*names):
    def write(root):
        for i, name in enumerate(names):
            image(root / name, i)

    return write


def results(root):
    image(root / 'a.png')
    text(root / 'results.json', [{'image_id': 1, 'category_id': 1, 'bbox': [], 'score': 0.5}])


def zipped(root):
    text(root / 'photos.zip', 'PK')


def video(root):
    image(root / 'a.png')
    text(root / 'a.xml', '<annotations><track id="0" label="a"/></annotations>')


def yolo(*lines, **settings):
    return lambda root: samples.yolo(root, lines, **settings)


def unused_labels(root):
    samples.yolo(root, ['0 0.5 0.5 0.1 0.1\n'])
    text(root / 'labels/train/gone.txt', '0 0.5 0.5 0.1 0.1\n')


def voc(*corners, **more):
    return lambda root: samples.voc(root, corners, **more)


def without_image(write, name):
    def change(root):
        write(root)
        (root / name).unlink()
        image(root / 'other.png', 77)

    return change


def labelme(*shapes):
    return lambda root: samples.labelme(root, shapes)


def cvat(content):
    return lambda root: samples.cvat(root, content)


def broken(name, content):
    def write(root):
        samples.labelme(root, [shape('a', [[1, 2], [3, 4]], 'rectangle')], 'good')
        image(root / 'b.png', 3)
        text(root / name, content)

    return write


def other_size(root):
    samples.labelme(root, [shape('a', [[1, 2], [3, 4]], 'rectangle')])
    image(root / 'a.png', size=(50, 20))


FAULTS = {
    'an empty folder': (lambda _: None, ('empty folder', 'images and annotations')),
    'an archive': (zipped, ('photos.zip', 'unpack')),
    'text only': (lambda root: text(root / 'notes.md', 'x'), ('no images', 'notes.md')),
    'results': (results, ('results.json', 'results', 'not annotations')),
    'several formats': (
        mixed,
        ('1 COCO json file', '2 YOLO text files', '--format coco', '--format yolo'),
    ),
    'photos alone': (classes('a.png', 'b.png'), ('2 images', 'no class folder')),
    'splits without classes': (
        classes('train/a.png', 'val/b.png'),
        ('2 images', 'no class folder'),
    ),
    'one class': (classes('cat/a.png', 'cat/b.png'), ('one class', 'cat')),
    'a class only in val': (
        classes('train/a/1.png', 'train/b/1.png', 'val/c/1.png'),
        ('val has c', 'train'),
    ),
    'no boxes': (coco_with(annotations=[]), ('not one box', '2 images')),
    'no categories': (coco_with(categories='all'), ('instances_train2017.json', 'categories')),
    'an object of no image': (
        coco_with(annotations=[{'id': 1, 'image_id': 9, 'category_id': 1, 'bbox': [1, 2, 3, 4]}]),
        ('annotations[0]', 'image_id'),
    ),
    'an object of no class': (
        coco_with(annotations=[{'id': 1, 'image_id': 0, 'category_id': 7, 'bbox': [1, 2, 3, 4]}]),
        ('annotations[0]', 'category_id'),
    ),
    'a box of three numbers': (
        coco_with(annotations=[{'id': 1, 'image_id': 0, 'category_id': 1, 'bbox': [1, 2, 3]}]),
        ('annotations[0]', '[1, 2, 3]'),
    ),
    'a polygon of two points': (
        coco_with(
            annotations=[{'id': 1, 'image_id': 0, 'category_id': 1, 'segmentation': [[1, 2, 3, 4]]}]
        ),
        ('annotations[0]', 'polygon'),
    ),
    'run lengths of another size': (
        coco_with(annotations=[{**OBJECT, 'segmentation': {'size': [3, 4], 'counts': [2, 10]}}]),
        ('train0.png', '[3, 4]', '[30, 40]'),
    ),
    'run lengths that are cut': (
        coco_with(annotations=[{**OBJECT, 'segmentation': {'size': [30, 40], 'counts': [2, 10]}}]),
        ('train0.png', 'sum up to 12'),
    ),
    'an image without a name': (coco_with(images=[{'id': 1}]), ('images[0]', 'file_name')),
    'a missing image': (
        coco_with(images=[{'id': 0, 'file_name': 'train0.png'}, {'id': 1, 'file_name': 'no.png'}]),
        ('1 of 2', 'no.png'),
    ),
    'an image of another split': (image_of_another_split, ('1 of 2', 'val/train0.png')),
    'another size': (
        coco_with(images=[{'id': 0, 'file_name': 'train0.png', 'width': 9, 'height': 8}]),
        ('train0.png is 40x30, not 9x8',),
    ),
    'an image twice': (
        coco_with(images=[{'id': i, 'file_name': 'train0.png'} for i in (0, 1)]),
        ('images[1]', 'twice'),
    ),
    'categories of one name': (
        coco_with(categories=[{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'a'}]),
        ('more than once',),
    ),
    'classes that differ': (two_coco_files, ('val2017.json has c', 'train2017.json lacks')),
    'images of equal name': (repeated_names, ('images[0]', '2 images of equal name')),
    'broken json': (
        broken('b.json', '{"shapes": [],\n"imagePath": ,}'),
        ('b.json line 2', 'broken'),
    ),
    'json with NaN': (broken('b.json', '{"shapes": [NaN], "imagePath": 1}'), ('b.json', 'NaN')),
    'json that is no text': (
        lambda root: (
            image(root / 'b.png'),
            (root / 'b.json').write_bytes(b'{"shapes" "imagePath" \xff'),
        ),
        ('b.json', 'UTF-8', 'byte 22'),
    ),
    'a YOLO class beyond the names': (
        yolo('\n0 .5 .5 .1 .1\n2 .5 .5 .1 .1'),
        ('t0.txt line 3', 'class 2', '0 to 1'),
    ),
    'YOLO in pixels': (yolo('0 20 10 4 5'), ('t0.txt line 1', '0..1', 'pixels')),
    'YOLO with a word': (yolo('0 .5 .5 .1 .1\ndog 1 2 3 4'), ('t0.txt line 2', 'dog')),
    'YOLO with scores': (yolo('0 .5 .5 .1 .1 .9'), ('t0.txt line 1', 'score')),
    'half a corner': (yolo('0 .5 .5 .1 .1 .9 .9 .9'), ('t0.txt line 1', 'one number is left')),
    'YOLO folders that are missing': (
        yolo('0 .5 .5 .1 .1', train='no/such'),
        ('data.yaml', 'no/such'),
    ),
    'a wrong number of classes': (yolo('0 .5 .5 .1 .1', nc=3), ('nc is 3', 'names has 2')),
    'an image on both sides': (
        yolo('0 .5 .5 .1 .1', val='images/train'),
        ('train', 'val', 't0.png'),
    ),
    'broken yaml': (
        lambda root: (
            samples.yolo(root, ['0 .5 .5 .1 .1']),
            text(root / 'data.yaml', 'names: [a\nb: c'),
        ),
        ('data.yaml line', 'broken yaml'),
    ),
    'labels for no image': (unused_labels, ('1 label files have no image', 'gone.txt')),
    'broken xml': (
        lambda root: (
            image(root / 'a.png'),
            text(root / 'a.xml', '<annotation>\n<object></annotation>'),
        ),
        ('a.xml line 2', 'broken xml'),
    ),
    'xml that grows': (
        lambda root: (image(root / 'a.png'), text(root / 'a.xml', LAUGHS)),
        ('a.xml line 1', 'DOCTYPE'),
    ),
    'VOC without a box': (
        lambda root: (image(root / 'a.png'), text(root / 'a.xml', NO_BOX)),
        ('a.xml line 2', 'bndbox'),
    ),
    'VOC with a word': (voc('a', 2, 3, 4), ('a.xml line', "xmin is 'a'")),
    'VOC corners swapped': (voc(9, 2, 3, 4), ('a.xml line', 'swap')),
    'VOC without its image': (
        without_image(voc(1, 2, 3, 4), 'JPEGImages/a.png'),
        ('1 of 1', 'a.png'),
    ),
    'labelme with a strange shape': (
        labelme(shape('a', [[1, 2]], 'cuboid')),
        ('a.json', 'shapes[0]', 'cuboid'),
    ),
    'labelme with two corners': (
        labelme(shape('a', [[1, 2], [3, 4]])),
        ('shapes[0]', 'at least 3'),
    ),
    'labelme with a word': (
        labelme(shape('a', [[1, 2], [3, 4], ['x', 1]])),
        ('shapes[0]', 'numbers'),
    ),
    'labelme without a label': (labelme({'points': []}), ('shapes[0]', 'label')),
    'labelme with a bad mask': (
        labelme(shape('a', [[1, 2], [3, 4]], 'mask', mask='??')),
        ('shapes[0]', 'base64'),
    ),
    'labelme of another image': (other_size, ('a.png is 50x20, not 40x30',)),
    'CVAT for video': (video, ('a.xml', 'CVAT for images')),
    'CVAT with a short mask': (
        cvat('<mask label="a" rle="1, 2" left="1" top="1" width="5" height="5"/>'),
        ('annotations.xml line 3', '5 x 5'),
    ),
    'CVAT without a corner': (cvat('<box label="a" xtl="1"/>'), ('annotations.xml line 3', 'ytl')),
    'CVAT with two points': (cvat('<polygon label="a" points="1,2;3,4"/>'), ('line 3', 'polygon')),
    'a label map of another size': (lambda root: labels(root, size=(50, 20)), ('40x30', '50x20')),
    'a value of no class': (
        lambda root: labels(root, (0, 5)),
        ('labels/a.png', 'value 5', 'classes.txt'),
    ),
    'label maps without labels': (lambda root: labels(root, (255,)), ('all are 255',)),
    'a list that is none': (
        lambda root: labels(root, names='road\n\na\tb\n'),
        ('classes.txt line 3',),
    ),
    'names that come twice': (lambda root: labels(root, names='road\nroad\n'), ('more than once',)),
}


@pytest.mark.parametrize('name', FAULTS)
def test_a_fault_is_named(tmp_path, name):
    write, facts = FAULTS[name]
    (tmp_path / 'data').mkdir()
    write(tmp_path / 'data')
    line = fault(tmp_path / 'data')
    assert_says(line, *facts)
    assert len(line) < 400 + 4 * len(str(tmp_path))


def test_what_does_not_fit_is_refused(tmp_path):
    root = tmp_path / 'data'
    samples.coco(root, [{}])
    assert_says(fault(root, task='instance'), '1 of 1 objects have no mask')
    assert_says(fault(root, task='semantic'), 'boxes, not semantic')
    assert_says(fault(root, task='photos'), 'photos', 'semantic')
    assert_says(fault(root, format='voc'), 'no VOC', '1 COCO json file')
    assert_says(fault(root, format='doc'), 'doc', 'voc')
    assert_says(fault(tmp_path / 'no'), 'no', 'does not exist')
    assert_says(fault(text(tmp_path / 'a.zip', 'x')), 'unpack')
    assert_says(refusal(export_data, [root], 'labels', tmp_path / 'x'), 'boxes', 'coco')
    assert_says(refusal(export_data, [root], 'tiff', tmp_path / 'x'), 'tiff', 'coco')
    assert not (tmp_path / 'x').exists()


def test_nothing_is_written_over_or_into_what_a_person_has(tmp_path):
    root = tmp_path / 'data'
    samples.coco(root, [{}])
    before = sorted(root.rglob('*'))
    text(tmp_path / 'mine/notes.txt', 'mine')
    assert_says(refusal(import_data, [root], tmp_path / 'mine'), 'mine', 'new folder')
    for inside in (root, root / 'train', root / 'new'):
        assert_says(refusal(import_data, [root], inside), 'inside the data')
    assert_says(refusal(import_data, [root], tmp_path / 'mine/notes.txt/x'), 'cannot be written')
    assert sorted(root.rglob('*')) == before
    assert [path.name for path in (tmp_path / 'mine').rglob('*')] == ['notes.txt']
    (tmp_path / 'empty').mkdir()
    assert import_data([root], tmp_path / 'empty').splits['train'].images == 1


def test_a_fault_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    samples.coco(tmp_path / 'data', [{}])

    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('pathlib.Path.write_text', full)
    assert_says(refusal(import_data, [tmp_path / 'data'], tmp_path / 'out'), 'No space left')
    assert {path.name for path in tmp_path.iterdir()} - {'cache'} == {'data'}


def test_one_image_cannot_be_divided(tmp_path):
    samples.coco(tmp_path / 'data', [{}], images=1)
    assert_says(refusal(import_data, [tmp_path / 'data'], tmp_path / 'out'), '1 image', 'one more')


@pytest.mark.parametrize('val', [0, 1, -0.5, 20])
def test_a_share_is_between_0_and_1(tmp_path, val):
    samples.coco(tmp_path / 'data', [{}])
    line = refusal(lambda: import_data([tmp_path / 'data'], tmp_path / 'out', val=val))
    assert_says(line, '--val', '0.2')


def test_results_that_are_named_are_refused_beside_annotations(tmp_path):
    samples.coco(tmp_path / 'data', [{}])
    results(tmp_path / 'data')
    import_data([tmp_path / 'data'], tmp_path / 'out')  # beside annotations they say nothing
    line = refusal(import_data, [tmp_path / 'data/results.json'], tmp_path / 'other')
    assert_says(line, 'results.json', 'not annotations')
