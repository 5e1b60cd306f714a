"""The model zoo says what is in the repository, and is not stale."""

import re
import runpy
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from rapidnet_mm import UserError
from rapidnet_mm.analysis import zoo, zoo_picture
from rapidnet_mm.analysis.papers import ROWS

REPOSITORY = Path(__file__).parents[2]
RUN = 'run rapidnet zoo'
LEAVES = sorted(
    p.relative_to(REPOSITORY).as_posix()
    for p in (REPOSITORY / 'configs').rglob('*.py')
    if '_base_' not in p.parts
)


@pytest.fixture(scope='module')
def models():
    return zoo.load()


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the zoo that a test may change."""
    shutil.copytree(REPOSITORY / 'configs', tmp_path / 'configs')
    shutil.copytree(REPOSITORY / 'docs', tmp_path / 'docs')
    shutil.copy(REPOSITORY / zoo.INDEX, tmp_path)
    monkeypatch.setattr(zoo, 'ROOT', tmp_path)
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def in_process(monkeypatch, *args):
    """Run the tool here, without counting, and return its exit status."""
    monkeypatch.setattr(zoo, 'recount', lambda _: [])
    monkeypatch.setattr(sys, 'argv', ['model_zoo.py', *args])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(REPOSITORY / 'tools/model_zoo.py'), run_name='__main__')
    return end.value.code or 0


def test_every_config_is_in_exactly_one_metafile(models):
    listed = Counter(entry.config for entry in models.entries if entry.config)
    missing = [path for path in LEAVES if path not in listed]
    assert not missing, f'no metafile in configs/ has {missing}: add them and {RUN}'
    assert set(listed) == set(LEAVES)
    assert [path for path, times in listed.items() if times > 1] == []


def test_every_metafile_is_in_the_index_and_every_collection_is_described(models):
    found = {path.relative_to(REPOSITORY) for path in models.files}
    written = (REPOSITORY / 'configs').rglob('metafile.yml')
    assert found == {path.relative_to(REPOSITORY) for path in written}
    for content in models.files.values():
        collections = {collection['Name'] for collection in content['Collections']}
        for entry in (*content.get('Models', []), *content.get('Published', [])):
            assert entry['In Collection'] in collections


def test_page_picture_and_metafiles_are_not_stale(models):
    found = [path.relative_to(REPOSITORY).as_posix() for path in zoo.stale(models)]
    assert not found, f'{found}: {RUN}'


def test_counts_of_models_that_are_in_no_paper_are_what_we_build():
    models = zoo.load()  # those that are in a paper: test_complexity.py
    mine = [entry for entry in models.entries if entry.counted and entry.row is None]
    sample = {entry.data['Table']: str(entry) for entry in mine}  # one a table; --check counts all
    changed = zoo.recount(models, lambda entry: str(entry) in sample.values())
    assert not changed, f'{changed}: {RUN}'


def test_the_page_puts_every_published_count_beside_ours(models):
    lines = zoo.page(models).splitlines()
    for row in ROWS:
        printed = [figure.printed for figure in (row.params, row.flops) if figure]
        assert any(
            f'{row.model} |' in line.replace(']', ' |') and all(f'| {p} |' in line for p in printed)
            for line in lines
        ), row
    line = '| ReXNet x1.3 | 7,557,091 | 7,557,091 | 0.662 G | 0.662 G | 79.5 / 94.7 |'
    assert line in re.sub(r'\[(.*?)\]\(.*?\)', r'\1', '\n'.join(lines))
    assert '| 44.2 M | 44.171 M learnable |' in '\n'.join(lines)


def told(text):
    """The published accuracies in the comment at the top of a config."""
    top = re.search(
        r'^# Top-1: ([\d.]+) % published(?: \(top-5: ([\d.]+) %\))?', text, re.MULTILINE
    )
    if top:
        return [float(value) for value in top.groups() if value]
    ap = re.search(r'(?m)^# Published [^:]*\bAP[^:]*:\s*([\d./ ]*\d)', text)
    return [float(value) for value in ap[1].split(' / ')] if ap else []


def test_accuracies_are_those_at_the_top_of_the_configs(models):
    compared = 0
    for entry in models.entries:
        numbers = told((REPOSITORY / entry.config).read_text()) if entry.config else []
        metrics = entry.metrics('published')
        if 'mask AP' in metrics:  # there without AP50 and AP75
            metrics = {name: metrics[name] for name in ('mask AP', 'box AP')}
        assert numbers == list(metrics.values()) or not numbers, entry.config
        compared += bool(numbers)
    assert compared >= 40


def test_published_is_never_called_measured(models):
    for entry in models.entries:
        if entry.metrics('measured'):
            assert entry.config, entry
            assert entry.config.endswith(('_shapes.py', '_camvid.py', '_tiny.py')), entry


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('  Table: ssdlite\n', '  Table: ssdlight\n', 'Table has to be one of'),
        ('  Config: configs/ssd', '  Config: configs/sdd', 'does not exist'),
        ('Source: published', 'Source: guessed', 'Source of a result has to be one of'),
        ('  Row: ReXNet-lite x1.3', '  Row: ReXNet-lite x1.7', 'no row of papers.py'),
    ],
)
def test_a_metafile_that_cannot_be_right_is_refused_in_a_line(old, new, message, copy):
    edit(copy / 'configs/rexnet/metafile.yml', old, new)
    with pytest.raises(UserError, match=rf'configs/rexnet/metafile.yml: .*{message}'):
        zoo.load()


def test_a_metafile_that_is_missing_is_named(copy):
    (copy / 'configs/resnet/metafile.yml').unlink()
    with pytest.raises(UserError, match=r'configs/resnet/metafile\.yml cannot be read'):
        zoo.load()


def test_the_tool_says_what_is_stale_and_writes_it(copy, monkeypatch, capsys):
    assert in_process(monkeypatch, '--check') == 0
    edit(copy / 'configs/rexnet/metafile.yml', 'Top 1 Accuracy: 77.9', 'Top 1 Accuracy: 78.0')
    assert in_process(monkeypatch, '--check') == 2
    assert f'{zoo.PAGE}, {zoo.PICTURE} stale' in capsys.readouterr().err
    assert in_process(monkeypatch) == 0
    assert '78.0 / 93.9' in (copy / zoo.PAGE).read_text()
    assert in_process(monkeypatch, '--check') == 0
    edit(copy / zoo.PAGE, '78.0 / 93.9', '80.0 / 93.9')
    assert in_process(monkeypatch, '--check') == 2


def test_counts_are_written_where_they_are_others(copy):
    path = copy / 'configs/rexnet/metafile.yml'
    content = yaml.safe_load(path.read_text())
    entry = next(e for e in content['Models'] if e['Name'] == 'ssdlite_rexnet_plain_coco')
    right = entry.pop('Metadata')
    path.write_text('# kept\n' + yaml.safe_dump(content, sort_keys=True))
    models = zoo.load()
    changed = zoo.recount(models, lambda e: e.data['Name'] == entry['Name'])
    assert changed == ['configs/rexnet/metafile.yml: ssdlite_rexnet_plain_coco']
    text = zoo.texts(models)[path]
    assert text.startswith('# kept\n')
    assert yaml.safe_load(text)['Models'] == [
        {**e, 'Metadata': right} if e['Name'] == entry['Name'] else e for e in content['Models']
    ]


def test_the_picture_is_the_same_for_the_same_numbers(models):
    points = zoo.points(models)
    assert {p.curve for p in points} >= {'RapidNet', 'ReXNet', 'ReXNet-lite'}
    first = zoo_picture.draw(points)
    assert first.startswith(b'\x89PNG')
    assert first == zoo_picture.draw(points)
    other = [points[0]._replace(accuracy=50.0), *points[1:]]
    assert zoo_picture.fingerprint(points).encode() in first
    assert zoo_picture.fingerprint(other).encode() not in first
