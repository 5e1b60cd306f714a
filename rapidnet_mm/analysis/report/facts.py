"""What was trained and tested, with what: command, files, versions, config."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata
from typing import Any

import torch

from .page import Code, Section, Table
from .work_dir import WorkDir

PACKAGES = (
    *('torch', 'torchvision', 'numpy', 'hotcoco', 'pycocotools', 'faster-coco-eval', 'matplotlib'),
)
# The maintained and the original packages have other names.
MM = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')


def facts_section(
    runs: Sequence[tuple[WorkDir, Mapping[str, Any], str]], command: str, version: str
) -> Section:
    """Return how this report came about.

    Args:
        runs: work directory, record and a line about the origin of the predictions.
        command: the command line.
        version: of this package.
    """
    rows = [['command', command], ['written', f'{datetime.now():%Y-%m-%d %H:%M}']]
    section = Section('How this was made', 'facts', [Table([], rows, facts=True)])
    for work, record, origin in runs:
        table = [
            ['work directory', str(work.folder)],
            ['config', str(work.config)],
            ['checkpoint', f'{work.checkpoint} ({work.reason})'],
            ['predictions', origin],
            *([['annotations', record['annotations']]] if record.get('annotations') else []),
        ]
        section.blocks.append(Table([], table, title=work.name, facts=True))
        section.blocks.append(Code(record['config'], f'The config of {work.name}'))
    section.blocks.append(Table([], versions(version), title='Versions', facts=True))
    return section


def versions(own: str) -> list[list[str]]:
    """Return names and versions of what computes the numbers."""
    rows = [['rapidnet-mm', own], ['Python', platform.python_version()]]
    for name in PACKAGES:
        try:
            rows.append([name, metadata.version(name)])
        except metadata.PackageNotFoundError:
            continue
    for name in MM:
        version = getattr(sys.modules.get(name), '__version__', None)
        if version:
            rows.append([name, str(version)])
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'CPU'
    return [*rows, ['system', f'{platform.system()} {platform.machine()}, {device}']]
