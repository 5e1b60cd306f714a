"""Odd content that is valid for a parser, but not for the data: it is refused, or kept as it is."""

import json
import os

import numpy as np
import pytest

from rapidnet_mm.data.importers.dataset import read_dataset
from rapidnet_mm.data.importers.run import import_data, load
from tests.data.importers import samples
from tests.data.importers.samples import fault, read, text
from tests.messages import assert_says, refusal

LINE = '0 0.5 0.5 0.1 0.1\n'
BOMB = 'a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\ntrain: train\n'


def yolo(root, line=LINE, yaml=None):
    samples.image(root / 'train/a.png')
    text(root / 'train/a.txt', line)
    if yaml:
        text(root / 'data.yaml', yaml)
    return root


def test_names_in_yaml_are_taken_as_they_are_written(tmp_path):
    yolo(tmp_path, yaml='train: train\nnames: [yes, null, 01, 1e3, 2025-02-03]\n')
    assert read(tmp_path).classes == ['yes', 'null', '01', '1e3', '2025-02-03']


@pytest.mark.parametrize(
    ('yaml', 'said'),
    [
        (BOMB, 'list of texts'),
        ('names: ' + '[' * 3000, 'nested'),
        ('names: [a]\ndate: 2025-02-31\n', 'day is out of range'),
        ('names: [a]\ntrain: [[train]]\n', 'train must name'),
        ('names: [a]\ntrain: "' + 'x/' * 3000 + '"\n', 'there is no'),
        ('names: ["a\\nb"]\n', 'line break'),
    ],
    ids=['bomb', 'deep', 'date', 'list', 'long', 'newline'],
)
def test_odd_yaml_is_refused_in_a_short_line(tmp_path, yaml, said):
    line = fault(yolo(tmp_path, yaml=yaml))
    assert_says(line, 'data.yaml', said)
    assert len(line) < 800


@pytest.mark.parametrize('path', ['"' + 'x' * 5000 + '"', '{a: 1}', '"a\\0b"'])
def test_an_odd_path_in_yaml_is_not_followed(tmp_path, path):
    yolo(tmp_path, yaml=f'path: {path}\ntrain: train\nnames: [a]\n')
    assert read(tmp_path).classes == ['a']


@pytest.mark.parametrize('number', ['nan', 'inf', '9' * 400, '9' * 5000])
def test_yolo_numbers_are_finite(tmp_path, number):
    assert_says(fault(yolo(tmp_path, f'0 {number} 0.5 0.1 0.1\n')), 'a.txt', 'not valid')


def test_a_class_without_name_has_a_usual_number(tmp_path):
    assert_says(fault(yolo(tmp_path, '99999999999 0.5 0.5 0.1 0.1\n')), 'a.txt line 1', 'data.yaml')


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda c: c['annotations'][0].update(image_id=[1]), 'no image'),
        (lambda c: c['annotations'][0].update(category_id={}), 'no class'),
        (lambda c: c['images'][0].update(id=[1]), 'id'),
        (lambda c: c['images'][0].update(file_name=['a']), 'file_name'),
        (lambda c: c['images'][0].update(width='40'), 'numbers'),
        (lambda c: c['categories'][0].update(name='a\ud800'), 'broken character'),
        (lambda c: c['categories'][0].update(id='1'), 'integer'),
    ],
)
def test_odd_values_in_coco_are_refused(tmp_path, change, said):
    path = samples.coco(tmp_path, [{}])
    content = json.loads(path.read_text())
    change(content)
    text(path, content)
    assert_says(fault(tmp_path), path.name, said)


def test_a_number_of_thousands_of_digits_is_refused(tmp_path):
    path = samples.coco(tmp_path, [{}])
    path.write_text(path.read_text().replace('"id": 1', '"id": ' + '9' * 5000))
    assert_says(fault(tmp_path), path.name, 'digits')


@pytest.mark.parametrize('encoding', ['nonsense', 'shift_jis'])
def test_an_encoding_that_xml_cannot_have_is_refused(tmp_path, encoding):
    samples.image(tmp_path / 'a.png')
    text(tmp_path / 'a.xml', f'<?xml version="1.0" encoding="{encoding}"?><annotation/>')
    assert_says(fault(tmp_path), 'a.xml', 'UTF-8')


def test_annotations_that_cannot_be_read_are_named(tmp_path):
    for name in ('cat/a.png', 'dog/b.png'):
        samples.image(tmp_path / name, len(name))
    text(tmp_path / 'labels.json', '{"images": [')
    assert_says(' '.join(read(tmp_path).notes), 'labels.json')
    (tmp_path / 'dog/b.png').unlink()
    assert_says(fault(tmp_path), 'labels.json', 'one class')


def test_pipes_and_links_in_many_circles_end(tmp_path):
    root = yolo(tmp_path / 'data')
    os.mkfifo(root / 'pipe.json')
    folders = [root / f'd{i}' for i in range(8)]
    for folder in folders:
        folder.mkdir()
        for other in folders:
            (folder / f'to_{other.name}').symlink_to(other)
    collection, source = load([root])
    assert [picture.path.name for picture in collection.pictures] == ['a.png']
    assert root / 'pipe.json' not in source.all_files


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('{"version": ' + '9' * 5000 + '}', 'not valid'),
        ('[' * 90000, 'not valid'),
        ('notes', 'notes must'),
        ('img_suffix', 'img_suffix must'),
    ],
    ids=['digits', 'deep', 'notes', 'suffix'],
)
def test_an_odd_dataset_json_is_refused(tmp_path, content, said):
    samples.coco(tmp_path / 'data', [{}])
    import_data([tmp_path / 'data'], tmp_path / 'out')
    path = tmp_path / 'out/dataset.json'
    if said.startswith(content):
        content = json.dumps({**json.loads(path.read_text()), content: 5})
    path.write_text(content)
    assert_says(refusal(read_dataset, path), 'dataset.json', said)


def test_a_label_map_of_one_pixel_is_refused(tmp_path):
    root = tmp_path / 'data'
    for i, size in enumerate([(8, 6), (1, 6)]):
        samples.image(root / f'images/{i}.png', i, size)
        samples.label_map(root / f'labels/{i}.png', np.arange(size[0] * 6).reshape(6, -1) % 2)
    assert_says(refusal(import_data, [root], tmp_path / 'out'), '1.png', 'one pixel')
    assert not (tmp_path / 'out').exists()
