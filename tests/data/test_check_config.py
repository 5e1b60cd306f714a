"""Which checker a data set gets, and what the checkers of all kinds have in common."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from rapidnet_mm import UserError
from rapidnet_mm.data.checks import check_config
from rapidnet_mm.data.checks.check_config import (
    CHECKERS,
    KINDS,
    checker_of,
    checkers_of,
    class_names,
    warn_of_other_classes,
)
from rapidnet_mm.data.checks.checker import DatasetChecker
from tests.messages import assert_says, refusal


class Dataset:
    """A data set that no checker is for."""


def test_every_type_has_one_checker():
    assert len(CHECKERS) == sum(len(kind.types) for kind in KINDS)
    for name, kind in CHECKERS.items():
        for config in (dict(type=name), dict(type=f'mmdet.{name}'), dict(type=type(name, (), {}))):
            assert type(checker_of(config, 'here')) is kind
    assert checker_of(dict(type=Dataset), 'here') is None
    assert checker_of({}, 'here') is None


def test_class_names_of_another_type_are_refused_with_the_choices():
    assert_says(refusal(class_names, dict(type=Dataset)), 'Dataset', *CHECKERS)


def test_checkers_know_the_place_of_their_data_set():
    inner = [dict(type='CocoDataset'), dict(type=Dataset), dict(type='ImageNet')]
    cfg = Config(dict(val_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=inner))))
    assert [checker.where for checker in checkers_of(cfg, 'val')] == [
        'val_dataloader.dataset.datasets.0',
        'val_dataloader.dataset.datasets.2',
    ]
    assert checkers_of(cfg, 'train') == []


class Failing(DatasetChecker):
    types = ('Failing',)

    def check_files(self):
        raise UserError('the file a\nb is bad')

    def class_names(self):
        return ()


def test_a_fault_is_one_line_that_begins_with_the_place():
    checker = Failing({}, 'train_dataloader.dataset')
    assert refusal(checker.check) == 'train_dataloader.dataset: the file a b is bad'


@pytest.mark.parametrize('remote', [dict(data_root='s3://bucket'), dict(backend_args=dict(a=1))])
def test_remote_files_are_not_checked(remote):
    Failing(remote, 'here').check()


@pytest.mark.parametrize(
    ('trained', 'classes', 'lines'),
    [
        (('ant', 'bee'), ('ant', 'bee'), 0),
        (['ant', 'bee'], ('ant', 'bee'), 0),
        (('ant', 'bee'), ('bee', 'ant'), 1),
        (('ant',), 'bee', 1),
        (None, ('ant', 'bee'), 0),
        (('ant',), None, 0),
    ],
)
def test_other_classes_than_those_of_the_checkpoint_are_named(trained, classes, lines, monkeypatch):
    warnings = []
    monkeypatch.setattr(check_config, 'warn', warnings.append)
    warn_of_other_classes(trained, SimpleNamespace(metainfo=dict(classes=classes)), 'a.pth')
    assert len(warnings) == lines
    for line in warnings:
        assert_says(line, 'a.pth', f'({", ".join(trained)})', classes[-1])
