"""``rapidnet channel-search`` from end to end: killed, called again, refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rapidnet_mm.commands.main import main
from rapidnet_mm.data.shapes.make import make_classes

REPOSITORY = Path(__file__).parents[2]
ARGUMENTS = [
    *('channel-search', '--models', '10', '--epochs', '1', '--batch', '10', '--size', '16'),
    *('--blocks', '4', '--channels', '4', '24', '--max-params', '12000', '--max-flops', '400000'),
    *('--min-share', '0.5'),
]


def run(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code or 0


@pytest.mark.slow
def test_a_search_that_was_killed_is_finished_by_the_same_command(tmp_path, monkeypatch, capfd):
    make_classes(tmp_path / 'data/shapes_classes', train=20, val=10)
    monkeypatch.chdir(tmp_path)
    env = {**os.environ, 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-m', 'rapidnet_mm', *ARGUMENTS]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith('[3/10]'):
                process.kill()
    results = Path('work_dirs/channel_search/results.jsonl')
    done = results.read_text().splitlines()
    assert 1 + 3 <= len(done) < 1 + 10
    assert not results.with_name('channel_search.png').exists()

    assert run(ARGUMENTS) == 0
    output = capfd.readouterr().out
    assert f'{len(done) - 1} results are in {results} already' in output
    assert '| bottom 10% ' in output
    assert results.read_text().splitlines()[: len(done)] == done
    assert len(results.read_text().splitlines()) == 1 + 10
    assert results.with_name('channel_search.png').read_bytes().startswith(b'\x89PNG')

    assert run([*ARGUMENTS, '--seed', '1']) == 2
    message = capfd.readouterr().err
    assert 'seed is 0 there and 1 here' in message
    assert message.count('\n') == 1


@pytest.mark.parametrize(
    ('options', 'part'),
    [
        (['--models', '9'], '--models 9'),
        (['--download'], '--cifar10'),
        (['--lr', 'nan'], '--lr nan'),
        (['--blocks', '2'], '--blocks 2'),
        (['--data', 'nowhere'], '--data nowhere'),
    ],
)
def test_bad_arguments_are_one_line(options, part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(['channel-search', *options]) == 2
    message = capsys.readouterr().err
    assert part in message
    assert message.count('\n') == 1
