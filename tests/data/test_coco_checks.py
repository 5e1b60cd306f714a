import json
import os

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from rapidnet_mm.data.checks import coco
from rapidnet_mm.data.checks.check_config import check_data, class_names
from rapidnet_mm.data.checks.coco import CocoChecker
from tests.messages import assert_says, refusal

CLASSES = ('disc', 'box')
WHERE = 'train_dataloader.dataset'
PIXELS = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)


@pytest.fixture
def root(tmp_path):
    """A valid data set of four images with two boxes each."""
    root = tmp_path / 'mine'
    for folder in ('annotations', 'train', 'val'):
        (root / folder).mkdir(parents=True)
    polygon = [[4.0, 4.0, 20.0, 4.0, 20.0, 24.0]]
    box = {'bbox': [4.0, 4.0, 16.0, 20.0], 'area': 160.0, 'iscrowd': 0, 'segmentation': polygon}
    content = {
        'images': [
            {'id': 10 + k, 'file_name': f'{k}.jpg', 'width': 48, 'height': 40} for k in range(4)
        ],
        'annotations': [
            {'id': 1 + k, 'image_id': 10 + k // 2, 'category_id': (3, 7)[k % 2], **box}
            for k in range(8)
        ],
        'categories': [{'id': 3, 'name': 'disc'}, {'id': 7, 'name': 'box'}],
    }
    for split in ('train', 'val'):
        (root / f'annotations/{split}.json').write_text(json.dumps(content))
        for image in content['images']:
            cv2.imwrite(str(root / split / image['file_name']), PIXELS)
    return root


def dataset(root, split='train', **changes):
    settings = dict(
        type='CocoDataset',
        data_root=str(root),
        ann_file=f'annotations/{split}.json',
        data_prefix=dict(img=f'{split}/'),
        metainfo=dict(classes=CLASSES),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        test_mode=split != 'train',
        pipeline=[dict(type='LoadAnnotations', with_bbox=True, with_mask=True)],
    )
    return {**settings, **changes}


def config(root):
    loaders = {f'{s}_dataloader': dict(dataset=dataset(root, s)) for s in ('train', 'val')}
    evaluator = dict(type='CocoAP', ann_file=str(root / 'annotations/val.json'))
    return Config(dict(**loaders, val_evaluator=evaluator))


def check(settings):
    CocoChecker(settings, WHERE).check()


def rewrite(root, change, split='train'):
    path = root / f'annotations/{split}.json'
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed))


# Remembering


def test_annotations_are_not_read_again_until_they_or_the_config_change(root, monkeypatch):
    calls = []
    read = coco.read_annotations
    monkeypatch.setattr(coco, 'read_annotations', lambda *a: calls.append(a) or read(*a))
    for _ in range(2):
        check(dataset(root))
    assert len(calls) == 1
    refusal(check, dataset(root, metainfo=dict(classes=('disc', 'car'))))
    assert len(calls) == 2
    rewrite(root, lambda content: content['images'].append(content['images'][0]))
    refusal(check, dataset(root))
    assert len(calls) == 3


def test_an_image_lost_after_a_good_check_is_missed(root):
    check(dataset(root))
    (root / 'train/2.jpg').unlink()
    line = refusal(check, dataset(root))
    assert_says(line, f'{WHERE}: 1 of 4 images in {root}/train', '2.jpg (missing)')


# Paths


def test_good_data_pass(root):
    check_data(config(root), ('train', 'val'))


def test_absolute_paths_need_no_data_root(root):
    absolute = dict(ann_file=str(root / 'annotations/train.json'), data_root='')
    check(dataset(root, **absolute, data_prefix=dict(img=str(root / 'train'))))


@pytest.mark.parametrize(
    ('name', 'remedy'),
    [
        ('coco', 'https://cocodataset.org/#download'),
        ('coco', 'ln -s /path/to/coco {root}'),
        ('shapes', 'rapidnet make-shapes --root {root}'),
        ('birds', 'set data_root'),
    ],
)
def test_a_missing_data_root_comes_with_the_way_to_get_it(tmp_path, name, remedy):
    root = tmp_path / name
    line = refusal(check, dataset(f'{root}/'))
    assert_says(line, f'{WHERE}: data_root {root}/ does not exist', remedy.format(root=root))


def test_a_missing_annotation_file_comes_with_those_that_are_there(root):
    line = refusal(check, dataset(root, ann_file='annotations/test.json'))
    assert_says(line, f'{root}/annotations/test.json does not exist', 'train.json, val.json')


def test_a_missing_annotation_folder_is_named(root):
    line = refusal(check, dataset(root, ann_file='labels/train.json'))
    assert_says(line, f'{root}/labels/train.json does not exist, nor does its folder')


