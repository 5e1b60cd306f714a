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
    """Puts configs, metafiles and tools into ``.mim``, where MMEngine and ``mim`` look for them.

    MMEngine wants a folder between ``rapidnet_mm::`` and the name of a config. Our folder is flat,
    so it becomes that folder: ``.mim/configs/configs``. The metafiles name the configs by their
    places in ``.mim``. An editable install has links to ``configs`` and ``tools``.
    """

    def run(self) -> None:
        super().run()
        target = (HERE if self.editable_mode else Path(self.build_lib)) / 'rapidnet_mm/.mim'
        shutil.rmtree(target, ignore_errors=True)
        self._put(HERE / 'configs', target / 'configs/configs')
        self._put(HERE / 'tools', target / 'tools')
        index = (HERE / 'model-index.yml').read_text()
        paths = re.findall(r'configs/.*metafile\.yml', index)
        for path in paths:
            name = f'metafiles/{Path(path).parent.name}.yml'
            index = index.replace(path, name)
            metafile = (
                (HERE / path).read_text().replace('Config: configs/', 'Config: configs/configs/')
            )
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).write_text(metafile)
        (target / 'model-index.yml').write_text(index)

    def _put(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.editable_mode:
            try:
                target.symlink_to(os.path.relpath(source, target.parent))
                return
            except OSError:  # Windows does not let most users make links
                pass
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))


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
    package_data={'rapidnet_mm.analysis.report': ['page.html']},
    install_requires=[
        'torch>=2.6',
        'torchvision>=0.21',
        'numpy',
        'pycocotools>=2.0.7',
        'faster-coco-eval>=1.6',
        'filelock',
        'hotcoco>=1.3',
        'huggingface_hub>=0.25',
        'jinja2',
        'matplotlib',
        'rich',
        'safetensors>=0.4.3',
    ],
    extras_require={
        'mm': MAINTAINED,
        'openmmlab': ORIGINAL,
        'tensorboard': ['tensorboard'],
        'mutants': ['mutmut>=3.8,<4'],  # make mutants; Python 3.11 or newer
        'test': ['hypothesis>=6.100', 'pytest>=8', 'pytest-xdist>=3.6', 'ruff>=0.9', 'timm>=1.0.9'],
    },
)
