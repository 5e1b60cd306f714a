"""Versions that do not fit are named; what is installed here works."""

import pytest

from rapidnet_mm.analysis.doctor import environment
from rapidnet_mm.analysis.doctor.finding import BREAKS, ODD, SPOILS

NEW = {
    'mmengine': ('onedl-mmengine',),
    'mmcv': ('onedl-mmcv',),
    'mmdet': ('onedl-mmdetection',),
}
OLD = {'mmengine': ('mmengine',), 'mmcv': ('mmcv-lite',), 'mmdet': ('mmdet',)}
GOOD = {'torch': '2.13.0+cpu', 'torchvision': '0.28.0', 'numpy': '2.2.6'}


@pytest.mark.parametrize(
    ('stacks', 'changes', 'grade', 'part'),
    [
        (NEW, {'torchvision': '0.27.1'}, BREAKS, '0.28'),
        (OLD, {}, BREAKS, 'numpy 2.2.6'),
        ({**NEW, 'mmdet': ('mmdet',)}, {'numpy': '1.26.4'}, SPOILS, 'mmdet'),
    ],
)
def test_versions_that_do_not_fit_are_named(stacks, changes, grade, part):
    (finding,) = environment.version_findings(stacks, GOOD | changes)
    assert finding.grade == grade
    assert part in finding.line()


@pytest.mark.parametrize(('stacks', 'changes'), [(NEW, {}), (OLD, {'numpy': '1.26.4'})])
def test_versions_that_fit_are_not(stacks, changes):
    assert list(environment.version_findings(stacks, GOOD | changes)) == []
    assert list(environment.version_findings(stacks, {})) == []


def test_two_stacks_in_one_environment_are_named():
    both = {**NEW, 'mmdet': ('onedl-mmdetection', 'mmdet')}
    (finding,) = environment._packages(both)
    assert 'uninstall onedl-mmdetection mmdet' in finding.way_out


def test_this_environment_can_train():
    assert {finding.grade for finding in environment.findings()} <= {ODD}
    assert 'torch ' in environment.facts()['libraries']


def test_an_operator_that_is_wrong_is_named(monkeypatch):
    monkeypatch.setattr(environment, 'operator_results', lambda _: ([0, 1], [3.0]))
    (finding,) = environment._operators()
    assert finding.grade == BREAKS
    assert '[0, 1]' in finding.what
    monkeypatch.setattr(environment, 'operator_results', lambda _: 1 / 0)
    (finding,) = environment._operators()
    assert 'ZeroDivisionError' in finding.what


def test_a_device_that_does_not_learn_is_named(monkeypatch):
    monkeypatch.setattr(environment, 'train_a_little', lambda _: (1.0, float('nan')))
    (finding,) = environment._self_test()
    assert finding.grade == BREAKS
    assert 'nan' in finding.what


def test_little_memory_and_disk_are_named(monkeypatch):
    monkeypatch.setattr(environment, 'memory', lambda: (2**28, 2**33))
    monkeypatch.setattr(environment, 'LEAST_DISK', 2**60)
    text = ' '.join(finding.line() for finding in environment._resources())
    assert '0.2 GiB of memory' in text
    assert 'for checkpoints' in text