def test_a_missing_image_folder_comes_with_those_beside_it(root):
    line = refusal(check, dataset(root, data_prefix=dict(img='train2017/')))
    assert_says(line, f'{root}/train2017/ does not exist', 'annotations, train, val', 'data_prefix')


def test_a_prefix_by_another_name_is_refused(root):
    line = refusal(check, dataset(root, data_prefix=dict(img_path='train/')))
    assert_says(line, "data_prefix needs 'img'", "{'img_path': ")


def test_a_folder_without_any_of_the_images_is_the_wrong_folder(root):
    line = refusal(check, dataset(root, data_prefix=dict(img='annotations/')))
    assert_says(line, f'none of the 4 images of {root}/annotations/train.json', 'data_prefix.img')
    assert_says(line, f'is in {root}/annotations', '2 other files such as train.json')


def test_a_folder_named_twice_is_pointed_out(root):
    def name_folder(content):
        for image in content['images']:
            image['file_name'] = 'train/' + image['file_name']

    rewrite(root, name_folder)
    line = refusal(check, dataset(root))
    assert_says(line, 'begin with a folder already (train/0.jpg)', 'data_prefix.img')
    check(dataset(root, data_prefix=dict(img='')))


# What the annotation file says


@pytest.mark.parametrize('text', ['', '{"images": [1, 2', '{"images": nope}'])
def test_invalid_json_is_located(root, text):
    path = root / 'annotations/train.json'
    path.write_text('\n' + text)
    assert_says(refusal(check, dataset(root)), f'{path} is not valid JSON (line 2, col')


def test_binary_annotations_are_refused(root):
    path = root / 'annotations/train.json'
    path.write_bytes(b'\x80\x04\xff')
    assert_says(refusal(check, dataset(root)), f'{path} cannot be read')


CHANGES = {  # a change to the file, and a fact that the message names
    'results': (lambda c: c['annotations'], 'holds a list'),
    'number': (lambda _: 5, 'is not in COCO format'),
    'lacks two': (lambda c: {'images': c['images']}, 'lacks annotations, categories'),
    'unlabelled': (lambda c: c.pop('annotations') and None, 'has no annotations'),
    'kinds': (lambda c: c.update(images={'10': 1}), 'images of {path} must be a list, not a dict'),
    'entry': (
        lambda c: c['images'].insert(1, 'a.jpg'),
        "images[1] of {path} must be a dict, not '",
    ),
    'size': (lambda c: c['images'][2].pop('width') and None, 'images[2] of {path} lacks width'),
    'null': (lambda c: c['images'][2].update(width=None), 'width is not valid: None'),
    'box': (lambda c: c['annotations'][5].pop('bbox') and None, 'annotations[5] of {path} lacks'),
    'three': (lambda c: c['annotations'][5]['bbox'].pop() and None, '(x, y, width, height), not ['),
    'nan': (lambda c: c['annotations'][5].update(bbox=[1, 2, 3, float('nan')]), 'four numbers'),
    'text': (lambda c: c['annotations'][5].update(bbox=[1, 2, 3, '4']), 'four numbers'),
    'image': (lambda c: c['annotations'][5].update(image_id='10'), "image_id '10' is not the id"),
    'category': (lambda c: c['annotations'][5].update(category_id=8), 'category_id 8 is not the'),
    'same id': (lambda c: c['annotations'][5].update(id=1), 'id 1 was used before'),
    'same name': (lambda c: c['categories'][1].update(name='disc'), 'disc more than once'),
}


@pytest.mark.parametrize('case', CHANGES)
def test_invalid_annotations_are_located(root, case):
    change, fact = CHANGES[case]
    rewrite(root, change)
    path = root / 'annotations/train.json'
    assert_says(refusal(check, dataset(root)), WHERE, path, fact.format(path=path))


def test_images_without_annotations_can_be_tested_with(root):
    rewrite(root, lambda content: content.pop('annotations') and None, 'val')
    check(dataset(root, 'val'))


def test_missing_masks_are_counted_where_masks_are_loaded(root):
    def drop_masks(content):
        for entry in content['annotations'][:3]:
            del entry['segmentation']

    rewrite(root, drop_masks)
    line = refusal(check, dataset(root))
    assert_says(line, '3 of 8 annotations', 'have no segmentation', 'with_mask=True')
    check(dataset(root, pipeline=[dict(type='LoadAnnotations', with_bbox=True)]))


def test_boxes_that_are_all_dropped_are_refused(root):
    def normalise(content):
        for entry in content['annotations']:
            entry['bbox'] = [0.1, 0.1, 0.3, 0.5]

    rewrite(root, normalise)
    assert_says(refusal(check, dataset(root)), 'none of the boxes', 'in pixels')


