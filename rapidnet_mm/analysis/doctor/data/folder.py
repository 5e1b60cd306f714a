"""A folder of data in any format: import it, and describe it as the data sets of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from ....data.importers.dataset import FILE, Dataset, read_dataset
from ..finding import ODD, Finding


def imported_config(source: str, scratch: Path) -> tuple[Config, dict[str, str], list[Finding]]:
    """Return a config of the data in a folder, facts about them, and what the import says.

    Args:
        source: a folder or file of data, or one that was imported before.
        scratch: a folder that does not exist, for what the import writes.

    Raises:
        UserError: the folder holds no data that can be imported.
    """
    path = Path(source)
    if (path / FILE).is_file() or path.name == FILE:
        dataset = read_dataset(path)
    else:
        dataset = _imported(source, scratch)
    facts = {'data': f'{dataset.task}, from {dataset.format}'}
    found = [Finding(ODD, source, note) for note in dataset.notes]
    return config_of(dataset), facts, found


def config_of(dataset: Dataset) -> Config:
    """Return a config with the data sets of an imported data set, and nothing else."""
    scope = {'semantic': 'mmseg', 'classes': 'mmpretrain'}.get(dataset.task, 'mmdet')
    loaders = {
        f'{name}_dataloader': dict(dataset=_dataset(dataset, name)) for name in dataset.splits
    }
    return Config(dict(default_scope=scope, **loaders))


def _dataset(dataset: Dataset, name: str) -> dict[str, Any]:
    file = str(dataset.splits[name].annotations)
    meta = dict(classes=dataset.classes)
    if dataset.task == 'semantic':
        return dict(
            type='BaseSegDataset',
            ann_file=file,
            data_prefix=dict(img_path=str(dataset.images), seg_map_path=str(dataset.labels)),
            img_suffix=dataset.img_suffix,
            seg_map_suffix=dataset.seg_map_suffix,
            metainfo=meta | (dict(palette=dataset.palette) if dataset.palette else {}),
            pipeline=[dict(type='LoadAnnotations')],
        )
    if dataset.task == 'classes':
        return dict(
            type='CustomDataset',
            ann_file=file,
            data_prefix=str(dataset.images),
            metainfo=meta,
            pipeline=[],
        )
    masks = dataset.task == 'instance'
    return dict(
        type='CocoDataset',
        ann_file=file,
        data_prefix=dict(img=str(dataset.images)),
        metainfo=meta,
        test_mode=name != 'train',
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=[dict(type='LoadAnnotations', with_bbox=True, with_mask=masks)],
    )


def _imported(source: str, scratch: Path) -> Dataset:
    """Return the data set that the importers make of a folder."""
    from ....data.importers.run import import_data

    return import_data([source], scratch)
