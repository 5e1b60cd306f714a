"""Oddities are planted in the small built-in data; each is named, and nothing else."""

import json
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image

from rapidnet_mm import UserError
from rapidnet_mm.analysis.doctor.data.boxes import box_ious
from rapidnet_mm.analysis.doctor.data.examine import data_report
from rapidnet_mm.analysis.doctor.data.folder import data_config
from rapidnet_mm.analysis.doctor.data.images import look
from rapidnet_mm.analysis.doctor.data.samples import read_splits, split_names
from rapidnet_mm.analysis.doctor.finding import BREAKS, ODD, SPOILS
from rapidnet_mm.analysis.doctor.picture import draw_data, positions
from rapidnet_mm.data.shapes.make import make_shapes
from rapidnet_mm.engine.config import load_config

CONFIGS = {
    'objects': 'maskrcnn_rapidnet_ti_shapes',
    'maps': 'semfpn_rapidnet_ti_shapes',
    'classes': 'imagenet/rapidnet_ti_shapes',
}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Both built-in data sets, small."""
    folder = tmp_path_factory.mktemp('made')
    make_shapes(folder / 'scenes', train=8, val=4, size=(128, 96))
    make_classes(folder / 'classes')
    return folder


def make_classes(root):
    """Class folders with images of noise: each is unlike the others."""
    generator = np.random.default_rng(0)
    for split, count in (('train', 3), ('val', 1)):
        for name in ('ant', 'bee'):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                noise = generator.integers(0, 255, (6, 8, 3), np.uint8)
                pixels = cv2.resize(noise, (40, 30), interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(root / split / name / f'{number}.png'), pixels)


def config_of(kind, root):
    options = {f'{split}_dataloader.dataset.data_root': str(root) for split in ('train', 'val')}
    options |= {f'test_dataloader.{key.partition(".")[2]}': str(root) for key in options}
    if kind == 'objects':
        options['val_evaluator.ann_file'] = f'{root}/annotations/instances_val.json'
    if kind == 'classes':
        options['model.head.num_classes'] = options['model.data_preprocessor.num_classes'] = 2
    return load_config(CONFIGS[kind], options)


@pytest.fixture
def scenes(made, tmp_path):
    return shutil.copytree(made / 'scenes', tmp_path / 'scenes')


@pytest.fixture
def folders(made, tmp_path):
    return shutil.copytree(made / 'classes', tmp_path / 'classes')


def examined(kind, root):
    """All findings, as 'grade place: what', sorted."""
    _, found, _ = data_report(config_of(kind, root), 100)
    return sorted(f'{f.grade} {f.where.partition("_")[0]}: {f.what}' for f in found)


def new(kind, root, before):
    """The findings that were not there before something was planted."""
    return list((Counter(examined(kind, root)) - Counter(before)).elements())


@pytest.fixture(scope='module')
def before(made):
    """The findings of the data as they were made, by kind."""
    roots = {'objects': 'scenes', 'maps': 'scenes', 'classes': 'classes'}
    return {kind: examined(kind, made / root) for kind, root in roots.items()}


class Annotations:
    """Changes the annotations of a split in place."""

    def __init__(self, root, split='train'):
        self.path = root / f'annotations/instances_{split}.json'
        self.content = json.loads(self.path.read_text())
        self.objects = [o for o in self.content['annotations'] if not o.get('iscrowd')]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.write_text(json.dumps(self.content))

    def add(self, entry, **changes):
        """A copy of an object."""
        ids = [o['id'] for o in self.content['annotations']]
        self.content['annotations'].append({**entry, 'id': max(ids) + 1, **changes})


def duplicate(root):
    with Annotations(root) as file:
        file.add(file.objects[0])


def almost_duplicate(root):
    with Annotations(root) as file:
        x, y, wide, high = file.objects[0]['bbox']
        file.add(file.objects[0], bbox=[x, y, wide * 0.97, high])


def second_class(root):
    with Annotations(root) as file:
        first = file.objects[0]
        ids = [c['id'] for c in file.content['categories'] if c['id'] != first['category_id']]
        file.add(first, category_id=ids[0])


def outside(root):
    with Annotations(root) as file:
        _, y, _, high = file.objects[0]['bbox']
        sizes = {image['id']: image['width'] for image in file.content['images']}
        file.objects[0]['bbox'] = [sizes[file.objects[0]['image_id']] - 5, y, 20, high]


def mask_elsewhere(root):
    with Annotations(root) as file:
        file.objects[0]['segmentation'] = [[1, 1, 9, 1, 9, 9, 1, 9]]


def tiny(root):
    with Annotations(root) as file:
        file.objects[0]['bbox'][2:] = [1.0, 1.0]
        x, y = file.objects[0]['bbox'][:2]
        file.objects[0]['segmentation'] = [[x, y, x + 1, y, x + 1, y + 1, x, y + 1]]
        file.objects[0]['area'] = 1


def no_objects(root):
    with Annotations(root) as file:
        image = file.objects[0]['image_id']
        kept = [o for o in file.content['annotations'] if o['image_id'] != image]
        file.content['annotations'] = kept


def no_class(root):
    with Annotations(root) as file:
        kind = file.content['categories'][0]['id']
        kept = [o for o in file.content['annotations'] if o['category_id'] != kind]
        file.content['annotations'] = kept


def picture(root, change):
    """Change the pixels of the first training image."""
    path = sorted((root / 'train').glob('*.jpg'))[0]
    cv2.imwrite(str(path), change(cv2.imread(str(path))))


def darkened(pixels):
    return (60 * (pixels / 255) ** 4).astype(np.uint8)


def copied(root):
    """A validation image becomes a training image, under its own name and size."""
    with Annotations(root) as train, Annotations(root, 'val') as val:
        image = next(
            i for i in val.content['images'] if any(o['image_id'] == i['id'] for o in val.objects)
        )
        objects = [o for o in val.objects if o['image_id'] == image['id']]
        ids = [i['id'] for i in train.content['images']]
        new = {**image, 'id': max(ids) + 1, 'file_name': 'other.jpg'}
        train.content['images'].append(new)
        for entry in objects:
            train.add(entry, image_id=new['id'])
        shutil.copy(root / 'val' / image['file_name'], root / 'train/other.jpg')


def recompressed(root):
    copied(root)
    path = root / 'train/other.jpg'
    cv2.imwrite(str(path), cv2.imread(str(path)), (cv2.IMWRITE_JPEG_QUALITY, 40))


OBJECTS = {
    'an object twice': (duplicate, ODD, 'same box'),
    'an object almost twice': (almost_duplicate, ODD, 'IoU above 0.95'),
    'two classes on one object': (second_class, ODD, 'another class'),
    'a box outside': (outside, ODD, 'reach out'),
    'a mask elsewhere': (mask_elsewhere, ODD, 'do not agree with their box'),
    'a tiny box': (tiny, ODD, 'side below 4 px'),
    'no objects': (no_objects, ODD, 'images have no objects'),
    'a missing class': (no_class, SPOILS, 'classes have no object'),
    'a dark image': (lambda root: picture(root, darkened), ODD, 'dark'),
    'a bright image': (lambda root: picture(root, lambda p: 255 - darkened(p)), ODD, 'bright'),
    'a blank image': (lambda root: picture(root, lambda p: p * 0 + 90), ODD, 'one colour'),
    'a grey image': (lambda root: picture(root, lambda p: p[..., 0]), ODD, 'grey'),
    'a known image': (copied, SPOILS, 'in train too, with equal pixels'),
    'nearly a known image': (recompressed, SPOILS, 'in train too, nearly the same'),
}


@pytest.mark.parametrize('name', sorted(OBJECTS))
def test_an_oddity_of_objects_is_named(name, scenes, before):
    plant, grade, part = OBJECTS[name]
    plant(scenes)
    lines = new('objects', scenes, before['objects'])
    matching = [line for line in lines if part in line]
    assert len(matching) == 1, lines
    assert matching[0].startswith(f'{grade} ')
    assert not any(line.startswith(BREAKS) for line in lines)


def test_all_faults_are_collected(scenes):
    with Annotations(scenes) as file:
        for entry in file.objects[:2]:
            entry['bbox'] = [0, 0, -5, 5]
        del file.objects[2]['area']
    picture_file = sorted((scenes / 'train').glob('*.jpg'))[0]
    picture_file.write_bytes(picture_file.read_bytes()[:500])
    (scenes / 'val' / sorted(p.name for p in (scenes / 'val').iterdir())[0]).unlink()
    lines = [line for line in examined('objects', scenes) if line.startswith(BREAKS)]
    text = '\n'.join(lines)
    assert len(lines) == 4, text
    assert 'negative size' in text
    assert '2 annotations have the same fault' in text
    assert 'lacks area' in text
    assert 'truncated' in text
    assert 'missing' in text


def test_swapped_sizes_of_a_turned_image_are_named(scenes):
    path = sorted((scenes / 'train').glob('*.jpg'))[0]
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    lines = '\n'.join(examined('objects', scenes))
    assert 'turned by its EXIF orientation' in lines
    assert 'turned by a quarter' in lines


def test_the_data_as_made_have_no_fault(before):
    assert all(line.startswith(ODD) for lines in before.values() for line in lines)


def test_oddities_of_label_maps_are_named(scenes, before):
    paths = sorted((scenes / 'labels/train').glob('*.png'))
    for path, value in zip(paths, (0, 3), strict=False):
        labels = np.full_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), value)
        cv2.imwrite(str(path), labels)
    text = '\n'.join(new('maps', scenes, before['maps']))
    assert f'1 of 8 label maps have no labelled pixel: {paths[0].name}' in text
    assert f'1 of 8 label maps have one class only: {paths[1].name}' in text


def test_one_image_in_two_classes_is_named(folders, before):
    shutil.copy(folders / 'train/ant/0.png', folders / 'train/bee/x.png')
    lines = new('classes', folders, before['classes'])
    assert [line[:6] for line in lines if 'two classes at once' in line] == ['spoils']
    assert any('there twice' in line for line in lines)


def test_a_limit_of_images_is_said(scenes):
    facts, _, parts = data_report(config_of('objects', scenes), 3)
    assert 'looked into 3' in facts['train']
    assert [len(part.samples) for part in parts] == [3, 2]


def test_the_test_split_counts_only_if_it_is_another(scenes):
    cfg = config_of('objects', scenes)
    assert split_names(cfg) == ['train', 'val']
    cfg.test_dataloader.dataset.ann_file = 'annotations/instances_train.json'
    assert split_names(cfg) == ['train', 'val', 'test']


def test_boxes_are_compared():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5]], float)
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(box_ious(boxes), expected)


def test_a_look_at_an_image(tmp_path):
    pixels = np.zeros((1000, 1200), np.uint8)
    pixels[:, 600:] = 200
    cv2.imwrite(str(tmp_path / 'x.png'), pixels)
    seen = look(str(tmp_path / 'x.png'))
    assert (seen.mode, seen.size) == ('L', (1200, 1000))
    assert seen.mean == pytest.approx(100, abs=1)
    assert seen.small[:, :15].max() == 0
    assert seen.small[:, 17:].min() == 200
    (tmp_path / 'y.png').write_bytes(b'no image')
    assert look(str(tmp_path / 'y.png')) is None


@pytest.mark.parametrize('kind', CONFIGS)
def test_the_picture_shows_every_kind_of_data(kind, made):
    root = made / ('classes' if kind == 'classes' else 'scenes')
    _, _, parts = data_report(config_of(kind, root), 100)
    data = np.frombuffer(draw_data(parts), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert pixels.shape[1] > 1000
    assert pixels.std() > 20


def test_positions_of_boxes_are_relative_to_the_image(made):
    (split, _) = read_splits(config_of('objects', made / 'scenes'), ['train', 'val'])
    sample = split.samples[0]._replace(size=(200, 100))
    entry = next(o for s in split.samples for o in s.objects)._replace(box=(100, 50, 100, 50))
    heat = positions(split._replace(samples=[sample._replace(objects=(entry,))]))
    assert heat[24:, 24:].min() == 1
    assert heat.sum() == 24 * 24


def test_a_folder_is_examined_without_a_config(folders, tmp_path):
    shutil.copy(folders / 'train/ant/0.png', folders / 'val/ant/x.png')
    cfg, facts, found = data_config(str(folders), tmp_path / 'out')
    assert (facts['data'], found) == ('classes, from folders', [])
    facts, found, _ = data_report(cfg, 100)
    assert (facts['train'], facts['val']) == ('6 images, 2 classes', '3 images, 2 classes')
    assert SPOILS in [f.grade for f in found if 'equal pixels' in f.what]


def test_coco_files_that_cannot_be_imported_are_examined_as_they_are(scenes, tmp_path):
    for path in (scenes / 'train').iterdir():
        path.unlink()
    file = scenes / 'annotations/instances_train.json'
    cfg, facts, found = data_config(str(file), tmp_path / 'out')
    assert (facts, found) == ({'data': 'in COCO format'}, [])
    facts, found, _ = data_report(cfg, 100)
    assert list(facts) == ['train']
    assert [f.grade for f in found if 'none of the 8 images' in f.what] == [BREAKS]


def test_a_folder_without_data_is_bad_input(tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='empty'):
        data_config(str(tmp_path / 'empty'), tmp_path / 'out')
