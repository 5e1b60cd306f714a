"""``rapidnet doctor``: what it takes, what it prints, and with which status it ends."""

import json
from argparse import ArgumentParser

import pytest
import torch

from rapidnet_mm import UserError
from rapidnet_mm.analysis.doctor.finding import BREAKS, ODD, SPOILS, Finding, as_text, exit_status
from rapidnet_mm.commands import doctor
from rapidnet_mm.engine.config import CHECKOUT, build_model, load_config

CONFIG = 'semfpn_rapidnet_ti_shapes'


def run(*arguments):
    parser = ArgumentParser()
    doctor.add_arguments(parser)
    return doctor.run(parser.parse_args(list(map(str, arguments))))


@pytest.fixture
def project(shapes, monkeypatch):
    monkeypatch.chdir(shapes)


def test_findings_are_numbered_and_the_worst_comes_first():
    findings = [
        Finding(ODD, 'a', 'odd'),
        Finding(BREAKS, 'b', 'broken', 'repair it'),
        Finding(SPOILS, 'c', 'spoiled'),
    ]
    lines = as_text(findings).splitlines()
    assert [line.split()[:2] for line in lines if line[2:3].isdigit()] == [
        ['1.', BREAKS],
        ['2.', SPOILS],
        ['3.', ODD],
    ]
    assert '-> repair it' in lines[1]
    assert [exit_status(findings[:count]) for count in (0, 1, 2)] == [0, 0, 1]


@pytest.mark.slow
@pytest.mark.usefixtures('project')
def test_a_good_config_and_its_checkpoint_have_status_zero(capsys, tmp_path):
    path = tmp_path / 'x.pth'
    model = build_model(load_config(CONFIG), device='cpu')
    for name, buffer in model.named_buffers():
        if name.endswith('running_var'):
            buffer.fill_(0.5)
    torch.save({'state_dict': model.state_dict()}, path)
    assert run(CONFIG, path, '--json', '--picture', tmp_path / 'x.png') == 0
    content = json.loads(capsys.readouterr().out)
    config, checkpoint = content['reports']
    assert config['facts']['train'].startswith('8 images')
    assert 'loss' in config['facts']['a step']
    assert 'tensors loaded' in checkpoint['facts'][f'fills {CONFIG}']
    assert {f['grade'] for report in content['reports'] for f in report['findings']} <= {ODD}
    assert (tmp_path / 'x.png').stat().st_size > 10_000


def test_a_bad_config_has_status_one(capsys, tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = ['{CHECKOUT}/{CONFIG}.py']\ntrain_cfg = dict(max_iters='many')\n"
    )
    assert run(tmp_path / 'mine.py', '--quick') == 1
    assert 'train_cfg.max_iters' in capsys.readouterr().out


def test_missing_data_are_a_finding(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(CONFIG) == 1
    out = capsys.readouterr().out
    assert '1. breaks  train_dataloader.dataset: data_root data/shapes/ does not exist' in out
    assert '-> run rapidnet make-shapes' in out


@pytest.mark.parametrize(
    ('arguments', 'part'),
    [
        (['nothing.py'], 'nothing.py'),
        (['nothing.pth'], 'nothing.pth'),
        ([CONFIG, '--picture', 'x.jpg'], '.png'),
        (['--picture', 'x.png'], 'draws data'),
        ([CONFIG, '--cfg-options', 'foo.bar=1'], 'foo'),
    ],
)
def test_bad_input_is_one_line(arguments, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=part):
        run(*arguments)
    assert list(tmp_path.iterdir()) == []
