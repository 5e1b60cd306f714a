"""Predictions in a file: whole, and replaced only by the command that wrote it."""

import pickle
from types import SimpleNamespace

import pytest

from rapidnet_mm import UserError
from rapidnet_mm.engine.metrics.dump import dump_predictions


def test_a_second_test_may_replace_its_own_predictions(tmp_path):
    runner, path = SimpleNamespace(cfg={}, test_evaluator=SimpleNamespace(metrics=[])), tmp_path
    for number in (1, 2):
        dump_predictions(runner, str(path / 'a.pkl'))
        assert runner.test_evaluator.metrics[-1].compute_metrics([number]) == {}
        assert pickle.loads((path / 'a.pkl').read_bytes()) == [number]
    (path / 'a.pkl').write_bytes(b'of the user')
    with pytest.raises(UserError, match='has not written it'):
        dump_predictions(runner, str(path / 'a.pkl'))
