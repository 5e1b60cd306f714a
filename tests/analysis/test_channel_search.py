"""The channel search draws within its budgets, trains alike, goes on, and compares tenths."""

import hashlib
import json
import pickle
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from rapidnet_mm import UserError
from rapidnet_mm.analysis.channel_search import picture, search
from rapidnet_mm.analysis.channel_search.images import (
    Data,
    Images,
    read_cifar10,
    read_class_folders,
)
from rapidnet_mm.analysis.channel_search.network import SearchedNet, build
from rapidnet_mm.analysis.channel_search.search import Result
from rapidnet_mm.analysis.channel_search.space import Space, check_space, cost_of, draw, strides
from rapidnet_mm.analysis.channel_search.training import Recipe, accuracy, scale_of, train
from rapidnet_mm.analysis.complexity import measure

# Small networks on small images, so that a training takes a tenth of a second.
SMALL = Space(4, 4, 24, max_params=12_000, max_flops=400_000, min_share=0.5, size=16, classes=2)
RECIPE = Recipe(epochs=1, batch=4, lr=0.05)


@pytest.fixture(scope='module')
def data():
    """Reddish and greenish noise."""
    numbers = torch.Generator().manual_seed(0)
    splits = []
    for count in (24, 12):
        labels = torch.arange(count) % 2
        pixels = torch.randint(0, 200, (count, 16, 16, 3), generator=numbers)
        pixels[torch.arange(count), :, :, labels] += 55
        splits.append(Images(pixels.to(torch.uint8), labels))
    return Data('noise', 2, *splits)


def silent(line):
    pass


@pytest.mark.parametrize('channels', [(8, 16, 24, 32), (24, 9, 33, 9, 40), (16,) * 9])
@pytest.mark.parametrize('size', [32, 45])
def test_costs_are_those_of_the_network_that_is_built(channels, size):
    space = Space(blocks=len(channels), size=size, classes=7)
    with torch.device('meta'):
        count = measure(SearchedNet(channels, 7), (size, size)).total
    assert cost_of(channels, space) == (count.params, count.flops)


@pytest.mark.parametrize('order', ['rising', 'any'])
def test_every_configuration_is_within_the_budgets(order):
    space = Space(order=order, min_share=0.8)
    drawn = [draw(space, 3, index) for index in range(40)]
    for channels in drawn:
        cost = cost_of(channels, space)
        assert cost.params <= space.max_params
        assert cost.flops <= space.max_flops
        shares = cost.params / space.max_params, cost.flops / space.max_flops
        assert max(shares) >= 0.8
        assert all(space.narrowest <= width <= space.widest for width in channels)
    falling = [channels for channels in drawn if list(channels) != sorted(channels)]
    assert bool(falling) == (order == 'any')
    assert len(set(drawn)) == 40


def test_the_seed_and_the_index_decide_what_is_drawn():
    assert draw(Space(), 0, 5) == draw(Space(), 0, 5)
    assert draw(Space(), 0, 5) != draw(Space(), 1, 5)


def test_the_example_of_the_budgets_uses_what_the_docstring_says():
    cost = cost_of([16 + 9 * block for block in range(9)], Space())
    assert round(100 * cost.params / Space().max_params) == 92
    assert round(100 * cost.flops / Space().max_flops) == 95


@pytest.mark.parametrize('blocks', [4, 5, 9, 16])
def test_three_blocks_halve_the_map(blocks):
    steps = strides(blocks)
    assert len(steps) == blocks
    assert sorted(steps, reverse=True)[:4] == [2, 2, 2, 1]
    assert steps[0] == 1


@pytest.mark.parametrize(
    ('change', 'option'),
    [
        ({'blocks': 3}, '--blocks 3'),
        ({'size': 8}, '--size 8'),
        ({'narrowest': 90, 'widest': 20}, '--channels 90 20'),
        ({'narrowest': 1}, '--channels 1'),
    ],
)
def test_limits_out_of_range_are_refused(change, option):
    with pytest.raises(UserError, match=option):
        check_space(Space(**change))


@pytest.mark.parametrize(
    'change', [{'max_params': 1000}, {'max_flops': 10**9, 'max_params': 10**9}]
)
def test_budgets_that_nothing_fits_are_refused(change):
    with pytest.raises(UserError, match=r'--max-params.*--min-share'):
        draw(Space(**change), 0, 0)


def test_a_network_learns_and_twice_the_same(data):
    scores, weights = [], []
    for _ in range(2):
        network = build((8, 8, 16, 16), 2, 0, 'cpu')
        train(network, data.train, Recipe(epochs=6, batch=8, lr=0.05), 'cpu')
        scores.append(accuracy(network, data.val, scale_of(data.train), 'cpu'))
        weights.append(network.classifier.weight)
    assert scores[0] >= 90  # a coin would have 50
    assert scores[0] == scores[1]
    assert weights[0].equal(weights[1])


