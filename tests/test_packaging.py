"""The package as others install it: configs and tools come along and are found by its name."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from rapidnet_mm import UserError, config_file

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / 'configs'
LEAVES = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)
GUIDE = (REPOSITORY / 'docs/your_project.md').read_text()
BLOCKS = re.findall(r'```python\n(.*?)```', GUIDE, re.DOTALL)
pytestmark = pytest.mark.openmmlab
BUILD = """
import setuptools
from distutils.core import run_setup
project = run_setup('setup.py', ['-q', 'build_py'], stop_after='commandline')
build = project.get_command_obj('build_py')
build.build_lib, build.editable_mode = 'site', {editable}
build.ensure_finalized()
build.run()
"""
USE = """
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope

import rapidnet_mm

print(rapidnet_mm.__file__)
print(get_config('rapidnet_mm::configs/ssdlite_rexnet_100_coco.py').model.backbone.type)
for file in ('fruit.py', 'line.py', rapidnet_mm.config_file('semfpn_rapidnet_ti_ade20k')):
    cfg = Config.fromfile(file)
    assert cfg.type == 'Runner' and '_scope_' not in cfg.model, file
    if EDITABLE:  # then it is enough that they are found
        continue
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    print(type(model).__name__, type(model.backbone).__name__)
    if file == 'fruit.py':
        heads = model.roi_head.bbox_head, model.roi_head.mask_head
        assert [head.num_classes for head in heads] == [2, 2]
        for split in ('train', 'val', 'test'):
            assert cfg[f'{split}_dataloader'].dataset.data_root == 'data/fruit/'
            assert cfg[f'{split}_dataloader'].dataset.metainfo.classes == ('apple', 'pear')
"""


def run(code, cwd, **env):
    return execute([sys.executable, '-W', 'ignore', '-c', code], cwd, **env)


def execute(command, cwd, **env):
    env = {**{k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}, **env}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of what the package is made of, so that building leaves nothing in the repository."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'model-index.yml'):
        shutil.copy(REPOSITORY / name, folder)
    for name in ('rapidnet_mm', 'configs', 'tools'):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns('.mim'))
    return folder


def files(folder):
    """Paths of what configs are made of."""
    return {p.relative_to(folder) for p in folder.rglob('*') if p.suffix in ('.py', '.yml')}


@pytest.mark.slow
@pytest.mark.parametrize('editable', [False, True], ids=['installed', 'editable'])
def test_another_project_inherits_our_configs_by_package_name(editable, checkout, tmp_path):
    run(BUILD.format(editable=editable), checkout)
    site = checkout if editable else checkout / 'site'
    config, _, line = BLOCKS[:3]
    (tmp_path / 'fruit.py').write_text(config)
    (tmp_path / 'line.py').write_text(line)
    output = run(f'EDITABLE = {editable}\n{USE}', tmp_path, PYTHONPATH=str(site)).split()
    assert output[0] == str(site / 'rapidnet_mm/__init__.py')
    built = ['MaskRCNN', 'RapidNet'] * 2 + ['EncoderDecoder', 'RapidNet']
    assert output[1:] == ['TappedBackbone', *([] if editable else built)]
    carried = site / 'rapidnet_mm/.mim/configs/configs'
    assert files(carried) == files(CONFIGS)


@pytest.mark.parametrize('editable', [False, True], ids=['installed', 'editable'])
def test_mim_finds_tools_and_configs_where_it_looks_for_them(editable, checkout, tmp_path):
    run(BUILD.format(editable=editable), checkout)
    site = checkout if editable else checkout / 'site'
    folder = site / 'rapidnet_mm/.mim'
    # `mim train` and `mim test` run these, with the config as a path or as the name of a file
    # that is in .mim/configs once.
    tools = {path.name for path in (REPOSITORY / 'tools').iterdir() if path.is_file()}
    assert tools <= {path.name for path in (folder / 'tools').iterdir()}
    for tool in ('train.py', 'test.py'):
        command = [sys.executable, str(folder / 'tools' / tool), '--help']
        assert f'usage: {tool}' in execute(command, tmp_path, PYTHONPATH=str(site))
    walk = os.walk(folder / 'configs', followlinks=True)
    names = Counter(name for _, _, inside in walk for name in inside)
    assert all(names[path.name] == 1 for path in LEAVES)
    # `mim download` and `mim search` read the index; Config is a path in .mim.
    index = yaml.safe_load((folder / 'model-index.yml').read_text())
    metafiles = [yaml.safe_load((folder / path).read_text()) for path in index['Import']]
    models = [model for content in metafiles for model in content['Models']]
    configs = {(folder / model['Config']).resolve() for model in models if 'Config' in model}
    assert {path.relative_to((folder / 'configs/configs').resolve()) for path in configs} == {
        path.relative_to(CONFIGS) for path in LEAVES
    }


@pytest.mark.slow
def test_the_wheel_brings_the_command(checkout, tmp_path):
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
    wheels, site, other = (tmp_path / name for name in ('wheels', 'site', 'other'))
    build = ['wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', str(wheels), '.']
    execute([*pip, *build], checkout)
    (wheel,) = map(str, wheels.iterdir())
    execute([*pip, 'install', '--no-deps', '--target', str(site), wheel], tmp_path)
    (rapidnet,) = map(str, (site / 'bin').glob('rapidnet*'))
    assert (site / 'rapidnet_mm/analysis/report/page.html').is_file()
    other.mkdir()
    env = {'PYTHONPATH': str(site)}
    assert 'make-shapes' in execute([rapidnet, '--help'], other, **env)
    assert 'make-shapes' in execute([sys.executable, '-m', 'rapidnet_mm', '--help'], other, **env)
    execute([rapidnet, 'make-shapes', '--train', '2', '--val', '1'], other, **env)
    assert len(list((other / 'data/shapes/train').iterdir())) == 2
    name = 'maskrcnn_rapidnet_ti_shapes'
    output = execute([rapidnet, 'complexity', name, '--backbone', '--json'], other, **env)
    assert json.loads(output)['model'] == 'RapidNet'


def bases(path):
    """A config and all that it inherits from."""
    found = {path}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            for base in ast.literal_eval(node.value):
                found |= bases((path.parent / base).resolve())
    return found


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_a_config_says_what_keeps_its_scope_when_it_is_inherited_by_package_name(path):
    runtime = CONFIGS / '_base_/runtime.py'
    assert runtime in bases(path), f'{path.name} has to build on _base_/runtime.py'
    assert "type = 'Runner'\n_scope_ = 'mmengine'" in runtime.read_text()


def test_a_config_that_does_not_exist_is_said_so():
    with pytest.raises(UserError, match="no config 'maskrcnn_rapidnet_xxl_coco'"):
        config_file('maskrcnn_rapidnet_xxl_coco')
    name = 'ssdlite_rexnet_100_coco'
    assert config_file(name) == config_file(f'{name}.py')
    assert Path(config_file(name)).samefile(CONFIGS / f'{name}.py')
