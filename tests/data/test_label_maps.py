import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from rapidnet_mm.data.checks import label_files as labels
from rapidnet_mm.data.checks.check_config import check_data, checker_of, class_names
from rapidnet_mm.data.checks.label_maps import LabelMapChecker
from tests.messages import assert_says, refusal

CLASSES = ('road', 'tree', 'car')
WHERE = 'train_dataloader.dataset'
PIXELS = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
NAMES = ('a', 'b', 'c', 'd', 'e')


def save(root, name, values, shape=(40, 48), split='train', **options):
    """A label image in which each of the values covers some rows."""
    rows = np.resize(np.repeat(np.array(values), 3), shape[0])
    pixels = np.broadcast_to(rows[:, None], shape)
    kind = np.uint8 if max(values) < 256 else np.uint16
    Image.fromarray(np.ascontiguousarray(pixels.astype(kind))).save(
        root / f'labels/{split}/{name}.png', **options
    )


@pytest.fixture
def root(tmp_path):
    """Five images, labels 0 to 2 and 255 for three classes."""
    root = tmp_path / 'mine'
    for split in ('train', 'val'):
        for folder in ('images', 'labels'):
            (root / folder / split).mkdir(parents=True)
        for name in NAMES:
            Image.fromarray(PIXELS).save(root / f'images/{split}/{name}.jpg')
            save(root, name, (0, 1, 2, 255), split=split)
    return root


def relabel(root, values):
    for split in ('train', 'val'):
        for name in NAMES:
            save(root, name, values, split=split)


def dataset(root, split='train', **changes):
    settings = dict(
        type='BaseSegDataset',
        data_root=str(root),
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img_path=f'images/{split}', seg_map_path=f'labels/{split}'),
        test_mode=split != 'train',
        pipeline=[dict(type='LoadAnnotations')],
    )
    return {**settings, **changes}


def check(settings):
    LabelMapChecker(settings, WHERE).check()


def config(root, **changes):
    loaders = {f'{s}_dataloader': dict(dataset=dataset(root, s)) for s in ('train', 'val')}
    head = dict(type='FPNHead', num_classes=3)
    return Config(dict(**loaders, model=dict(decode_head=head), **changes))


def test_good_data_pass(root):
    check_data(config(root))
    relabel(root, (0, 1, 2, 3))
    check(dataset(root, reduce_zero_label=True))


def test_palette_images_and_single_bit_images_are_read_by_their_index(root):
    for name in NAMES:
        image = Image.fromarray(np.resize(np.array([0, 1, 2], np.uint8), (40, 48)), 'P')
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        image.save(root / f'labels/train/{name}.png')
    assert Image.open(root / 'labels/train/a.png').mode == 'P'
    check(dataset(root))
    Image.fromarray(np.eye(48, dtype=bool)[:40]).save(root / 'labels/train/a.png')
    check(dataset(root))


@pytest.mark.parametrize('name', LabelMapChecker.types)
def test_every_type_named_is_a_data_set_of_mmsegmentation(name):
    import mmseg.datasets

    assert issubclass(getattr(mmseg.datasets, name), mmseg.datasets.BaseSegDataset)
    assert isinstance(checker_of({'type': name}, WHERE), LabelMapChecker)


# Remembering


def test_files_are_read_again_only_when_they_change(root, monkeypatch):
    calls = []
    read = labels.read_pair
    monkeypatch.setattr(labels, 'read_pair', lambda *pair: calls.append(pair) or read(*pair))
    for _ in range(2):
        check(dataset(root))
    assert len(calls) == 5
    save(root, 'b', (0, 1, 2, 77))
    assert_says(refusal(check, dataset(root)), 'b.png has 77')
    assert [pair[1] for pair in calls[5:]] == [f'{root}/labels/train/b.png']
    refusal(check, dataset(root))
    assert len(calls) == 6
    (root / 'labels/train/c.png').unlink()
    assert_says(refusal(check, dataset(root)), '1 label missing (c.png)')


def test_another_config_needs_no_second_reading(root, monkeypatch):
    check(dataset(root))
    monkeypatch.setattr(labels, 'read_pair', None)
    fewer = dataset(root, metainfo=dict(classes=CLASSES[:2]))
    assert_says(refusal(check, fewer), '0 to 2 for 2 classes')


# Files


