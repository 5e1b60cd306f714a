"""Installation: ``pip install -e '.[mm]'``, or ``make setup`` for the tested versions."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (HERE / 'rapidnet_mm/__init__.py').read_text())[1]

# Two stacks of the same import names: one or the other, never both in one environment.
MAINTAINED = [
    'onedl-mmengine>=0.10.12',
    'onedl-mmcv>=2.3.6',
    'onedl-mmdetection>=3.5.1',
    'onedl-mmsegmentation>=1.4.2',
    'onedl-mmpretrain>=1.3.6',
]
ORIGINAL = [
    'mmengine>=0.10.7',
    'mmcv-lite>=2.1.0,<2.2',
    'mmdet>=3.3.0',
    'mmsegmentation>=1.2.2',
    'mmpretrain>=1.2.0',
    # These releases are older than what they import: NumPy 2, setuptools without pkg_resources.
    'setuptools<81',
    'numpy<2',
    'opencv-python<4.12',
    'ftfy',
    'regex',
]


class BuildWithConfigs(build_py):
    """Puts the configs and their index where MMEngine looks for those of a package: ``.mim``.

    MMEngine wants a folder between ``rapidnet_mm::`` and the name of a config, so ours, which is
    flat, becomes one: ``.mim/configs/configs``. An editable install gets a link to it.
    """

    def run(self) -> None:
        super().run()
        target = (HERE if self.editable_mode else Path(self.build_lib)) / 'rapidnet_mm/.mim'
        shutil.rmtree(target, ignore_errors=True)
        folder = target / 'configs/configs'
        folder.parent.mkdir(parents=True)
        index = (HERE / 'model-index.yml').read_text()
        (target / 'model-index.yml').write_text(index.replace('configs/', 'configs/configs/'))
        if self.editable_mode:
            try:
                folder.symlink_to(os.path.relpath(HERE / 'configs', folder.parent))
                return
            except OSError:  # Windows, for most users
                pass
        shutil.copytree(HERE / 'configs', folder, ignore=shutil.ignore_patterns('__pycache__'))


setup(
    name='rapidnet-mm',
    version=VERSION,
    description='Mobile backbones, as published, for MMDetection, MMSegmentation and friends',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['rapidnet = rapidnet_mm.commands.main:main']},
    packages=find_packages(include=['rapidnet_mm', 'rapidnet_mm.*']),
    install_requires=[
        'torch>=2.6',
        'torchvision>=0.21',
        'numpy',
        'pycocotools>=2.0.7',
        'faster-coco-eval>=1.6',
        'matplotlib',
        'rich',
        'safetensors>=0.4.3',
    ],
    extras_require={
        'mm': MAINTAINED,
        'openmmlab': ORIGINAL,
        'tensorboard': ['tensorboard'],
        'mutants': ['mutmut>=3.8,<4'],  # make mutants; Python 3.11 or newer
        'test': ['pytest>=8', 'pytest-xdist>=3.6', 'ruff>=0.9', 'timm>=1.0.9'],
    },
)