def test_nothing_left_after_filtering_says_why(root):
    line = refusal(check, dataset(root, filter_cfg=dict(min_size=64)))
    assert_says(line, 'none of the 4 images', '4 are smaller than 64 px', "{'min_size': 64}")
    rewrite(root, lambda content: content['annotations'].clear())
    assert_says(refusal(check, dataset(root)), '4 have no annotations')
    rewrite(root, lambda content: content['images'].clear())
    assert_says(refusal(check, dataset(root)), 'lists no images')


def test_images_that_the_filters_drop_may_be_missing(root):
    rewrite(root, lambda content: content['annotations'].__delitem__(slice(2)))
    os.remove(root / 'train/0.jpg')
    check(dataset(root))
    os.remove(root / 'train/3.jpg')
    check(dataset(root, indices=2))
    assert '3.jpg (missing)' in refusal(check, dataset(root))


# Categories


def test_classes_are_named_as_the_config_has_them(root):
    assert class_names(dataset(root)) == CLASSES
    assert len(class_names(dataset(root, metainfo=None))) == 80
    (root / 'names.txt').write_text('disc\nbox\n')
    assert class_names(dataset(root, metainfo=dict(classes=f'{root}/names.txt'))) == CLASSES


def test_a_tuple_without_its_comma_is_pointed_out(root):
    line = refusal(check, dataset(root, metainfo=dict(classes=('disc'))))
    assert_says(line, "metainfo.classes is the text 'disc'", "classes=('disc',)")


def test_a_class_that_the_file_lacks_is_named(root):
    line = refusal(check, dataset(root, metainfo=dict(classes=(*CLASSES, 'car'))))
    path = root / 'annotations/train.json'
    assert_says(line, f'in metainfo.classes but not among the categories of {path}: car', CLASSES)


def test_a_category_that_the_config_lacks_is_named_and_can_be_left_out(root):
    line = refusal(check, dataset(root, metainfo=dict(classes=('box',))))
    assert_says(line, 'among the categories of ', 'not in metainfo.classes: disc', 'subset=True')
    assert f'metainfo=dict(classes={CLASSES})' in line
    check(dataset(root, metainfo=dict(classes=('box',), subset=True)))


def test_own_data_without_classes_in_the_config_come_with_what_to_write(root):
    line = refusal(check, dataset(root, metainfo=None))
    assert_says(
        line, "in COCO's 80 classes but not", 'person, bicycle, car and 77 more', 'disc, box'
    )
    assert f'write metainfo=dict(classes={CLASSES})' in line


def test_classes_in_another_order_would_swap_the_labels(root):
    line = refusal(check, dataset(root, metainfo=dict(classes=CLASSES[::-1])))
    assert_says(line, 'order', f'metainfo=dict(classes={CLASSES})')


def test_a_class_named_twice_is_refused(root):
    line = refusal(check, dataset(root, metainfo=dict(classes=('disc', 'disc'))))
    assert_says(line, 'metainfo.classes name disc more than once')


def test_the_loss_of_a_detector_may_weigh_the_background_too(root):
    cfg = config(root)
    cfg.model = dict(head=dict(num_classes=2, loss=dict(class_weight=[1.0, 1.0, 0.1])))
    check_data(cfg)
    cfg.model.head.num_classes = 3
    assert_says(refusal(check_data, cfg), 'model.head.num_classes is 3', 'has 2 classes')


# Configs


def test_wrapped_data_sets_are_checked(root):
    cfg = config(root)
    inner = dataset(root, ann_file='no.json', type='mmdet.CocoDataset')
    both = dict(type='ConcatDataset', datasets=[dataset(root), inner])
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=both)
    line = refusal(check_data, cfg)
    assert line.startswith('train_dataloader.dataset.dataset.datasets.1: annotation file ')


def test_data_sets_of_other_types_are_not_checked():
    check_data(Config(dict(train_dataloader=dict(dataset=dict(type='VOCDataset', data_root='no')))))
    check_data(Config(dict(val_dataloader=None, val_evaluator=None)))


def test_only_the_splits_in_the_call_are_checked(root):
    cfg = config(root)
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    check_data(cfg, ('val',))
    refusal(check_data, cfg, ('train',))


@pytest.mark.parametrize('several', [False, True])
def test_an_evaluator_of_other_data_is_refused(root, several):
    cfg = config(root)
    name = 'val_evaluator.1.ann_file' if several else 'val_evaluator.ann_file'
    metric = cfg.val_evaluator
    if several:
        cfg.val_evaluator = [dict(type='DumpResults'), metric]
        metric = cfg.val_evaluator[1]
    for other, fault in (('train.json', 'is another file'), ('no.json', 'does not exist')):
        metric.ann_file = f'{root}/annotations/{other}'
        line = refusal(check_data, cfg)
        assert_says(line, f'{name}: {root}/annotations/{other} {fault}', 'val_dataloader.dataset')
        assert f'{name}={root}/annotations/val.json' in line
    del metric['ann_file']
    check_data(cfg)
