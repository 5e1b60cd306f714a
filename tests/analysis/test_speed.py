"""Timing in turns, and the test of a model in its inference form."""

import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from rapidnet_mm.analysis.speed import prediction
from rapidnet_mm.analysis.speed.inference_form import InferenceForm
from rapidnet_mm.analysis.speed.prediction import Prediction
from rapidnet_mm.analysis.speed.timing import Speed, in_turns
from rapidnet_mm.backbones.layers import ConvNormAct
from rapidnet_mm.commands import benchmark


def test_steps_take_turns_begin_in_turn_and_the_first_round_does_not_count():
    calls = []
    times = in_turns([lambda n=name: calls.append(n) for name in 'abc'], 3)
    assert ''.join(calls) == 'abc' + 'bca' + 'cab' + 'abc'
    assert [len(seconds) for seconds in times] == [3, 3, 3]


def test_speeds_are_compared_with_the_first():
    speeds = {'plain': Speed([0.2, 0.1, 0.4], 2), 'fast': Speed([0.1, 0.1, 0.1], 2)}
    found = Prediction(speeds, {'process': 5.0}, {'other': 'why'}, 'folded: nothing', 'all')
    assert speeds['plain'].images_per_second == pytest.approx(10)
    assert speeds['plain'].percentile(95) == pytest.approx(0.38)
    assert found.ratio('fast') == pytest.approx(2)
    first, second = found.to_dict()['speeds']
    assert (first['name'], first['p50_ms'], first['ratio']) == ('plain', pytest.approx(200), 1)
    assert (second['name'], second['ratio']) == ('fast', pytest.approx(2))


@pytest.mark.skipif(torch.cuda.is_available(), reason='on a GPU the peaks are counted by torch')
def test_where_the_system_does_not_count_memory_the_table_says_so(monkeypatch):
    assert prediction._peak_memory({}, {})['process'] > 10
    monkeypatch.setitem(sys.modules, 'resource', None)  # as on Windows
    assert prediction._peak_memory({}, {}) == {}
    result = Prediction({'plain': Speed([0.2], 1)}, {}, {}, 'folded: nothing', 'all')
    assert 'peak memory: not known' in benchmark._to_text(result, 'title')


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = ConvNormAct(3, 4, 3)

    def test_step(self, data):
        return self.layer(data.pop('image'))


class Merged(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list

    def test_step(self, data):
        return self.module.test_step(data)


@pytest.mark.parametrize('merged', [False, True])
def test_a_test_runs_the_inference_form_and_gives_the_model_back(merged, caplog):
    trained = Network()
    model = Merged(module=trained) if merged else trained
    loader = SimpleNamespace(
        dataset=[torch.randn(1, 3, 8, 8)], collate_fn=lambda d: {'image': d[0]}
    )
    runner = SimpleNamespace(model=model, test_dataloader=loader, logger=logging.getLogger('test'))
    hook = InferenceForm()
    with caplog.at_level(logging.INFO):
        hook.before_test_epoch(runner)
    assert not any(isinstance(module, _BatchNorm) for module in runner.model.modules())
    assert 'inference form' in caplog.text
    assert (runner.model is model) == merged
    hook.after_test_epoch(runner)
    assert runner.model is model
    assert (model.module if merged else model) is trained
    assert isinstance(trained.layer.norm, _BatchNorm)
