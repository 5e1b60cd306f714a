import os
import subprocess
import time

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.fileio.backends import prefix_to_backends

from rapidnet_mm.data.checks import class_folders as folders
from rapidnet_mm.data.checks.check_config import check_data, class_names
from rapidnet_mm.data.shapes.classes import CLASSES
from rapidnet_mm.data.shapes.make import make_classes
from rapidnet_mm.display.curves import headlines
from tests.messages import assert_says, refusal

JPEG = cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].tobytes()


@pytest.fixture
def root(tmp_path):
    """Three classes of two images, in train and in val."""
    for split in ('train', 'val'):
        for name in ('ant', 'bee', 'cat'):
            for index in range(2):
                write(tmp_path / 'data' / split / name / f'{index}.JPEG')
    return tmp_path / 'data'


def write(path, content=JPEG):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def config(root, classes=3, kind='CustomDataset', **options):
    loaders = {
        f'{split}_dataloader': dict(
            dataset=dict(type=kind, data_root=str(root), data_prefix=split, **options)
        )
        for split in ('train', 'val')
    }
    return Config(dict(model=dict(head=dict(num_classes=classes)), **loaders))


def refused(cfg, *parts):
    assert_says(refusal(check_data, cfg), *parts)


def test_class_folders_in_order_are_accepted_and_name_the_classes(root):
    write(root / 'train/ant/.DS_Store', b'x')
    write(root / 'train/ant/Thumbs.db', b'x')
    write(root / 'train/bee/more/2.png')
    cfg = config(root)
    check_data(cfg)
    assert class_names(cfg.train_dataloader.dataset) == ('ant', 'bee', 'cat')


def test_a_missing_folder_says_where_to_get_it(root):
    missing = config(root.parent / 'imagenet', kind='ImageNet')
    refused(missing, 'train_dataloader.dataset: data_root', 'does not exist', 'ILSVRC2012', 'ln -s')
    os.rename(root / 'val', root / 'validation')
    refused(config(root), f'{root}/val does not exist', 'beside it: train, validation')


def test_unsorted_validation_images_are_named_with_the_remedy(root):
    subprocess.run(['rm', '-r', str(root / 'val')], check=True)
    for index in range(5):
        write(root / f'val/ILSVRC2012_val_0000000{index}.JPEG')
    refused(config(root), 'val_dataloader.dataset: 5 images lie in', 'unsorted', 'valprep.sh')


def test_images_beside_the_class_folders_are_named(root):
    write(root / 'train/stray.jpg')
    refused(config(root), '1 images lie in', 'beside its 3 class folders (stray.jpg)')


def test_a_folder_without_classes_and_an_empty_class_are_named(root):
    (root / 'train/dog').mkdir()
    (root / 'val/dog').mkdir()
    refused(config(root), '1 of 4 class folders', 'hold no images (dog)', '.jpg')
    subprocess.run(['rm', '-r', str(root / 'train')], check=True)
    (root / 'train').mkdir()
    refused(config(root), f'{root}/train holds no class folders')


def test_classes_that_only_one_split_has_are_named(root):
    os.rename(root / 'val/bee', root / 'val/dog')
    line = 'only train_dataloader.dataset has bee; only val_dataloader.dataset has dog'
    refused(config(root), 'val_dataloader.dataset: its 3 class folders', line)


def test_the_number_of_classes_is_compared_with_the_head(root):
    refused(
        config(root, 1000), 'model.head.num_classes is 1000, but', 'set model.head.num_classes=3'
    )


def test_imagenet_has_a_thousand_class_folders(root):
    refused(
        config(root, 1000, 'ImageNet'), 'holds 3 class folders, but ImageNet names 1000', 'type='
    )
    names = dict(metainfo=dict(classes=('a', 'b')))
    refused(config(root, 2, **names), 'holds 3 class folders, but metainfo.classes names 2 classes')


def test_files_that_are_no_images_are_found_by_name_and_content(root):
    write(root / 'train/bee/labels.txt', b'1')
    refused(config(root), '1 files in', 'no images by their names (bee/labels.txt)', '.jpg')
    os.remove(root / 'train/bee/labels.txt')
    write(root / 'train/bee/0.JPEG', JPEG[:-2])
    write(root / 'train/bee/1.JPEG', b'<html>')
    refused(config(root), '2 of 6 images', '0.JPEG (truncated)', '1.JPEG (not an image)', 'delete')


