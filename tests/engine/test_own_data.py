"""``dataset = '.../dataset.json'`` in a config says all about the data, once."""

import json

import pytest

from rapidnet_mm.data.checks.check_config import check_data, nested_dicts
from rapidnet_mm.data.shapes.classes import CLASSES
from rapidnet_mm.data.shapes.make import make_classes
from rapidnet_mm.engine.config import build_model, config_file, load_config
from tests.engine.own_data import class_lists, imported, imported_shapes
from tests.messages import assert_says, refusal

SPLITS = ('train', 'val', 'test')


def config(folder, base, text="dataset = 'data/dataset.json'\n"):
    path = folder / 'mine.py'
    path.write_text(f'_base_ = {config_file(base)!r}\n{text}')
    return path


def counts(cfg):
    return {n['num_classes'] for n, _ in nested_dicts(cfg.model, 'model') if 'num_classes' in n}


def named(folder, task, number, **more):
    """A data set of so many classes. Its annotations are not looked at."""
    classes = [f'class {n}' for n in range(number)]
    files = dict(train='{}', val='{}') if task in ('boxes', 'instance') else dict(train='', val='')
    return imported(folder / 'data', folder, task, classes, files, **more)


@pytest.mark.parametrize(
    ('task', 'base', 'number'),
    [
        ('instance', 'maskrcnn_rapidnet_ti_coco', 1),
        ('instance', 'maskrcnn_rapidnet_ti_coco', 80),
        ('boxes', 'fasterrcnn_rexnet_100_coco', 2),
        ('instance', 'ssdlite_rexnet_100_coco', 1),
        ('semantic', 'semfpn_rapidnet_ti_camvid', 1),
        ('semantic', 'semfpn_rapidnet_ti_camvid', 80),
        ('classes', 'imagenet/rapidnet_ti_in1k_nodistill', 1),
        ('classes', 'imagenet/rapidnet_ti_in1k_nodistill', 2),
    ],
)
def test_the_number_of_classes_is_that_of_the_data(task, base, number, tmp_path):
    more = {}
    if task == 'semantic':
        more = dict(labels=tmp_path, img_suffix='.jpg', seg_map_suffix='.png')
    named(tmp_path, task, number, **more)
    path = config(tmp_path, base)
    if number == 1 and task in ('semantic', 'classes'):
        assert_says(refusal(load_config, path), 'single class', 'class 0')
        return
    cfg = load_config(path)
    assert counts(cfg) == {number}
    for split in SPLITS:
        assert len(cfg[f'{split}_dataloader'].dataset.metainfo.classes) == number
    build_model(cfg)