def test_one_message_counts_all_bad_files_by_kind(root):
    folder = root / 'labels/train'
    for index in range(20):
        name = f'x{index:02d}'
        Image.fromarray(PIXELS).save(root / f'images/train/{name}.jpg')
        save(root, name, (0, 1, 2, 255) if index > 3 else (0, 9, 200))
    (folder / 'a.png').unlink()
    Image.fromarray(PIXELS).save(folder / 'b.png')
    save(root, 'c', (0, 1, 2), (48, 40))
    (folder / 'd.png').write_bytes((folder / 'e.png').read_bytes()[:60])
    (folder / 'x05.png').write_bytes(b'')
    (root / 'images/train/x06.jpg').write_bytes(b'\xff\xd8\xff cut off')
    save(root, 'x07', (0, 1, 700))
    line = refusal(check, dataset(root))
    assert_says(
        line,
        f'{WHERE}: 11 of 25 pairs of image and label in {folder}',
        '1 label missing (a.png)',
        '1 label stored as RGB (b.png)',
        '1 label of another size than its image (c.png 40x48, not 48x40)',
        '1 label damaged or not an image (d.png)',
        '1 label empty (x05.png)',
        '1 image truncated (x06.jpg)',
        '5 label with other values (x00.png has 9, 200, x01.png has 9, 200, x02.png has 9, 200 '
        'and 2 more)',
        'values 0 to 2 for 3 classes, 255 to ignore',
    )


def test_labels_of_one_pixel_in_a_direction_cannot_be_loaded(root):
    save(root, 'a', (0, 1, 2), (1, 48))
    Image.new('RGB', (48, 1)).save(root / 'images/train/a.jpg')
    assert 'one pixel wide or high' in refusal(check, dataset(root))


def test_a_photograph_that_lies_on_its_side_is_measured_as_it_is_loaded(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(root / 'images/train/a.jpg', exif=exif)
    line = refusal(check, dataset(root))
    assert_says(line, '(a.png 48x40, not 40x48)')
    save(root, 'a', (0, 1, 2), (48, 40))
    check(dataset(root))


def test_missing_folders_come_with_the_way_out(root, tmp_path):
    line = refusal(check, dataset(tmp_path / 'ADEChallengeData2016/'))
    assert_says(line, f'data_root {tmp_path}/ADEChallengeData2016', 'does not exist; download')
    assert_says(line, 'ADEChallengeData2016.zip', f'unpack it in {tmp_path}')
    line = refusal(check, dataset(tmp_path / 'birds'))
    assert_says(line, 'birds does not exist; set data_root')
    wrong = dict(img_path='photos', seg_map_path='labels/train')
    line = refusal(check, dataset(root, data_prefix=wrong))
    assert_says(line, 'image folder', 'photos does not exist; folders beside it: images, labels')
    wrong = dict(img_path='images/train', seg_map_path='masks/train')
    line = refusal(check, dataset(root, data_prefix=wrong))
    assert_says(line, 'label folder', 'masks/train does not exist', 'data_prefix.seg_map_path')
    line = refusal(check, dataset(root, data_prefix=dict(img='images/train')))
    assert_says(line, "data_prefix needs 'img_path' and 'seg_map_path'", "{'img': ")
    line = refusal(check, dataset(root, ann_file='train.txt'))
    assert_says(line, 'ann_file', 'train.txt does not exist; it lists names')


def test_types_that_only_assert_their_folders_are_a_line_too(tmp_path):
    root = tmp_path / 'none'
    stare = dict(type='STAREDataset', data_root=str(root), data_prefix=dict(img_path='pictures'))
    assert_says(refusal(check, stare), WHERE, f'{root} has no pictures')


def test_wrong_suffixes_and_empty_folders_are_named(root):
    line = refusal(check, dataset(root, img_suffix='.png'))
    assert_says(line, f'no images *.png in {root}/images/train', '5 other files such as a.jpg')
    line = refusal(check, dataset(root, seg_map_suffix='_mask.png'))
    assert_says(line, 'none of the 5 label files is in', 'such as a.png, but not a_mask.png')
    (root / 'nothing').mkdir()
    empty = dict(img_path='nothing', seg_map_path='labels/train')
    line = refusal(check, dataset(root, data_prefix=empty))
    assert_says(line, 'it holds no files; set img_suffix')


def test_only_files_that_are_used_count(root):
    (root / 'labels/train/e.png').unlink()
    check(dataset(root, indices=4))
    (root / 'some.txt').write_text('a\nb\n')
    check(dataset(root, ann_file='some.txt'))
    (root / 'some.txt').write_text('a\nz\n')
    line = refusal(check, dataset(root, ann_file='some.txt'))
    assert_says(line, '1 image missing (z.jpg)', '1 label missing (z.png)')


def test_images_to_predict_on_need_no_labels(root):
    steps = [dict(type='LoadImageFromFile')]
    for path in (root / 'labels/val').iterdir():
        path.unlink()
    check(dataset(root, 'val', pipeline=steps))
    nested = [dict(type='TestTimeAug', transforms=[[dict(type='LoadAnnotations')]])]
    assert 'none of the 5' in refusal(check, dataset(root, 'val', pipeline=nested))
    (root / 'images/val/b.jpg').write_bytes(b'')
    line = refusal(check, dataset(root, 'val', pipeline=steps))
    assert 'b.jpg (empty)' in line


# What zero means


def test_zero_that_is_to_be_ignored_needs_reduce_zero_label(root):
    relabel(root, (0, 1, 2, 3))
    line = refusal(check_data, config(root))
    assert_says(line, f'{WHERE}: label values are 0 to 3 for 3 classes', 'reduce_zero_label=True')
    relabel(root, (1, 2, 3))
    assert 'reduce_zero_label=True' in refusal(check_data, config(root))


def test_zero_that_is_a_class_must_not_be_reduced(root):
    line = refusal(check, dataset(root, reduce_zero_label=True))
    assert_says(line, '0 to 2 for 3 classes, and 255', 'set reduce_zero_label=False')


def test_a_line_warns_if_the_values_do_not_show_what_zero_means(root, monkeypatch):
    warnings = []
    monkeypatch.setattr('rapidnet_mm.data.checks.checker.warn', warnings.append)
    relabel(root, (0, 1, 2))  # the last class may just be rare
    check(dataset(root, reduce_zero_label=True))
    assert len(warnings) == 1
    assert_says(warnings[0], WHERE, 'if 0 is a class, set reduce_zero_label=False')
    relabel(root, (0, 1, 3))
    check(dataset(root, reduce_zero_label=True))
    assert len(warnings) == 1


def test_values_outside_the_classes_are_counted_with_reduced_labels_too(root):
    relabel(root, (0, 1, 2, 3))
    save(root, 'd', (0, 1, 4))
    line = refusal(check, dataset(root, reduce_zero_label=True))
    assert_says(line, '(d.png has 4)', '0 where nothing is labelled, 1 to 3 for 3 classes')


def test_labels_that_teach_nothing_are_refused(root):
    relabel(root, (255,))
    assert_says(refusal(check, dataset(root)), 'no pixel has a label: all are 255')
    relabel(root, (0,))
    line = refusal(check, dataset(root, reduce_zero_label=True))
    assert_says(line, 'no pixel has a label: all are 0')
    relabel(root, (0, 255))
    line = refusal(check, dataset(root, metainfo=dict(classes=('no', 'yes'))))
    assert_says(line, 'only 0 and 255', "'no'")


# Classes


def test_the_head_has_as_many_classes_as_the_data(root):
    cfg = config(root)
    cfg.model.decode_head.num_classes = 150
    line = refusal(check_data, cfg)
    assert_says(line, 'model.decode_head.num_classes is 150', 'has 3 classes')


def test_a_loss_weighs_each_class(root):
    cfg = config(root)
    cfg.model.decode_head.loss_decode = [dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0])]
    line = refusal(check_data, cfg)
    assert_says(line, 'model.decode_head.loss_decode.0.class_weight has 2', 'has 3 classes')
    cfg.model.decode_head.loss_decode[0].class_weight = [1.0, 2.0, 1.0]
    check_data(cfg)


