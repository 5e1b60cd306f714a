"""A folder of data in any format: import it, and describe it as the data sets of a config."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ....data.importers.dataset import FILE, Dataset, read_dataset
from ....data.importers.detect import detect
from ....data.importers.run import import_data
from ....engine.own_data import SCOPES, dataset_fields
from ....errors import UserError
from ..finding import BREAKS, Finding


def data_config(
    source: str, scratch: Path, format: str | None = None
) -> tuple[Config | None, dict[str, str], list[Finding]]:
    """Return a config of some data, facts about them, and what is wrong with them.

    Data that cannot be imported have a fault, which is a finding. If they are in COCO format, the
    checks say more, so these files become the config as they are. Else there is no config.

    Args:
        source: a folder or file of data, or one that was imported before.
        scratch: a folder that does not exist, for what the import writes.
        format: the format of the data, if the folder has several.

    Raises:
        UserError: these are no data of a known format.
    """
    path = Path(source)
    if (path / FILE).is_file() and not _is_built_in(path / FILE):
        dataset = read_dataset(path)
    else:
        detect([source], format)
        try:
            dataset = import_data([source], scratch, format=format)
        except UserError as error:
            if cfg := _coco_config(path):
                return cfg, {'data': 'in COCO format'}, []
            return None, {}, [Finding(BREAKS, source, str(error).removeprefix(f'{source}: '))]
    facts = {'data': f'{dataset.task}, from {dataset.format}'}
    return config_of(dataset), facts | {'notes': '\n'.join(dataset.notes) or 'none'}, []


def _is_built_in(path: Path) -> bool:
    return b'"generator"' in path.read_bytes()


def _coco_config(path: Path) -> Config | None:
    """Return a config of files in COCO format as they are, None if there are none."""
    files = [path] if path.is_file() else sorted(path.rglob('*.json'))
    loaders: dict[str, Any] = {}
    for file in files:
        try:
            content = json.loads(file.read_bytes())
            names = tuple(category['name'] for category in content['categories'])
        except (KeyError, OSError, RecursionError, TypeError, ValueError):
            continue
        name = next((split for split in ('val', 'test') if split in file.stem), 'train')
        images = file.parent if path.is_file() else path
        loaders[f'{name}_dataloader'] = dict(
            dataset=_coco(str(file), str(images), names, name == 'train')
        )
    return Config(dict(default_scope='mmdet', **loaders)) if loaders else None


def config_of(dataset: Dataset) -> Config:
    """Return a config with the data sets of an imported data set, and nothing else."""
    pipelines = {
        'boxes': [dict(type='LoadAnnotations', with_bbox=True)],
        'instance': [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)],
        'semantic': [dict(type='LoadAnnotations')],
        'classes': [],
    }
    loaders = {}
    for name in dataset.splits:
        loading: dict[str, Any] = dict(pipeline=pipelines[dataset.task])
        if dataset.task in ('boxes', 'instance'):
            loading |= dict(filter_cfg=dict(filter_empty_gt=False), test_mode=name != 'train')
        loaders[f'{name}_dataloader'] = dict(dataset=dataset_fields(dataset, name, loading))
    return Config(dict(default_scope=SCOPES[dataset.task], **loaders))


def _coco(file: str, images: str, classes: Sequence[str], is_training: bool) -> dict[str, Any]:
    return dict(
        type='CocoDataset',
        ann_file=file,
        data_prefix=dict(img=images),
        metainfo=dict(classes=classes),
        test_mode=not is_training,
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=[dict(type='LoadAnnotations', with_bbox=True, with_mask=True)],
    )