def test_fewer_images_than_a_batch_are_one_batch(data):
    network = build((8, 8, 8, 8), 2, 0, 'cpu')
    before = network.classifier.weight.clone()
    train(network, data.train, Recipe(epochs=1, batch=1000), 'cpu')
    assert not network.classifier.weight.equal(before)


def test_a_search_that_was_stopped_goes_on(data, tmp_path, monkeypatch):
    whole = search.search(SMALL, RECIPE, data, 4, tmp_path / 'whole', silent)

    def stop_after_two(line):
        if line.startswith('[2/4]'):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.search(SMALL, RECIPE, data, 4, tmp_path, stop_after_two)
    file = tmp_path / search.FILE
    assert len(file.read_text().splitlines()) == 1 + 2

    trained = []

    def build_and_note(channels, *arguments):
        trained.append(channels)
        return build(channels, *arguments)

    monkeypatch.setattr(search, 'build', build_and_note)
    assert search.search(SMALL, RECIPE, data, 4, tmp_path, silent) == whole
    assert trained == [result.channels for result in whole[2:]]
    assert file.read_bytes() == (tmp_path / 'whole' / search.FILE).read_bytes()


def test_more_models_go_on_and_fewer_train_nothing(data, tmp_path, monkeypatch):
    four = search.search(SMALL, RECIPE, data, 4, tmp_path, silent)
    five = search.search(SMALL, RECIPE, data, 5, tmp_path, silent)
    assert five[:4] == four
    monkeypatch.delattr(search, 'build')
    assert search.search(SMALL, RECIPE, data, 3, tmp_path, silent) == four[:3]
    assert len((tmp_path / search.FILE).read_text().splitlines()) == 1 + 5


def test_another_setting_in_the_same_folder_is_refused(data, tmp_path):
    search.search(SMALL, RECIPE, data, 1, tmp_path, silent)
    with pytest.raises(UserError, match=r'epochs is 1 there and 2 here.*--work-dir'):
        search.search(SMALL, RECIPE._replace(epochs=2), data, 2, tmp_path, silent)
    with pytest.raises(UserError, match='max_flops is 400000 there and 390000 here'):
        search.search(SMALL._replace(max_flops=390_000), RECIPE, data, 2, tmp_path, silent)
    val = Images(255 - data.val.pixels, data.val.labels)
    with pytest.raises(UserError, match='fingerprint is'):
        search.search(SMALL, RECIPE, data._replace(val=val), 2, tmp_path, silent)
    assert len((tmp_path / search.FILE).read_text().splitlines()) == 1 + 1


def test_results_that_were_changed_or_damaged_are_refused(data, tmp_path):
    search.search(SMALL, RECIPE, data, 2, tmp_path, silent)
    file = tmp_path / search.FILE
    good = file.read_text()
    lines = good.splitlines()
    record = json.loads(lines[2])
    record['channels'][0] += 1
    file.write_text('\n'.join([*lines[:2], json.dumps(record)]))
    with pytest.raises(UserError, match=r'results\.jsonl: line 3 '):
        search.search(SMALL, RECIPE, data, 2, tmp_path, silent)
    for damaged in ('', good[:-20], '[]\n', '{"settings": 3}\n', good.replace('params"', 'x"')):
        file.write_text(damaged)
        with pytest.raises(UserError, match=r'results\.jsonl cannot be read'):
            search.search(SMALL, RECIPE, data, 2, tmp_path, silent)
        assert file.read_text() == damaged


def made_up(count):
    """Results whose accuracy falls from one to the next while their channels grow."""
    return [Result((10 + i, 20 + 2 * i), 100 + i, 1000 + i, 90 - i) for i in range(count)]


def test_tenths_are_the_best_the_middle_and_the_worst():
    shuffled = made_up(20)[::-1]
    top, middle, bottom, every = picture.groups(shuffled)
    assert [r.accuracy for r in top.results] == [90, 89]
    assert [r.accuracy for r in middle.results] == [80, 79]
    assert [r.accuracy for r in bottom.results] == [72, 71]
    assert top.mean == [10.5, 21]
    assert top.sigma == [0.5, 1]
    assert len(every.results) == 20


def test_the_table_has_a_line_for_each_tenth():
    lines = picture.table(made_up(20)).splitlines()
    row = next(line for line in lines if line.startswith('| top 10%'))
    assert '| 89.5 ± 0.5 |' in row
    assert row.endswith('10 21 |')


