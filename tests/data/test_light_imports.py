"""The built-in data set and the checks of files need neither torch nor the MM packages."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from rapidnet_mm import data

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = [module.name for module in pkgutil.walk_packages(data.__path__, f'{data.__name__}.')]
HEAVY = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')


def run_without_heavy_packages(code):
    block = f'import sys; sys.modules.update(dict.fromkeys({HEAVY}))'
    return subprocess.run(
        [sys.executable, '-c', f'{block}\n{code}'],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_heavy_packages_are_blocked():
    for name in HEAVY:
        assert 'ModuleNotFoundError' in run_without_heavy_packages(f'import {name}').stderr


def test_every_module_of_the_room_is_imported_without_them():
    names = ('shapes.make', 'checks.image_files', 'checks.label_files', 'checks.sources')
    assert {f'{data.__name__}.{name}' for name in names} <= set(MODULES)
    done = run_without_heavy_packages('\n'.join(f'import {name}' for name in MODULES))
    assert done.returncode == 0, done.stderr


def test_the_files_of_the_built_in_data_are_made_and_checked_without_them(tmp_path):
    done = run_without_heavy_packages(
        'from rapidnet_mm.data.checks.image_files import check_images\n'
        'from rapidnet_mm.data.checks.label_files import read_pairs\n'
        'from rapidnet_mm.data.shapes.make import make_shapes\n'
        f'root = make_shapes({str(tmp_path / "shapes")!r}, train=2, val=1, size=(96, 64))\n'
        "images = sorted((root / 'train').iterdir())\n"
        'check_images(images)\n'
        "labels = sorted((root / 'labels/train').iterdir())\n"
        'pairs = read_pairs(list(zip(map(str, images), map(str, labels))))\n'
        'print([pair.image_size == pair.label_size for pair in pairs])\n'
    )
    assert done.stdout == '[True, True]\n', done.stderr


@pytest.mark.parametrize(
    'command', [['-m', 'rapidnet_mm', 'make-shapes'], ['tools/make_shapes.py']]
)
def test_the_command_imports_no_torch(tmp_path, command):
    size = ['--train', '1', '--val', '1', '--size', '64', '64']
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', *command, '--root', str(tmp_path / 'shapes'), *size],
        cwd=REPOSITORY,
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / 'shapes/train/000001.jpg').is_file()
    modules = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'rapidnet_mm.data.shapes.make' in modules
    assert not modules.intersection(HEAVY)
