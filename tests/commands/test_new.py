"""``rapidnet new``: from a folder of annotated images to a config that trains."""

import json
import shutil
import zipfile

import cv2
import numpy as np
import pytest

from rapidnet_mm.commands.main import main
from rapidnet_mm.data.importers.run import export_data
from rapidnet_mm.engine.config import load_config
from rapidnet_mm.engine.recipe import new as recipe_new
from rapidnet_mm.engine.recipe.trial import Attempt


def run(*arguments):
    """Run a command; return its exit status."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code or 0


def refused(capsys, *arguments):
    """The one line of an error of ``new``."""
    capsys.readouterr()
    assert run('new', *arguments) == 2
    *progress, line = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ')
    assert not any(text.startswith('error: ') for text in progress)
    return line


def snapshot(folder):
    paths = [path.relative_to(folder) for path in folder.rglob('*')]
    return sorted(path for path in paths if path.parts[0] != 'cache')


@pytest.fixture
def untried(monkeypatch):
    """No step is tried, as if each took a fifth of a second."""
    attempts = [Attempt(1, 1e8, 0.2, 0.01), Attempt(2, 2e8, 0.2, 0.01)]
    monkeypatch.setattr(recipe_new, 'try_batches', lambda *_: attempts)


@pytest.mark.slow
@pytest.mark.parametrize('format', ['yolo', 'coco', 'voc', 'labelme'])
def test_the_way_of_the_page(format, shapes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    export_data([shapes / 'data/shapes'], format, 'fruit', 'boxes')
    before = snapshot(tmp_path / 'fruit')
    assert run('new', 'fruit', '--from-scratch', '--task', 'boxes', '--out', 'first') == 0
    assert snapshot(tmp_path / 'fruit') == before
    output = capsys.readouterr().out
    assert 'train first/first.py' in output
    cfg = load_config('first/first.py')
    assert sum(len(cfg[f'{s}_dataloader'].dataset.metainfo.classes) for s in ('train', 'val')) == 10
    short = [
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
        'val_dataloader.dataset.indices=1',
    ]
    short += ['param_scheduler=None', 'train_dataloader.num_workers=0']
    short += ['val_dataloader.num_workers=0', 'test_dataloader.num_workers=0']
    assert run('train', 'first/first.py', '--cfg-options', *short) == 0
    checkpoint = 'work_dirs/first/iter_2.pth'
    if format == 'yolo':
        short = ['test_dataloader.dataset.indices=1', 'test_dataloader.num_workers=0']
        assert run('test', 'first/first.py', checkpoint, '--cfg-options', *short) == 0
        photo = next(path for path in (tmp_path / 'fruit').rglob('*.jpg'))
        assert run('infer', 'first/first.py', checkpoint, photo, '--out-dir', 'shown') == 0
        assert len(list((tmp_path / 'shown').rglob('*.json'))) == 1


@pytest.mark.usefixtures('untried')
def test_new_names_the_folder_after_data_and_task_and_says_what_comes_next(
    shapes, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    export_data([shapes / 'data/shapes'], 'coco', 'my fruit', 'boxes')
    assert run('new', 'my fruit', '--from-scratch', '--task', 'boxes') == 0
    output = capsys.readouterr().out
    assert {path.name for path in (tmp_path / 'my_fruit_boxes').iterdir()} == {
        'my_fruit_boxes.py',
        'dataset.json',
        'annotations',
    }
    for command in ('doctor', 'browse', 'train'):
        assert f'{command} my_fruit_boxes/my_fruit_boxes.py' in output
    assert '8 training images are few' in output
    again = refused(capsys, 'my fruit', '--from-scratch', '--task', 'boxes')
    assert 'my_fruit_boxes is there already' in again


@pytest.mark.usefixtures('untried')
def test_new_writes_nothing_where_it_should_not(shapes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    export_data([shapes / 'data/shapes'], 'yolo', 'fruit', 'boxes')
    before = snapshot(tmp_path)
    assert '--from-scratch' in refused(capsys, 'fruit')  # no network, no weights
    assert 'inside the data' in refused(capsys, 'fruit', '--from-scratch', '--out', 'fruit/new')
    monkeypatch.chdir(tmp_path / 'fruit')
    assert '--out' in refused(capsys, '.', '--from-scratch')
    line = refused(capsys, '.', '--from-scratch', '--out', '../x', '--model', 'ssdlite_rexnt_130')
    assert 'the nearest is ssdlite_rexnet_130' in line
    assert snapshot(tmp_path) == before


def photos(folder, count):
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 80, 3), np.uint8)
        cv2.imwrite(str(folder / f'{number}.jpg'), pixels)
    return folder


def empty(folder):
    folder.mkdir()


def only_photos(folder):
    photos(folder, 3)


def one_image(folder):
    photos(folder, 1)
    (folder / '0.txt').write_text('0 0.5 0.5 0.2 0.2\n')
    (folder / 'classes.txt').write_text('apple\n')


def no_boxes(folder):
    photos(folder, 4)
    for number in range(4):
        (folder / f'{number}.txt').write_text('')
    (folder / 'classes.txt').write_text('apple\n')


def results(folder):
    photos(folder, 2)
    detections = [{'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.5}]
    (folder / 'results.json').write_text(json.dumps(detections))


def archive(folder):
    folder.mkdir()
    with zipfile.ZipFile(folder / 'fruit.zip', 'w') as file:
        file.writestr('0.jpg', 'no image')


def mixed(folder):
    one_image(folder)
    shape = dict(label='pear', points=[[1, 1], [30, 1], [30, 30]], shape_type='polygon')
    content = dict(imagePath='0.jpg', imageWidth=80, imageHeight=64, shapes=[shape])
    (folder / '0.json').write_text(json.dumps(content))
    (folder / '0.xml').write_text('<annotation><filename>0.jpg</filename></annotation>')


def one_label(folder):
    photos(folder / 'images', 4)
    (folder / 'labels').mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f'labels/{number}.png'), np.zeros((64, 80), np.uint8))


def other_classes(folder):
    for split, name in (('train', 'apple'), ('val', 'pear')):
        photos(folder / split / name, 2)
        photos(folder / split / f'{name}s', 2)


@pytest.mark.usefixtures('untried')
@pytest.mark.parametrize(
    ('make', 'part'),
    [
        (empty, 'fruit is an empty folder'),
        (only_photos, 'annotate'),
        (one_image, 'annotate at least one more'),
        (no_boxes, 'annotate'),
        (results, 'results.json is a list of results'),
        (archive, 'unpack'),
        (mixed, '--format'),
        (one_label, 'fruit has a single class'),
        (other_classes, 'classes differ: val has pear'),
    ],
)
def test_bad_data_are_refused_in_one_line(make, part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / 'fruit')
    line = refused(capsys, 'fruit', '--from-scratch')
    assert part in line
    assert '.rapidnet-new' not in line
    assert [path.name for path in tmp_path.iterdir() if path.name != 'cache'] == ['fruit']


@pytest.mark.usefixtures('untried')
def test_a_file_that_is_no_data_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    results(tmp_path / 'fruit')
    archive(tmp_path / 'zipped')
    for path in ('fruit/results.json', 'zipped/fruit.zip', 'nowhere'):
        assert path in refused(capsys, path, '--from-scratch')
    shutil.rmtree(tmp_path / 'zipped')
