"""Names, URLs and values that are no usual ones: each is one line, or is ignored."""

import io
import os
from pathlib import Path

import pytest
import torch

from rapidnet_mm import UserError
from rapidnet_mm.transfer.download import _extent
from rapidnet_mm.weights.content import dataset_meta
from rapidnet_mm.weights.download import downloaded
from rapidnet_mm.weights.load import check_finite
from rapidnet_mm.weights.locate import copy_into, locate
from rapidnet_mm.weights.release import packed
from tests.messages import refusal


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path


@pytest.mark.parametrize('url', ['https://[x/y.pth', 'http://127.0.0.1:1/ü.pth'])
def test_a_url_that_cannot_be_is_refused_in_a_line(url):
    assert url in refusal(lambda: downloaded(url, lambda _: None))


@pytest.mark.parametrize('length', ['²', '9' * 5000, '-1', ''])
def test_a_length_that_is_no_number_is_not_known(length):
    class Answer:
        status = 200
        headers = {'Content-Length': length}

    assert _extent(Answer) == (0, None)


def test_a_home_that_is_not_known_is_a_file_that_does_not_exist():
    with pytest.raises(UserError, match='does not exist'):
        locate('~no-such-user/x.pth')


@pytest.mark.parametrize('palette', [5, [1, 2, 3], [['x']], [None], {'a': 1}, [[1, 2]]])
def test_a_palette_that_is_none_is_ignored(palette):
    meta = {'classes': ['a', 'b'], 'palette': palette}
    assert dataset_meta({'meta': {'dataset_meta': meta}}) == {'classes': ('a', 'b')}


def saved(value):
    buffer = io.BytesIO()
    torch.save({'a': torch.full((5,), value)}, buffer)
    return buffer.getvalue()


def test_a_fetched_file_does_not_replace_another(folder):
    source, target = folder / 'cache/x.pth', folder / 'out/x.pth'
    source.parent.mkdir()
    target.parent.mkdir()
    source.write_bytes(saved(1.0))
    target.write_bytes(saved(2.0))
    assert 'another file' in refusal(lambda: copy_into('x', source, target.parent))
    assert target.read_bytes() == saved(2.0)
    target.write_bytes(saved(1.0))
    assert copy_into('x', source, target.parent) == target
    target.unlink()
    os.symlink('nothing', target)
    assert 'another file' in refusal(lambda: copy_into('x', source, target.parent))
    target.unlink()
    Path('out/x.pth.part').write_text('of the user')
    assert copy_into('x', source, target.parent).read_bytes() == saved(1.0)
    assert Path('out/x.pth.part').read_text() == 'of the user'


def test_numbers_that_the_format_cannot_hold_are_refused_in_a_line():
    message = refusal(lambda: packed({'a': torch.empty(2, dtype=torch.bits8)}))
    assert 'torch.bits8' in message


def test_numbers_of_four_bits_are_finite():
    kind = getattr(torch, 'float4_e2m1fn_x2', None)
    if kind is None:
        pytest.skip('this torch has no such numbers')
    check_finite({'a': torch.zeros(2, dtype=torch.uint8).view(kind)}, 'x.pth')
