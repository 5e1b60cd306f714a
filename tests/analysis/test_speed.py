"""Timing in turns, and the test of a model in its inference form."""

import json
import logging
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from rapidnet_mm import config_file
from rapidnet_mm.analysis.latencies import LATENCIES, printed_ratio
from rapidnet_mm.analysis.speed import prediction
from rapidnet_mm.analysis.speed.inference_form import InferenceForm
from rapidnet_mm.analysis.speed.prediction import Prediction
from rapidnet_mm.analysis.speed.several import Model, Timed, to_text
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


def test_printed_ratios_are_those_of_one_table_and_one_device():
    plain, one = 'rexnet_plain_in1k', 'rexnet_100_in1k'
    assert printed_ratio(plain, one, 'cpu') == pytest.approx(22 / 47)  # 0.47 in Table A1
    assert printed_ratio(plain, one, 'gpu') == pytest.approx(10 / 21)
    assert printed_ratio('rexnet_lite_100_in1k', one, 'cpu') is None  # of another table
    assert printed_ratio('rapidnet_ti_in1k', 'rapidnet_ti_in1k', 'cpu') is None  # not printed
    assert printed_ratio('mine', 'mine', 'cpu') is None
    assert printed_ratio(plain, 'mine', 'cpu') is None


@pytest.mark.parametrize('name', LATENCIES)
def test_printed_latencies_are_of_configs_that_exist(name):
    assert Path(config_file(f'imagenet/{name}')).is_file()


def timed(*milliseconds, printed):
    speeds = [Speed([ms / 1000], 2) for ms in milliseconds]
    models = [Model(f'model {number}', None, (32, 64)) for number in range(len(speeds))]
    return [
        Timed(model, speed, speeds[0], ratio)
        for model, speed, ratio in zip(models, speeds, printed, strict=True)
    ]


def test_the_printed_ratio_has_a_column_where_there_is_one():
    text = to_text(timed(100, 64, printed=(1.0, 0.47)), 'title')
    cells = [
        [c.strip() for c in line.split('|')[1:-1]] for line in text.splitlines() if '|' in line
    ]
    assert cells[0][-2:] == ['time over the first, here', 'printed']
    assert cells[2] == ['model 1', '32x64', '64.0', '64.0', '31.25', '0.64', '0.47']
    assert 'printed' not in to_text(timed(100, 64, printed=(1.0, None)), 'title')


def in_process(monkeypatch, *args):
    """Run ``rapidnet benchmark`` here, and return its exit status."""
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *map(str, args)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(Path(__file__).parents[2] / 'tools/benchmark.py'), run_name='__main__')
    return end.value.code or 0


@pytest.mark.parametrize('form', ['training', 'inference'])
def test_several_models_are_timed_in_turns(form, monkeypatch, capsys, tmp_path):
    names = ['rexnet_100_in1k', 'rexnet_plain_in1k', 'vgnetg_1_0mp_in1k']
    configs = [config_file(f'imagenet/{name}') for name in names]
    options = ['--shape', '32', '64', '--steps', '2', '--json', tmp_path / 'speed.json']
    assert in_process(monkeypatch, *configs, *options, '--form', form) == 0
    output = capsys.readouterr().out
    found = json.loads((tmp_path / 'speed.json').read_text())
    assert [model['name'] for model in found['models']] == names
    assert (found['form'], found['rounds'], found['batch']) == (form, 2, 1)
    first = found['models'][0]
    for model in found['models']:
        assert model['shape'] == [32, 64]
        assert model['ratio'] == pytest.approx(model['p50_ms'] / first['p50_ms'])
        assert f'{model["p50_ms"]:.1f}' in output
    device = 'gpu' if torch.cuda.is_available() else 'cpu'
    expected = [printed_ratio(name, names[0], device) for name in names]
    assert [model['printed_ratio'] for model in found['models']] == expected
    assert expected[1]
    assert expected[2] is None
    assert f'{form} form' in output


def test_backbones_have_no_printed_ratio(monkeypatch, capsys):
    names = ['rexnet_100_in1k', 'rexnet_plain_in1k']
    configs = [config_file(f'imagenet/{name}') for name in names]
    options = ['--backbone', '--shape', '32', '64', '--steps', '1']
    assert in_process(monkeypatch, *configs, *options) == 0
    output = capsys.readouterr().out
    assert 'backbones in training form' in output
    assert 'printed' not in output


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['ONE', '--form', 'inference'], '--form goes with several configs'),
        (['ONE', 'nowhere.py'], 'config nowhere.py does not exist'),
        (['ONE', 'ONE', '--shape', '32', '64', '--json', '.'], '--json . is a folder'),
    ],
)
def test_several_configs_that_cannot_be_timed_are_refused(args, message, monkeypatch, capsys):
    one = config_file('imagenet/rexnet_plain_in1k')
    assert in_process(monkeypatch, *(one if arg == 'ONE' else arg for arg in args)) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if 'error: ' in line]
    assert message in line