@pytest.mark.parametrize(
    ('task', 'base', 'metric'),
    [
        ('instance', 'maskrcnn_rapidnet_ti_coco', ['bbox', 'segm']),
        ('instance', 'fasterrcnn_rexnet_100_coco', 'bbox'),
        ('boxes', 'ssdlite_rexnet_100_coco', 'bbox'),
        ('semantic', 'semfpn_rapidnet_ti_ade20k', None),
    ],
)
def test_files_classes_and_metrics_are_filled_in(task, base, metric, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').mkdir()
    file = imported_shapes(tmp_path / 'configs/data', shapes / 'data/shapes', task)
    cfg = load_config(config(tmp_path / 'configs', base))  # data/ is beside the config
    check_data(cfg, SPLITS)
    for split, name in zip(SPLITS, ('train', 'val', 'val'), strict=True):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.ann_file.startswith(str(file.parent / f'annotations/{name}.'))
        assert tuple(dataset.metainfo.classes)[-5:] == CLASSES
        assert tuple(dataset.metainfo.palette[1]) == (1, 254, 0)
        assert dataset.get('test_mode', False) is (split != 'train')
        if split != 'train' and metric:
            assert cfg[f'{split}_evaluator'].ann_file == dataset.ann_file
            assert cfg[f'{split}_evaluator'].metric == metric


def test_class_folders_are_filled_in(tmp_path):
    shapes = make_classes(tmp_path / 'shapes', train=10, val=5, size=(64, 64))
    class_lists(tmp_path / 'data', shapes)
    cfg = load_config(config(tmp_path, 'imagenet/rapidnet_ti_in1k_nodistill'))
    check_data(cfg, SPLITS)
    assert counts(cfg) == {5}


def test_a_test_split_is_tested_on(tmp_path):
    named(tmp_path, 'boxes', 2)
    path = config(tmp_path, 'fasterrcnn_rexnet_100_coco')
    assert load_config(path).test_evaluator.ann_file.endswith('val.json')
    (tmp_path / 'data/dataset.json').unlink()
    imported(tmp_path / 'data', tmp_path, 'boxes', ['a'], dict(train='{}', val='{}', test='{}'))
    cfg = load_config(path)
    assert cfg.val_evaluator.ann_file.endswith('val.json')
    assert cfg.test_evaluator.ann_file.endswith('test.json')
    assert cfg.test_dataloader.dataset.ann_file == cfg.test_evaluator.ann_file


def test_options_come_after_the_data_and_may_name_other_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named(tmp_path, 'boxes', 2)
    named(tmp_path / 'other', 'boxes', 3)
    path = config(tmp_path, 'ssdlite_rexnet_100_coco')
    options = {'model.bbox_head.num_classes': 7, 'train_dataloader.dataset.indices': 2}
    cfg = load_config(path, options)
    assert cfg.model.bbox_head.num_classes == 7
    assert cfg.train_dataloader.dataset.indices == 2
    assert counts(load_config(path, {'dataset': 'other/data'})) == {3}


def test_the_config_that_a_training_stores_needs_no_dataset_json(tmp_path):
    named(tmp_path, 'boxes', 2)
    cfg = load_config(config(tmp_path, 'fasterrcnn_rexnet_100_coco'))
    (tmp_path / 'elsewhere').mkdir()
    cfg.dump(tmp_path / 'elsewhere/stored.py')
    (tmp_path / 'data/dataset.json').unlink()
    stored = load_config(tmp_path / 'elsewhere/stored.py')
    for split in SPLITS:
        assert stored[f'{split}_dataloader'] == cfg[f'{split}_dataloader']
    assert stored.model == cfg.model


def test_other_configs_stay_as_they_are():
    assert counts(load_config('maskrcnn_rapidnet_ti_coco')) == {80}


@pytest.mark.parametrize(
    ('task', 'base', 'parts'),
    [
        ('boxes', 'maskrcnn_rapidnet_ti_coco', ['only boxes', 'Faster R-CNN']),
        ('semantic', 'fasterrcnn_rexnet_100_coco', ['a detector', 'label maps', 'a segmenter']),
        ('classes', 'semfpn_rapidnet_ti_camvid', ['a segmenter', 'a classifier']),
    ],
)
def test_data_for_another_model_are_refused(task, base, parts, tmp_path):
    more = {}
    if task == 'semantic':
        more = dict(labels=tmp_path, img_suffix='.jpg', seg_map_suffix='.png')
    named(tmp_path, task, 2, **more)
    assert_says(refusal(load_config, config(tmp_path, base)), 'mine.py', tmp_path / 'data', *parts)


@pytest.mark.parametrize(
    ('text', 'parts'),
    [
        ('dataset = 3\n', ['dataset.json', '3']),
        ("dataset = 'nowhere/dataset.json'\n", ['nowhere/dataset.json does not exist']),
        ("dataset = 'results.json'\n", ['results.json', 'dict']),
    ],
)
def test_a_wrong_path_is_refused(text, parts, tmp_path):
    (tmp_path / 'results.json').write_text(json.dumps([{'image_id': 1}]))
    path = config(tmp_path, 'maskrcnn_rapidnet_ti_coco', text)
    assert_says(refusal(load_config, path), *parts)
