"""``rapidnet data convert`` and ``rapidnet data split``."""

import json

import pytest

from rapidnet_mm.commands.main import main
from tests.data.importers import samples
from tests.data.importers.samples import read


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(['data', *map(str, arguments)])
    output = capsys.readouterr()
    return end.value.code or 0, output.out, output.err


def test_convert_writes_another_format_and_says_what_is_lost(tmp_path, capsys):
    samples.yolo(tmp_path / 'in', ['0 .1 .1 .4 .1 .4 .5\n', '1 .5 .5 .25 .5 .5 .75\n'])
    (tmp_path / 'in/labels/val/v.txt').write_text('1 .1 .2 .3 .3 .4 .9\n')
    status, out, _ = run(capsys, 'convert', tmp_path / 'in', '--to', 'voc', '--out', tmp_path / 'o')
    assert status == 0
    assert 'yolo, instance, 2 classes, images: train 2, val 1; 3 objects' in out
    assert '- VOC has no polygons' in out
    assert len(list((tmp_path / 'o/Annotations').glob('*.xml'))) == 3
    assert not any(path.is_symlink() for path in (tmp_path / 'o/JPEGImages').iterdir())
    arguments = ('--to', 'coco', '--images', 'link', '--out', tmp_path / 'p')
    assert run(capsys, 'convert', tmp_path / 'in', *arguments)[0] == 0
    assert all(path.is_symlink() for path in (tmp_path / 'p/train').iterdir())
    assert len(read(tmp_path / 'p').pictures) == 3


def test_split_divides_anew_and_says_so(tmp_path, capsys):
    samples.coco(tmp_path / 'in', [{'image_id': i} for i in range(10)], images=10)
    arguments = ('--val', '0.3', '--seed', '2', '--out', tmp_path / 'out')
    status, out, _ = run(capsys, 'split', tmp_path / 'in', *arguments)
    assert status == 0
    assert 'coco, boxes, 2 classes, images: train 7, val 3' in out
    assert 'seed 2' in out
    content = json.loads((tmp_path / 'out/dataset.json').read_text())
    assert content['splits']['val'] == {'annotations': 'annotations/val.json', 'images': 3}


def test_a_fault_is_one_line_and_status_2(tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    status, out, err = run(capsys, 'split', tmp_path / 'in', '--out', tmp_path / 'out')
    assert (status, out) == (2, '')
    assert err.startswith('error: ')
    assert len(err.splitlines()) == 1
    assert 'empty folder' in err
