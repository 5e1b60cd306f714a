from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, RepeatDataset, pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from rapidnet_mm import UserError
from rapidnet_mm.data.checks import image_files
from rapidnet_mm.data.checks.image_files import check_images
from rapidnet_mm.data.shapes.make import make_classes, make_shapes
from rapidnet_mm.engine.exact.draws import SeededDataset
from rapidnet_mm.engine.hooks.bad_images import BadImagesHook, guard_images
from tests.engine.test_resume import configured
from tests.engine.test_resume import train as train_config

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)


class Images(BaseDataset):
    def load_data_list(self):
        return [{'img_path': str(path)} for path in sorted(self.data_root.glob('*.jpg'))]


class Names:
    """A step after loading. It fails for one image, which is whole."""

    fails_at = None

    def __call__(self, item):
        if self.fails_at and item['img_path'].endswith(self.fails_at):
            raise KeyError('a fault of this step')
        return item['img_path'].rpartition('/')[2]


@pytest.fixture
def folder(tmp_path):
    for index in range(40):
        Image.fromarray(PIXELS).save(tmp_path / f'{index:02}.jpg')
    return tmp_path


def spoil(path):
    """Make a JPEG whose structure is whole, but of a kind that no reader decodes."""
    path.write_bytes(path.read_bytes().replace(b'\xff\xc0', b'\xff\xc3', 1))
    check_images([path])


def make_hole(path, start=0.5, length=200):
    """Put zeros into a JPEG, as a disk does that lost power."""
    data = bytearray(path.read_bytes())
    first = int(len(data) * start)
    data[first : first + length] = bytes(length)
    path.write_bytes(data)


def loader(folder, test_mode=False, workers=2, fails_at=None):
    """A data loader as the runner builds it: the guard is there before the workers."""
    step = Names()
    step.fails_at = fails_at
    images = Images(
        data_root=folder,
        pipeline=[dict(type='mmcv.LoadImageFromFile'), step],
        test_mode=test_mode,
        data_prefix={},
    )
    dataset = SeededDataset(images if test_mode else RepeatDataset(images, 2), seed=0)
    guard_images(dataset)
    return DataLoader(dataset, 4, num_workers=workers, collate_fn=pseudo_collate)


def train(data, share=0.5):
    """Run an epoch with the hook, and return the names of the images and the lines of the log."""
    lines = []
    logger = SimpleNamespace(warning=lines.append)
    runner = SimpleNamespace(train_dataloader=data, logger=logger)
    hook = BadImagesHook(share)
    hook.before_train(runner)
    names = []
    for batch in data:
        names += batch
        hook.after_train_iter(runner)
    hook.after_train(runner)
    return names, lines


@pytest.mark.parametrize('workers', [0, 2])
def test_another_image_takes_the_place_and_the_bad_one_is_named_once(folder, workers):
    spoil(folder / '07.jpg')
    names, lines = train(loader(folder, workers=workers))
    assert len(names) == 80
    assert '07.jpg' not in names
    assert len(lines) == 2
    assert f'{folder}/07.jpg cannot be decoded' in lines[0]
    assert '1 of 40 training images' in lines[1]


def test_good_images_stay_in_their_places(folder):
    names, lines = train(loader(folder))
    assert names == [f'{index:02}.jpg' for index in range(40)] * 2
    assert not lines


@pytest.mark.parametrize('workers', [0, 2])
def test_too_many_bad_images_stop_the_training_with_a_line(folder, workers):
    for index in range(10):
        spoil(folder / f'{index:02}.jpg')
    # Two workers can each meet a bad image before either of them counts.
    count = '([5-9]|10)' if workers else '5'
    with pytest.raises(UserError, match=rf'^{count} of 40 training images cannot') as error:
        train(loader(folder, workers=workers), share=0.1)
    assert '\n' not in str(error.value)
    assert len(train(loader(folder, workers=workers), share=0.3)[0]) == 80


def test_a_data_set_of_bad_images_only_does_not_hang(folder):
    for path in sorted(folder.glob('*.jpg'))[2:]:
        path.unlink()
    for path in folder.glob('*.jpg'):
        spoil(path)
    with pytest.raises(UserError, match=r'2 of 2 training images'):
        train(loader(folder), share=1.0)


@pytest.mark.parametrize('workers', [0, 2])
def test_no_metric_is_computed_without_an_image(folder, workers):
    spoil(folder / '07.jpg')
    with pytest.raises(UserError, match=r'07\.jpg cannot be decoded') as error:
        list(loader(folder, test_mode=True, workers=workers))
    assert '\n' not in str(error.value)
    assert str(error.value).startswith(str(folder))


def test_a_fault_of_another_step_is_no_bad_image(folder):
    with pytest.raises(KeyError, match='a fault of this step'):
        train(loader(folder, fails_at='07.jpg'))


def test_the_random_numbers_of_a_good_epoch_do_not_change(folder):
    torch.manual_seed(0)
    np.random.seed(0)
    train(loader(folder, workers=0))
    after = np.random.random()
    np.random.seed(0)
    assert after == np.random.random()


@pytest.mark.parametrize('workers', [0, 2])
def test_a_hole_that_decoders_do_not_notice_is_a_bad_image(folder, workers):
    make_hole(folder / '07.jpg')
    names, lines = train(loader(folder, workers=workers))
    assert '07.jpg' not in names
    assert f'{folder}/07.jpg' in lines[0]
    with pytest.raises(UserError, match=r'07\.jpg cannot be decoded \(a hole of zeros at byte \d+'):
        list(loader(folder, test_mode=True, workers=workers))


@pytest.mark.slow
def test_a_training_goes_on_without_the_bad_image(tmp_path, monkeypatch):
    """Through the real runner, in a data set that is too large to be read whole before."""
    monkeypatch.setattr(image_files, 'READ_WHOLE', 0)
    make_shapes(tmp_path / 'shapes', train=8, val=2, size=(96, 64))
    make_classes(tmp_path / 'shapes_classes', train=20, val=5)
    bad = sorted((tmp_path / 'shapes_classes/train').rglob('*.jpg'))[3]
    Image.fromarray(PIXELS).save(bad)
    make_hole(bad)
    train_config(configured('classifier', tmp_path, tmp_path / 'run', workers=2, interval=12))
    (log,) = (tmp_path / 'run').glob('*/*.log')
    lines = [line for line in log.read_text().splitlines() if bad.name in line]
    assert len(lines) == 2
    assert (tmp_path / 'run/iter_12.pth').is_file()


@pytest.mark.parametrize('workers', [0, 2])
def test_a_loader_that_is_not_of_a_training_takes_no_other_image(folder, workers):
    """Data sets of MMPretrain have no test_mode in validation."""
    spoil(folder / '07.jpg')
    with pytest.raises(UserError, match='the metrics need every image'):
        list(loader(folder, workers=workers))


@pytest.mark.parametrize('size', [(1, 3000), (3000, 1)])
def test_an_image_too_narrow_for_a_step_is_named_as_such(folder, size):
    Image.new('RGB', size).save(folder / '07.jpg')
    with pytest.raises(UserError, match='too narrow to be resized'):
        list(loader(folder, test_mode=True, workers=0, fails_at='07.jpg'))
