"""Get the predictions of a checkpoint: those of an earlier report, or else from a test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config

from ...engine import config, runner
from ...errors import UserError
from ...files import is_foreign, writable_file, write_metrics
from .record import TASKS, VERSION, read_record, recorder_for, write_record
from .work_dir import WorkDir

FILE, METRICS = 'predictions.json', 'metrics.json'


class Plan(NamedTuple):
    """What to test: a training, its config, its task, and where the results go.

    Attributes:
        work: the training.
        cfg: its config, with the changes of the command line.
        task: of ``TASKS``.
        folder: where predictions, metrics and logs go.
    """

    work: WorkDir
    cfg: Config
    task: str
    folder: Path

    @property
    def file(self) -> Path:
        """The file with the predictions."""
        return self.folder / FILE


def plan_test(work: WorkDir, spare: Path, options: Mapping[str, Any] | None = None) -> Plan:
    """Read the config of a training, and choose where the results of its test go.

    They go to ``report/test`` in the work directory, or to ``spare`` if that cannot be written or
    has files of somebody else.

    Raises:
        UserError: the config cannot be read, or is of another kind.
    """
    folder = work.folder / 'report' / 'test'
    taken = any(is_foreign(folder / name) for name in (FILE, METRICS))
    if taken or not os.access(work.folder, os.W_OK):
        folder = spare
    cfg = config.load_config(work.config, options, str(folder))
    scope = cfg.get('default_scope')
    if scope not in TASKS:
        raise UserError(f'{work.config}: no report for default_scope {scope!r}, only {[*TASKS]}')
    return Plan(work, cfg, TASKS[scope], folder)


def predictions_of(plan: Plan, retest: bool = False) -> tuple[dict[str, Any], str]:
    """Return the predictions for the test set, and a line about where they come from.

    A record has the keys ``task``, ``classes``, ``palette``, ``metrics``, ``images``, and for
    detectors ``annotations`` and ``kinds`` ('bbox', 'segm'). The metrics are those of
    ``rapidnet test``: the same test computes them.

    Args:
        plan: what to test.
        retest: test again, even if predictions of this checkpoint are there.

    Raises:
        UserError: the evaluator is of another kind, or the test fails.
    """
    work = plan.work
    annotations = _annotations(plan.cfg, work) if plan.task == 'detection' else None
    key = key_of(plan.cfg, work, annotations)
    record = None if retest else read_record(plan.file, key)
    if record is not None:
        return record, f'{work.folder}: using the predictions in {plan.file}'
    for name in (FILE, METRICS):
        writable_file(plan.folder / name, '--out')
    print(f'{work.folder}: testing {work.checkpoint} ({work.reason})')
    record, metrics = _test(plan, annotations)
    record['key'] = key
    write_record(record, plan.file)
    write_metrics(metrics, plan.folder / METRICS)
    count = len(record['images'])
    return record, f'{work.folder}: tested {work.checkpoint.name} on {count} images'


def key_of(cfg: Config, work: WorkDir, annotations: str | None) -> str:
    """Return what predictions depend on: config, checkpoint and annotations."""
    parts = [str(VERSION), cfg.dump()]
    for file in (work.checkpoint, annotations):
        if file and os.path.isfile(file):
            state = os.stat(file)
            parts.append(f'{os.path.abspath(file)} {state.st_size} {state.st_mtime_ns}')
    return hashlib.sha256('\n'.join(parts).encode('utf-8', 'replace')).hexdigest()


def _annotations(cfg: Config, work: WorkDir) -> str:
    """Return the annotation file of a detector's test set."""
    for one in config.evaluators_of(cfg):
        if one.get('ann_file'):
            return str(one['ann_file'])
    raise UserError(
        f'{work.config}: the test_evaluator names no ann_file; the report needs one in COCO format'
    )


def _kinds(cfg: Config) -> list[str]:
    """Return what a detector is measured by: 'bbox', 'segm' or both."""
    kinds: list[str] = []
    for one in config.evaluators_of(cfg):
        metric = one.get('metric', 'bbox')
        kinds += [metric] if isinstance(metric, str) else list(metric)
    return [kind for kind in ('bbox', 'segm') if kind in kinds] or ['bbox']


def _test(plan: Plan, annotations: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the record of a test, and its metrics with all details."""
    work, cfg, task, _ = plan
    kinds = _kinds(cfg) if task == 'detection' else []
    cfg.load_from, cfg.resume = str(work.checkpoint), False
    tester = runner.build_runner(cfg, mode='test')
    ignored = [one['ignore_index'] for one in config.evaluators_of(cfg) if 'ignore_index' in one]
    recorder = recorder_for(task, 'segm' in kinds, (*ignored, 255)[0])
    recorder.dataset_meta = meta = tester.test_dataloader.dataset.metainfo
    tester.test_evaluator.metrics.append(recorder)
    with config.named_determinism_errors():
        metrics = tester.test()
    palette = meta.get('palette')
    record = {
        'task': task,
        'classes': [str(name) for name in meta['classes']],
        'palette': [[int(n) for n in c] for c in palette] if isinstance(palette, list) else None,
        'kinds': kinds,
        'annotations': annotations,
        'metrics': {
            name: float(v) for name, v in metrics.items() if np.ndim(v) == 0 and _is_real(v)
        },
        'images': recorder.images,
        'config': text_of(work.config),
        'checkpoint': str(work.checkpoint),
    }
    return record, metrics


def text_of(file: Path) -> str:
    """Return the text of a config; the one of the test lacks all that is about training."""
    return file.read_text(encoding='utf-8', errors='replace')


def _is_real(value: Any) -> bool:
    return not isinstance(value, str | Mapping)
