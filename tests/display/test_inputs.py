"""What folders, patterns and names of cameras give."""

from pathlib import Path

import pytest

from rapidnet_mm.display.images import READ_SUFFIXES
from rapidnet_mm.display.inputs import find_inputs
from tests.messages import assert_says, refusal

FILES = ('a.jpg', 'b.TXT', 'clip.MP4', 'deep/a.png', 'deep/er/c.gif', 'out/a.jpg', 'empty/x.txt')


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in FILES:
        path = tmp_path / 'shots' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'shots'


def names(*texts, **options):
    return [item.name.as_posix() for item in find_inputs(texts, **options).items]


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('shots', ['a.jpg', 'clip.MP4', 'deep/a.png', 'deep/er/c.gif', 'out/a.jpg']),
        ('shots/*', ['a.jpg', 'clip.MP4']),
        ('shots/**/a.*', ['a.jpg', 'deep/a.png', 'out/a.jpg']),
        ('*/deep/[ab].png', ['shots/deep/a.png']),
        ('shots/b.TXT', ['b.TXT']),  # who names a file means it
    ],
)
@pytest.mark.parametrize('root', ['', './', 'absolute'])
def test_names_are_those_inside_the_argument(text, expected, root, folder):
    text = str(folder.parent / text) if root == 'absolute' else root + text
    assert names(text) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder):
    (folder / '[a].jpg').touch()
    assert names('shots/[a].jpg') == ['[a].jpg']


def test_earlier_results_and_other_kinds_are_left_out(folder):
    for text in ('shots', 'shots/**'):
        found = names(text, suffixes=READ_SUFFIXES, leave_out=folder / 'out')
        assert found == ['a.jpg', 'deep/a.png', 'deep/er/c.gif']


@pytest.mark.usefixtures('folder')
def test_a_folder_with_nothing_is_reported_beside_the_others():
    inputs = find_inputs(['shots/empty', 'shots/a.jpg', 'shots/*.bmp'])
    assert [item.path for item in inputs.items] == [Path('shots/a.jpg')]
    assert len(inputs.faults) == 2
    assert_says(inputs.faults[0], 'shots/empty', 'holds no images and no videos', '.jpg', '.mp4')
    assert_says(inputs.faults[1], 'shots/*.bmp', 'matches no images')


@pytest.mark.usefixtures('folder')
@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('shots/empty', 'shots/empty holds no images'),
        ('shots/*.bmp', 'matches no images'),
        ('shots/z.jpg', 'shots/z.jpg does not exist'),
        ('camera:front', 'camera:front names no camera; write camera:0'),
    ],
)
def test_nothing_at_all_is_one_line(text, said):
    assert_says(refusal(find_inputs, [text]), said)


def test_a_camera_has_a_number_and_a_name_for_its_files():
    (item,) = find_inputs(['camera:1']).items
    assert (item.camera, item.name, item.moves) == (1, Path('camera1'), True)