def test_listing_is_fast_enough_for_a_million_files(tmp_path):
    for number in range(10):
        (tmp_path / f'n{number}').mkdir()
        for index in range(300):
            os.link(__file__, tmp_path / f'n{number}/{index}.JPEG')
    started = time.process_time()
    listing = folders.list_classes(str(tmp_path), ('.jpeg',))
    seconds = time.process_time() - started
    assert sum(map(len, listing.images.values())) == 3000
    assert seconds < 0.3  # under two minutes for 1.28 million, some 10 s on most machines


def test_a_list_of_images_is_checked(root):
    refused(config(root, ann_file='train.txt'), 'train.txt does not exist')
    (root / 'train.txt').write_text('ant/0.JPEG 0\nbee/1.JPEG 2\n')
    check_data(config(root, ann_file='train.txt'))


@pytest.mark.parametrize(
    ('content', 'parts'),
    [
        (b'', ['lists no images']),
        (b'ant/0.JPEG 0\n\n', ['line 2 is empty']),
        (b'ant/0.JPEG\n', ['line 1', 'FILE CLASS']),
        (b'ant/0.JPEG ant\n', ['line 1', 'FILE CLASS']),
        (b'ant/0.JPEG -1\n', ['line 1', 'FILE CLASS']),
        (b'ant/0.JPEG ' + b'9' * 5000, ['line 1', 'FILE CLASS']),
        (b'ant/0.JPEG 0\rbee/0.JPEG 1', ['line 1', 'carriage return']),
        (b'ant/0.JPEG 3\n', ['num_classes is 3', 'class 3', 'num_classes=4']),
        (b'ant/0.JPEG 0\nant/9.JPEG 0\n', ['1 of 2 images', '9.JPEG (missing)', 'train.txt']),
        (b'ant/\xff.JPEG 0\n', ['UTF-8']),
    ],
)
def test_faults_of_a_list_are_named_with_their_line(root, content, parts):
    (root / 'train.txt').write_bytes(content)
    refused(
        config(root, ann_file='train.txt'), 'train.txt' if 'class 3' not in parts else '', *parts
    )


def test_a_list_uses_no_more_classes_than_there_are_names(root):
    (root / 'train.txt').write_text('ant/0.JPEG 2\n')
    names = dict(classes=['ant', 'bee'])
    refused(config(root, 2, ann_file='train.txt', metainfo=names), 'class 2', '2 classes')


def test_a_list_without_labels_needs_images_only(root):
    (root / 'train.txt').write_text('ant/0.JPEG\n')
    check_data(config(root, ann_file='train.txt', with_label=False))
    (root / 'train.txt').write_text('ant/9.JPEG\n')
    refused(config(root, ann_file='train.txt', with_label=False), '9.JPEG (missing)')


def test_folders_behind_a_url_are_not_listed(monkeypatch):
    # A storage backend whose client is always installed.
    monkeypatch.setitem(prefix_to_backends, 'store', LocalBackend)
    cfg = config('store://animals')
    check_data(cfg)
    assert class_names(cfg.train_dataloader.dataset) == ()


def test_the_built_in_classes_are_class_folders_and_the_same_every_time(tmp_path):
    for name in ('one', 'two'):
        make_classes(tmp_path / name, train=10, val=5, size=(80, 64))
    check_data(config(tmp_path / 'one', len(CLASSES)))
    paths = sorted(p.relative_to(tmp_path / 'one') for p in (tmp_path / 'one').rglob('*.jpg'))
    assert len(paths) == 15
    assert {path.parts[1] for path in paths} == set(CLASSES)
    for path in paths:
        assert (tmp_path / 'one' / path).read_bytes() == (tmp_path / 'two' / path).read_bytes()
    before = (tmp_path / 'one' / paths[0]).stat().st_mtime_ns
    make_classes(tmp_path / 'one', train=10, val=5, size=(80, 64))
    assert (tmp_path / 'one' / paths[0]).stat().st_mtime_ns == before
    assert_says(refusal(make_classes, tmp_path / 'three', 10, 4), 'at least 5 images')


def test_top_1_is_what_curves_show_of_a_classifier():
    assert headlines({'accuracy/top1': [], 'accuracy/top5': [], 'step': []}) == ['accuracy/top1']
