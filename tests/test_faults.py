"""The planted faults through the real commands: one line that names file and place, or it goes on.

A process that has imported torch and MM forks for each command; some run as a user starts them.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.messages import ENTRIES, PAGE, entries_of, page
from tests.faults.project import make_project
from tests.faults.table import AREAS, CASES
from tests.warm import Result, WarmCommands

SECONDS = 60  # for one command; most take less than one
NAMES = [f'{area.name}: {fault.name}' for area, fault, _ in CASES]
ALONE = [area.cases()[len(area.faults) // 2] for area in AREAS]
LEAST = {'data': 40, 'config': 20, 'checkpoint': 25, 'machine': 15}
explained = set()  # entries of the troubleshooting page that a fault's line belongs to


@pytest.fixture(scope='module')
def warm(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('OMP_NUM_THREADS', '1')
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield WarmCommands(tmp_path_factory.mktemp('commands'), ['tests.faults.table'])


@pytest.fixture(scope='module')
def trained(warm, tmp_path_factory):
    """A project with a work directory as a training leaves it."""
    folder = tmp_path_factory.mktemp('trained')
    make_project(folder)
    result = warm.run(['train', 'segmentation.py', '--work-dir', 'work'], folder, SECONDS)
    assert result.status == 0, result.errors
    assert (folder / 'work/iter_10.pth').is_file()
    return folder


@pytest.fixture
def project(area, fault, tmp_path, request):
    """A folder with the planted fault. What the plant returns lives as long as the test."""
    folder = tmp_path / 'project'
    if area.name == 'machine':
        shutil.copytree(request.getfixturevalue('trained'), folder)
    else:
        make_project(folder)
    guard = fault.plant(folder / area.place)
    yield folder
    if hasattr(guard, 'release'):
        guard.release()
    shutil.rmtree(folder, ignore_errors=True)  # with its checkpoints, hundreds of megabytes


def files_of(folder):
    """Hashes of all files that are the user's."""
    files = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and not file.is_symlink() and _is_the_user_s(file.relative_to(folder))
    }


def _is_the_user_s(file):
    return file.name != '.training.lock' and (file.parts[0] != 'work' or file.suffix == '.pth')


def assert_met(fault, result, folder, before):
    report = f'{result.output[-800:]}\n{result.errors[-3000:]}'
    assert result.in_time, report
    assert 'Traceback' not in result.output + result.errors, report
    lines = [line for line in result.errors.splitlines() if line.strip()]
    if fault.start is None:
        assert result.status == 2, report
        assert len(lines) == 1, report
        assert lines[0].startswith('error: '), report
        assert not any(f'{word}(train)' in result.output for word in ('Epoch', 'Iter')), report
        assert before.items() <= files_of(folder).items()
        (line,) = lines
    else:
        assert result.status == 0, report
        assert 'error:' not in result.errors, report
        line = result.output + result.errors
        assert fault.start in line
    for fact in fault.facts:
        assert fact in line, report
    if fault.start is None:
        entries = entries_of(line)
        assert entries, f'docs/troubleshooting.md does not explain: {line}'
        explained.update(entries)


@pytest.mark.slow
@pytest.mark.parametrize(('area', 'fault', 'command'), CASES, ids=NAMES)
def test_a_planted_fault_is_met(area, fault, command, project, warm):  # noqa: ARG001
    before = files_of(project)
    result = warm.run(shlex.split(command), project, SECONDS)
    assert_met(fault, result, project, before)


@pytest.mark.slow
@pytest.mark.parametrize(('area', 'fault', 'command'), ALONE)
def test_a_command_that_a_user_starts_does_the_same(area, fault, command, project):  # noqa: ARG001
    before = files_of(project)
    done = subprocess.run(
        [sys.executable, '-m', 'rapidnet_mm', *shlex.split(command)],
        cwd=project,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        errors='replace',
        timeout=2 * SECONDS,
    )
    assert_met(fault, Result(done.returncode, done.stdout, done.stderr, True), project, before)


@pytest.mark.slow
def test_every_explanation_has_a_fault_or_says_why_not(request):
    if len([item for item in request.session.items if 'planted_fault_is_met' in item.name]) < len(
        CASES
    ):
        pytest.skip('only some of the faults were planted')
    assert {entry for entry in ENTRIES if not entry.why_not} == explained


def test_the_page_has_the_tables():
    assert PAGE.read_text() == page(), 'run python -m tests.faults.messages'


def test_there_are_enough_faults_and_each_has_a_name_of_its_own():
    counts = {area.name: len(area.faults) for area in AREAS}
    counts['data'] = counts['detection'] + counts['labels']
    assert all(counts[name] >= least for name, least in LEAST.items())
    assert len(set(NAMES)) == len(NAMES)