def test_class_names_are_those_of_the_config_or_of_the_type(root):
    assert class_names(dataset(root)) == CLASSES
    assert len(class_names(dict(type='mmseg.ADE20KDataset'))) == 150
    (root / 'names.txt').write_text('road\ntree\ncar\n')
    assert class_names(dataset(root, metainfo=dict(classes=f'{root}/names.txt'))) == CLASSES


@pytest.mark.parametrize(
    ('changes', 'fact'),
    [
        (dict(metainfo=None), 'metainfo.classes is missing; it must be a tuple of names'),
        (dict(metainfo=dict(classes='no.txt')), "is the text 'no.txt'"),
        (
            dict(type='ADE20KDataset', metainfo=dict(classes=('unicorn',))),
            "classes of your own set type='BaseSegDataset'",
        ),
        (
            dict(metainfo=dict(classes=CLASSES, palette=[(1, 2, 3)])),
            'metainfo.palette has not as many colours as there are metainfo.classes; give one',
        ),
        (dict(suffix='.jpg'), "unexpected keyword argument 'suffix'"),
    ],
)
def test_classes_and_arguments_that_do_not_fit_are_a_line(root, changes, fact):
    assert_says(refusal(check, dataset(root, **changes)), WHERE, fact)


def test_any_colours_will_do(root):
    check(dataset(root, metainfo=dict(classes=CLASSES, palette=[])))


def test_some_classes_of_a_known_data_set_may_be_used_alone(root):
    relabel(root, (0, 1, 2, 150))
    few = dict(type='ADE20KDataset', metainfo=dict(classes=('wall', 'floor')))
    check(dataset(root, **few))


def test_notes_of_pairs_are_json(root, cache):
    check(dataset(root))
    (path,) = cache.glob('*.json')
    assert len(json.loads(path.read_bytes())) == 5


@pytest.mark.parametrize('indices', [[0, 99], 'all', [[0]]])
def test_indices_that_are_none_are_named(root, indices):
    assert 'indices must be' in refusal(check, dataset(root, indices=indices))
