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
from rapidnet_mm.analysis.latencies import LATENCIES
from rapidnet_mm.analysis.papers import ROWS
from rapidnet_mm.analysis.speed.several import Model, Timed
from rapidnet_mm.analysis.speed.timing import Speed
from rapidnet_mm.analysis.zoo import latency, metafiles, page, pictures, update

REPOSITORY = Path(__file__).parents[2]
RUN = 'run rapidnet zoo'
LEAVES = sorted(
    p.relative_to(REPOSITORY).as_posix()
    for p in (REPOSITORY / 'configs').rglob('*.py')
    if '_base_' not in p.parts
)


@pytest.fixture(scope='module')
def models():
    return metafiles.load()


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the zoo that a test may change."""
    shutil.copytree(REPOSITORY / 'configs', tmp_path / 'configs')
    shutil.copytree(REPOSITORY / 'docs', tmp_path / 'docs')
    shutil.copy(REPOSITORY / metafiles.INDEX, tmp_path)
    monkeypatch.setattr(metafiles, 'ROOT', tmp_path)
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def in_process(monkeypatch, *args):
    """Run the tool here, without counting, and return its exit status."""
    monkeypatch.setattr(update, 'recount', lambda _: [])
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
    found = [path.relative_to(REPOSITORY).as_posix() for path in update.stale(models)]
    assert not found, f'{found}: {RUN}'


def test_counts_of_models_that_are_in_no_paper_are_what_we_build():
    models = metafiles.load()  # those that are in a paper: test_complexity.py
    mine = [entry for entry in models.entries if entry.counted and entry.row is None]
    sample = {entry.data['Table']: str(entry) for entry in mine}  # one a table; --check counts all
    changed = update.recount(models, lambda entry: str(entry) in sample.values())
    assert not changed, f'{changed}: {RUN}'


def cells_by_column(text):
    """Every table of the page as rows of {column: cell}, without links."""
    text = re.sub(r'\[(.*?)\]\(.*?\)', r'\1', text)
    for table in re.findall(r'(?:^\|.*\|\n)+', text, re.MULTILINE):
        lines = [[c.strip(' |') for c in line.split('|')[1:-1]] for line in table.splitlines()]
        yield from (dict(zip(lines[0], line, strict=True)) for line in lines[2:])


def test_the_page_puts_every_number_into_the_column_of_its_kind(models):
    rows = list(cells_by_column(page.page(models, {})))
    for row in ROWS:
        found = [cells for cells in rows if cells.get('model') == row.model]
        expected = {
            f'{what}, {kind}': getattr(figure, kind)
            for what, figure in (('parameters', row.params), ('FLOPs', row.flops))
            for kind in ('printed', 'counted', 'derived')
            if figure and getattr(figure, kind)
        }
        assert any(expected.items() <= cells.items() for cells in found), row
    (cells,) = [cells for cells in rows if cells.get('model') == 'ReXNet x1.5']
    assert list(cells.values()) == [
        *('ReXNet x1.5', '9.7M', '9,728,593', '', '9,728,593'),
        *('0.86B', '0.876 G', '', '0.876 G', '80.3 / 95.2', '59', '31'),
    ]
    assert '| 44.2M | 44.171 M learnable |' in page.page(models, {})


def test_what_is_not_printed_is_in_no_printed_cell(models):
    texts = {figure.printed for row in ROWS for figure in (row.params, row.flops) if figure}
    texts |= {text for entry in models.entries for text in entry.printed.values()}
    for cells in cells_by_column(page.page(models, {})):
        for column, cell in cells.items():
            if column.endswith(', printed') and cell and not re.search('AP|mIoU|Top', column):
                assert cell in texts, cells


def test_every_printed_latency_is_on_the_page(models):
    rows = list(cells_by_column(page.page(models, {})))
    for name, ms in LATENCIES.items():
        (entry,) = [e for e in models.entries if e.data['Name'] == name]
        printed = [ms.cpu, ms.gpu, ms.npu]
        assert any(
            [cells.get(f'{key}, printed', '') for key in metafiles.DEVICES.values()] == printed
            for cells in rows
            if cells.get('model') == entry.label
        ), name


def test_a_config_that_no_metafile_has_is_named(copy):
    (copy / 'configs/imagenet/new_in1k.py').write_text('_base_ = []')
    with pytest.raises(UserError, match=r'has configs/imagenet/new_in1k\.py: add') as error:
        metafiles.load()
    assert '\n' not in str(error.value)


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
        metafiles.load()


def test_a_metafile_that_is_missing_is_named(copy):
    (copy / 'configs/resnet/metafile.yml').unlink()
    with pytest.raises(UserError, match=r'configs/resnet/metafile\.yml cannot be read'):
        metafiles.load()


@pytest.mark.parametrize(
    ('index', 'fact'),
    [
        ('Import: [../x.yml]', 'not in configs/'),
        ('Import: [/etc/hostname]', 'not in configs/'),
        ('Import: [', 'cannot be read'),
        ('Import: !!python/name:os.system', 'cannot be read'),
        ('- 1', 'holds a list'),
        ('Import: 5', 'needs Import'),
        ('a: 1', 'needs Import'),
    ],
)
def test_an_index_that_cannot_be_right_is_refused_in_a_line(index, fact, copy):
    (copy / metafiles.INDEX).write_text(index)
    with pytest.raises(UserError, match=fact):
        metafiles.load()


def test_the_tool_says_what_is_stale_and_writes_it(copy, monkeypatch, capsys):
    assert in_process(monkeypatch, '--check') == 0
    edit(copy / 'configs/rexnet/metafile.yml', 'Top 1 Accuracy: 77.9', 'Top 1 Accuracy: 78.0')
    assert in_process(monkeypatch, '--check') == 2
    assert f'{page.PAGE}, {update.PLOTS["imagenet"].path} stale' in capsys.readouterr().err
    assert in_process(monkeypatch) == 0
    assert '78.0 / 93.9' in (copy / page.PAGE).read_text()
    assert in_process(monkeypatch, '--check') == 0
    edit(copy / page.PAGE, '78.0 / 93.9', '80.0 / 93.9')
    assert in_process(monkeypatch, '--check') == 2


def test_counts_are_written_where_they_are_others(copy):
    path = copy / 'configs/rexnet/metafile.yml'
    content = yaml.safe_load(path.read_text())
    entry = next(e for e in content['Models'] if e['Name'] == 'ssdlite_rexnet_plain_coco')
    right = entry.pop('Metadata')
    path.write_text('# kept\n' + yaml.safe_dump(content, sort_keys=True))
    models = metafiles.load()
    changed = update.recount(models, lambda e: e.data['Name'] == entry['Name'])
    assert changed == ['configs/rexnet/metafile.yml: ssdlite_rexnet_plain_coco']
    text = update.texts(models)[path]
    assert text.startswith('# kept\n')
    assert yaml.safe_load(text)['Models'] == [
        {**e, 'Metadata': right} if e['Name'] == entry['Name'] else e for e in content['Models']
    ]


@pytest.mark.parametrize('name', update.PLOTS)
def test_a_picture_is_the_same_for_the_same_numbers(name, models):
    picture = update.picture(models, name)
    first = pictures.draw(picture)
    assert first.startswith(b'\x89PNG')
    assert first == pictures.draw(picture)
    other = picture._replace(points=(picture.points[0]._replace(x=0.5), *picture.points[1:]))
    assert picture.fingerprint().encode() in first
    assert other.fingerprint().encode() not in first


def test_the_pictures_have_the_families_and_say_what_is_ours(models):
    curves = {name: {p.curve for p in update.picture(models, name).points} for name in update.PLOTS}
    assert curves['imagenet'] >= {'RapidNet', 'ReXNet', 'ReXNet-lite', 'VGNetG', 'MobileViG'}
    assert curves['coco'] >= {'RapidNet', 'PoolFormer', 'ReXNet (recipe not known)', 'LSNet'}
    assert curves['ade20k'] >= {'RapidNet', 'PoolFormer', 'RepNeXt'}
    for name in update.PLOTS:
        picture = update.picture(models, name)
        assert picture.xlabel.endswith(', ours')
        assert picture.ylabel.endswith(', printed')
        assert any('hollow' in note for note in picture.notes) == any(
            p.hollow for p in picture.points
        )


def test_an_accuracy_that_is_not_recorded_is_a_line_at_our_flops(models):
    points = {
        p.label: p for p in update.picture(models, 'imagenet').points if p.curve == 'RapidNet'
    }
    assert points['Ti'].y == 76.3
    assert points['M'].y is None
    assert points['M'].x == pytest.approx(1.597, abs=0.001)


def test_a_hollow_point_is_at_the_printed_flops_times_the_area(models):
    points = {(p.curve, p.label): p for p in update.picture(models, 'ade20k').points}
    point = points['RepNeXt', 'M4']
    assert point.hollow
    assert point.x == pytest.approx(2.3 * 512**2 / 224**2)
    assert not points['PoolFormer', 'S12'].hollow


def test_the_latency_picture_keeps_measured_and_printed_apart(models):
    timed = [
        Timed(Model(name, None, (224, 224)), Speed([ms / 1000], 1), Speed([0.1], 1), None)
        for name, ms in (('rexnet_100_in1k', 100), ('rexnet_plain_in1k', 64))
    ]
    picture = latency.picture(models, timed, 'this machine')
    points = {(p.curve, p.label): p for p in picture.points}
    assert points['ReXNet', 'x1.0'] == ('ReXNet', 'x1.0', 100.0, 77.9, False)
    assert points['ReXNet, printed (CPU)', ''][2:] == (47.0, 77.9, True)  # beside x1.0
    assert ('ReXNet', 'x2.0') not in points  # not timed
    assert points['ReXNet, printed (CPU)', 'x2.0'].x == 69
    assert not any('RapidNet' in p.curve for p in picture.points)
    assert any('this machine' in note for note in picture.notes)


def test_the_headline_on_the_phone_is_printed_and_not_measured(models):
    timed = [
        Timed(Model(name, None, (224, 224)), Speed([0.05], 1), Speed([0.05], 1), None)
        for name in ('rapidnet_ti_in1k', 'rapidnet_m_in1k')
    ]
    picture = latency.picture(models, timed, 'this machine')
    points = {(p.curve, p.label): p for p in picture.points}
    phone = points['RapidNet, printed (NPU)', 'Ti']
    assert (phone.x, phone.y, phone.hollow) == (0.9, 76.3, True)
    assert points['MobileNetV2 x1.4, printed (NPU)', ''].x == 1.0
    assert points['RapidNet', 'M'].y is None


def test_latencies_are_measured_here_and_drawn(monkeypatch, capsys, tmp_path):
    file = tmp_path / 'new/latency.png'
    names = ['vgnetg_1_0mp_in1k', 'rexnet_plain_in1k']
    assert in_process(monkeypatch, '--latency', str(file), '--steps', '1', '--models', *names) == 0
    assert file.read_bytes().startswith(b'\x89PNG')
    output = capsys.readouterr().out
    assert all(name in output for name in names)


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--steps', '3'], 'go with --latency'),
        (['--latency', 'a.png', '--check'], '--check does not go with --latency'),
        (['--latency', 'a.png', '--models', 'rexnet_lost'], 'rexnet_lost: choose from rapidnet_ti'),
    ],
)
def test_bad_arguments_are_refused_in_a_line(args, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert in_process(monkeypatch, *args) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if 'error: ' in line]
    assert message in line
    assert not Path('a.png').exists()
