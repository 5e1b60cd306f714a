import pytest

from rapidnet_mm.data.checks.coco import CocoChecker
from rapidnet_mm.data.checks.label_maps import LabelMapChecker
from tests.faults import data as faults
from tests.messages import assert_says, refusal

WHERE = 'train_dataloader.dataset'


def detection(root, split='train', **changes):
    settings = dict(
        type='CocoDataset',
        data_root=str(root),
        ann_file=f'annotations/{split}.json',
        data_prefix=dict(img=f'{split}/'),
        metainfo=dict(classes=faults.CLASSES),
        test_mode=split != 'train',
        pipeline=[dict(type='LoadAnnotations', with_bbox=True, with_mask=True)],
    )
    return CocoChecker({**settings, **changes}, WHERE)


def labels(root, **changes):
    settings = dict(
        type='BaseSegDataset',
        data_root=str(root),
        metainfo=dict(classes=('road', 'tree', 'car')),
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        pipeline=[dict(type='LoadAnnotations')],
    )
    return LabelMapChecker({**settings, **changes}, WHERE)


@pytest.fixture
def root(tmp_path):
    faults.make_detection(tmp_path / 'data')
    return tmp_path / 'data'


@pytest.fixture
def label_root(tmp_path):
    faults.make_labels(tmp_path / 'labels')
    return tmp_path / 'labels'


@pytest.mark.parametrize('fault', faults.DETECTION, ids=lambda fault: fault.name)
def test_a_fault_of_detection_data_is_named(root, fault):
    detection(root).check()
    fault.plant(root)
    assert_says(refusal(detection(root).check), WHERE, *fault.facts)


@pytest.mark.parametrize('fault', faults.LABELS, ids=lambda fault: fault.name)
def test_a_fault_of_label_images_is_named(label_root, fault):
    labels(label_root).check()
    fault.plant(label_root)
    assert_says(refusal(labels(label_root).check), WHERE, *fault.facts)


@pytest.mark.parametrize(
    'plant',
    [
        faults.of_object('iscrowd', ...),
        faults.of_object('id', 0),
        faults.of_object('id', -3),
        faults.of_image('width', 48.0),
        faults.of_image('file_name', '../train/1.jpg'),
        faults.rle([900, 1020]),
    ],
)
def test_what_has_a_clear_meaning_passes(root, plant):
    plant(root)
    detection(root).check()


def test_boxes_that_are_left_out_are_said_each_time(root, monkeypatch):
    lines = []
    monkeypatch.setattr('rapidnet_mm.data.checks.checker.warn', lines.append)
    faults.of_object('bbox', [4, 4, 16, 0])(root)
    for _ in range(2):
        detection(root).check()
    assert len(lines) == 2
    assert_says(lines[0], '1 of 8 objects', 'annotations[5]', 'width or height of 0')


def test_an_object_that_nothing_can_match_is_no_ground_truth(root):
    train, val = root / 'annotations/train.json', root / 'annotations/val.json'
    for box, fact in (([4, 4, 16, 0], 'height of 0'), ([50, 4, 6, 6], 'outside its image')):
        faults.of_object('bbox', box)(root)
        val.write_text(train.read_text())
        assert_says(refusal(detection(root, 'val').check), 'annotations[5]', fact)
    faults.of_object('bbox', [4, 4, 16, 20])(root)
    faults.of_object('ignore', 1)(root)
    val.write_text(train.read_text())
    assert_says(refusal(detection(root, 'val').check), 'annotations[5]', 'iscrowd=1')


def test_masks_of_run_lengths_need_bitmaps(root):
    faults.rle([900, 1020])(root)
    step = dict(type='LoadAnnotations', with_mask=True, poly2mask=False)
    line = refusal(detection(root, pipeline=[step]).check)
    assert_says(line, 'annotations[5]', 'poly2mask=True')


def test_masks_are_checked_where_only_the_evaluator_needs_them(root):
    plain = dict(pipeline=[dict(type='LoadAnnotations')])
    faults.polygon(4, 4, 9, 9)(root)
    detection(root, **plain).check()
    checker = detection(root, **plain)
    checker.evaluates_masks = True
    assert_says(refusal(checker.check), 'annotations[5]', 'has 4 numbers')


def test_an_orientation_counts_only_where_the_loader_turns(root):
    faults.image('2.jpg', faults.turned)(root)
    flat = dict(type='LoadImageFromFile', color_type='color_ignore_orientation')
    detection(root, pipeline=[flat]).check()
    faults.of_image('width', 40)(root)
    faults.of_image('height', 48)(root)
    detection(root).check()
    assert_says(refusal(detection(root, pipeline=[flat]).check), '2.jpg is 48x40')


@pytest.mark.parametrize(('count', 'reduced'), [(256, False), (255, True)])
def test_more_classes_than_eight_bits_hold_are_refused(label_root, count, reduced):
    names = dict(classes=tuple(map(str, range(count))))
    line = refusal(labels(label_root, metainfo=names, reduce_zero_label=reduced).check)
    assert_says(line, f'{count} classes are too many', f'{count - 1} classes')


def test_an_ignored_value_above_eight_bits_is_refused(label_root):
    assert_says(refusal(labels(label_root, ignore_index=65535).check), 'ignore_index is 65535')


def test_objects_below_a_pixel_are_left_out_as_in_coco_itself(root, monkeypatch):
    lines = []
    monkeypatch.setattr('rapidnet_mm.data.checks.checker.warn', lines.append)
    faults.polygon(4.1, 4.1, 4.3, 4.1, 4.3, 4.3)(root)
    detection(root).check()
    assert_says(lines[0], '1 of 8 objects', 'annotations[5]', 'covers no pixel')
    faults.polygon(4, 4, 9, 4, 15, 4)(root)
    faults.of_object('bbox', [4, 4, 11, 0])(root)  # COCO's train2017 has two such objects
    detection(root).check()
    assert_says(lines[1], '1 of 8 objects', 'annotations[5]', 'height of 0')