def drawn(results, monkeypatch):
    """The figure that is drawn, and its PNG."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, 'savefig', lambda f, *a, **k: (figures.append(f), save(f, *a, **k)))
    content = picture.draw(results, 'some search')
    return figures[0], content


def test_the_picture_shows_mean_and_band_of_each_tenth(monkeypatch):
    results = made_up(20)
    figure, content = drawn(results, monkeypatch)
    assert content.startswith(b'\x89PNG')
    assert len(figure.axes) == 3
    for axes, group in zip(figure.axes, picture.groups(results), strict=False):
        assert list(axes.lines[0].get_ydata()) == group.mean
        corners = axes.collections[0].get_paths()[0].vertices
        heights = [height for block, height in corners if block == 2]
        assert min(heights) == group.mean[1] - group.sigma[1]
        assert max(heights) == group.mean[1] + group.sigma[1]
        assert group.name in axes.get_title()
        assert f'top-1 {group.accuracy()} %' in axes.get_title()


def make_folders(root, splits=('train', 'val'), classes=('owl', 'wren')):
    for split in splits:
        for number, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            pixels = np.zeros((20, 40, 3), np.uint8)  # red in the middle square, else blue
            pixels[..., 2] = 255
            pixels[:, 10:30] = (255, 100 * number, 0)
            Image.fromarray(pixels).save(folder / 'a.png')


def test_images_are_the_middle_squares_in_rgb(tmp_path):
    make_folders(tmp_path / 'birds')
    data = read_class_folders(str(tmp_path / 'birds'), 16)
    assert data.name == 'birds'
    assert data.classes == 2
    for images in (data.train, data.val):
        assert images.pixels.shape == (2, 16, 16, 3)
        assert images.labels.tolist() == [0, 1]
        assert images.pixels[0].unique(dim=0).flatten(0, 1).unique(dim=0).tolist() == [[255, 0, 0]]
        assert images.pixels[1, 8, 8].tolist() == [255, 100, 0]


def test_folders_that_are_missing_are_named(tmp_path):
    with pytest.raises(UserError, match=r'make-shapes --classes --root .*shapes_classes'):
        read_class_folders(str(tmp_path / 'shapes_classes'), 16)
    make_folders(tmp_path / 'half', splits=('train',))
    with pytest.raises(UserError, match='half has no folder val;'):
        read_class_folders(str(tmp_path / 'half'), 16)
    make_folders(tmp_path / 'one', classes=('owl',))
    with pytest.raises(UserError, match='one class only'):
        read_class_folders(str(tmp_path / 'one'), 16)
    make_folders(tmp_path / 'birds')
    (tmp_path / 'birds/val/owl/a.png').write_bytes(b'')
    with pytest.raises(UserError, match=r'birds/val: .*a\.png'):
        read_class_folders(str(tmp_path / 'birds'), 16)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An archive as CIFAR-10's, with two images in each file; torchvision takes its checksums."""
    from torchvision.datasets import CIFAR10

    source = tmp_path / CIFAR10.base_folder
    source.mkdir()
    sums = {}
    contents = {
        name: {'data': np.full((2, 3072), number, np.uint8), 'labels': [number, 9]}
        for number, (name, _) in enumerate(CIFAR10.train_list + CIFAR10.test_list)
    }
    contents[CIFAR10.meta['filename']] = {CIFAR10.meta['key']: list('abcdefghij')}
    for name, content in contents.items():
        data = pickle.dumps(content)
        (source / name).write_bytes(data)
        sums[name] = hashlib.md5(data).hexdigest()
    target = tmp_path / 'cifar' / CIFAR10.filename
    target.parent.mkdir()
    with tarfile.open(target, 'w:gz') as tar:
        tar.add(source, CIFAR10.base_folder)
    for key in ('train_list', 'test_list'):
        names = [name for name, _ in getattr(CIFAR10, key)]
        monkeypatch.setattr(CIFAR10, key, [[name, sums[name]] for name in names])
    meta = {**CIFAR10.meta, 'md5': sums[CIFAR10.meta['filename']]}
    monkeypatch.setattr(CIFAR10, 'meta', meta)
    monkeypatch.setattr(CIFAR10, 'tgz_md5', hashlib.md5(target.read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, 'url', 'file:///nowhere')
    return target


def test_cifar10_is_read_from_its_archive_and_once_unpacked(archive):
    for size in (32, 16):
        data = read_cifar10(str(archive.parent), False, size)
        assert data.train.pixels.shape == (10, size, size, 3)
        assert data.train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
        assert data.train.pixels[2:4].unique().tolist() == [1]
        assert data.val.labels.tolist() == [5, 9]
        archive.unlink(missing_ok=True)  # the second time what was unpacked is enough


def test_cifar10_that_is_missing_or_damaged_is_refused(archive):
    archive.write_bytes(archive.read_bytes()[:-9])
    with pytest.raises(UserError, match=rf'{archive} is damaged'):
        read_cifar10(str(archive.parent), False, 32)
    archive.unlink()
    with pytest.raises(UserError, match=r'--cifar10 .*cifar-10-python\.tar\.gz.*--download'):
        read_cifar10(str(archive.parent), False, 32)
    with pytest.raises(UserError, match='--cifar10'):  # it cannot be fetched here
        read_cifar10(str(archive.parent), True, 32)
