"""``rapidnet``, ``python -m rapidnet_mm`` and ``tools/*.py``: doors to the same commands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rapidnet_mm import UserError, config_file
from rapidnet_mm.commands.main import COMMANDS, main
from rapidnet_mm.engine.config import find_config, load_config

REPOSITORY = Path(__file__).parents[2]
TOOLS = sorted((REPOSITORY / 'tools').glob('*.py'))
# What has to stay away for --help to answer at once.
HEAVY = (
    *('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'),
    *('numpy', 'cv2', 'matplotlib', 'pycocotools', 'rich'),
)
# All doors in one process: a module that is blocked cannot have been imported by an earlier door.
EXPLAIN = f"""
import json, runpy, sys

for name in {HEAVY}:
    sys.modules[name] = None  # importing it raises
texts = []
for door, *arguments in json.loads(sys.argv[1]):
    sys.argv = [door, *arguments]
    print('=====', flush=True)
    try:
        if door == '-m':
            runpy.run_module('rapidnet_mm', run_name='__main__', alter_sys=True)
        else:
            runpy.run_path(door, run_name='__main__')
    except SystemExit as done:
        assert not done.code, sys.argv
"""
NAME = 'maskrcnn_rapidnet_ti_shapes'


def explanations(doors):
    env = {**os.environ, 'PYTHONPATH': str(REPOSITORY)}
    command = [sys.executable, '-c', EXPLAIN, json.dumps(doors)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split('=====\n')[1:]


def test_every_door_explains_itself_without_torch_or_mm():
    tools = [[str(path), '--help'] for path in TOOLS]
    commands = [['-m', name, '--help'] for name in COMMANDS]
    first, *others = explanations([['-m', '--help'], *tools, *commands])
    assert len(others) == len(tools) + len(commands)
    for name in COMMANDS:
        assert re.search(rf'^    {name}\b', first, re.MULTILINE), name
    for path, text in zip(TOOLS, others, strict=False):
        assert text.startswith(f'usage: {path.name} '), text
    for name, text in zip(COMMANDS, others[len(tools) :], strict=True):
        assert f' {name} ' in text.splitlines()[0], text


def test_every_command_has_a_file_and_a_tool():
    folder = REPOSITORY / 'rapidnet_mm/commands'
    modules = {path.stem for path in folder.glob('*.py') if 'HELP = ' in path.read_text()}
    assert set(COMMANDS.values()) == modules
    doors = [re.findall(r"tool\('(.*)'\)", path.read_text()) for path in TOOLS]
    assert sorted(doors) == sorted([name] for name in COMMANDS)


def test_an_unknown_command_is_refused_with_the_commands_there_are(capsys):
    with pytest.raises(SystemExit) as end:
        main(['trian'])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert all(name in message for name in ('trian', *COMMANDS))


def test_a_command_runs_behind_the_front_door(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ['make-shapes', '--train', '2', '--val', '1', '--size', '80', '64']
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    assert len(list((tmp_path / 'data/shapes/train').iterdir())) == 2
    with pytest.raises(SystemExit) as end:
        main(['complexity', NAME, '--backbone', '--shape', '64', '64'])
    assert not end.value.code
    assert f'{NAME}: RapidNet, input 64x64' in capsys.readouterr().out


@pytest.mark.parametrize('text', [NAME, f'{NAME}.py', f'configs/{NAME}', f'configs/{NAME}.py'])
def test_our_configs_are_found_by_name_from_any_folder(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(text).samefile(config_file(NAME))
    assert load_config(text).work_dir == f'work_dirs/{NAME}'


@pytest.mark.parametrize('text', ['rexnet_090_in1k', 'configs/imagenet/rexnet_090_in1k.py'])
def test_a_config_in_a_folder_is_found_with_and_without_it(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(text).samefile(config_file('imagenet/rexnet_090_in1k'))


def test_a_file_that_exists_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = Path(f'configs/{NAME}.py')
    mine.parent.mkdir()
    mine.write_text('a = 1')
    assert find_config(str(mine)) == mine
    assert find_config(NAME).samefile(config_file(NAME))


@pytest.mark.parametrize(
    ('text', 'nearest'),
    [('maskrcnn_rapidnet_it_shapes', NAME), ('elsewhere/rexnet_09_in1k.py', 'rexnet_090_in1k')],
)
def test_a_name_that_does_not_exist_gets_the_nearest(text, nearest):
    with pytest.raises(UserError, match=rf'{text} does not exist.*\b{nearest}\b'):
        find_config(text)
    with pytest.raises(UserError, match=r'config configs does not exist$'):
        find_config('configs')
    with pytest.raises(UserError, match='config _base_/runtime does'):
        find_config('_base_/runtime')


SWALLOWS = """
import signal, time
from rapidnet_mm.commands.main import execute

class Swallows:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def run(args):
    Swallows()
    time.sleep(60)

execute(run, None)
"""


@pytest.mark.skipif(os.name == 'nt', reason='signals of Unix')
def test_an_interrupt_is_not_lost_where_python_ignores_errors():
    command = [sys.executable, '-c', SWALLOWS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (130, '')
