import json

import pytest

from rapidnet_mm.data.importers.dataset import Dataset, Split, read_dataset, write_dataset
from tests.messages import assert_says, refusal


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / 'out'
    for name in ('annotations/train.txt', 'annotations/val.txt', 'labels/a.png'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('a\n')
    (tmp_path / 'photos').mkdir()
    splits = {name: Split(folder / f'annotations/{name}.txt', 1) for name in ('train', 'val')}
    return Dataset(
        folder,
        'semantic',
        'labels',
        ('road', 'Bäume'),
        ((1, 2, 3), (4, 5, 6)),
        tmp_path / 'photos',
        splits,
        ('a note',),
        folder / 'labels',
        '.jpg',
        '.png',
    )


def change(dataset, **values):
    path = write_dataset(dataset)
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return path


@pytest.mark.parametrize('name', ['', 'dataset.json'])
def test_what_was_written_is_read_again(dataset, name):
    write_dataset(dataset)
    assert read_dataset(dataset.folder / name) == dataset


def test_paths_inside_the_folder_are_stored_relative(dataset):
    content = json.loads(write_dataset(dataset).read_text())
    assert content['splits']['train']['annotations'] == 'annotations/train.txt'
    assert content['labels'] == 'labels'
    assert content['images'] == str(dataset.images)


@pytest.mark.parametrize(
    ('values', 'facts'),
    [
        ({'task': 'boxs'}, ('boxs', 'instance')),
        ({'version': 2}, ('version 2', 'import the data again')),
        ({'classes': []}, ('classes',)),
        ({'classes': ['a', 'a']}, ('different',)),
        ({'palette': [[1, 2, 3]]}, ('palette', '2 classes')),
        ({'splits': {'train': {'annotations': 'a.json', 'images': 1}}}, ('val',)),
        ({'splits': {'train': {}, 'val': {}}}, ('splits.train',)),
        ({'images': 'nowhere'}, ('nowhere', 'moved')),
        ({'labels': None}, ('labels',)),
        ({'labels': 'gone'}, ('gone',)),
        ({'generator': 'x'}, ('built-in',)),
    ],
)
def test_a_bad_value_is_refused(dataset, values, facts):
    path = change(dataset, **values)
    assert_says(refusal(read_dataset, path), path, *facts)


def test_broken_json_is_refused_with_its_line(dataset):
    path = write_dataset(dataset)
    path.write_text('{\n "task": }')
    assert_says(refusal(read_dataset, path), path, 'line 2')
    path.unlink()
    assert_says(refusal(read_dataset, path), path, 'does not exist')
    path.write_text('[]')
    assert_says(refusal(read_dataset, path), path, 'dict')


def test_a_file_of_the_user_is_not_replaced(dataset):
    (dataset.folder / 'dataset.json').write_text('{"mine": 1}')
    assert_says(refusal(write_dataset, dataset), 'dataset.json', 'is there already')
