"""From the arguments of ``rapidnet doctor`` to findings: what each is, and who looks at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.fileio import load
from yaml import YAMLError

from ...engine.config import find_config, load_config
from ...engine.config_file import read_config_file
from ...engine.config_values import value_faults
from ...engine.data_configs import SUFFIXES, check_data_config
from ...engine.options import merge_options
from ...engine.own_data import KEY, use_dataset
from ...errors import UserError
from ...weights.known import entry_of
from . import environment
from .checkpoint import checkpoint_report
from .config.dry_step import build_findings, dry_step, start_findings
from .config.quick import quick_findings
from .data.examine import data_report, training_images
from .data.folder import data_config
from .finding import BREAKS, Finding, worst_first

WEIGHTS = ('.pth', '.pt', '.bin', '.ckpt', '.safetensors', '.tar')


class Report(NamedTuple):
    """What the doctor says of one patient.

    Attributes:
        patient: its name.
        facts: what it is, in lines to print.
        findings: what is wrong or odd, the worst first.
    """

    patient: str
    facts: dict[str, str]
    findings: list[Finding]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as data for json."""
        return {
            'patient': self.patient,
            'facts': self.facts,
            'findings': [finding._asdict() for finding in self.findings],
        }


class Limits(NamedTuple):
    """How far an examination goes.

    Attributes:
        quick: read no images and make no step of a training.
        most: images of a split that are looked at.
        format: the format of the data, if a folder has several.
        scratch: a folder for what the import of a folder writes.
    """

    quick: bool
    most: int
    format: str | None
    scratch: Path


def visit(
    patients: Sequence[str], options: Mapping[str, Any] | None, limits: Limits
) -> tuple[list[Report], list[Any]]:
    """Examine the patients. Return a report of each, and their data sets, to draw them.

    Args:
        patients: configs, folders or files of data, checkpoints; none is the environment.
        options: changes of the configs.
        limits: how far the examination goes.

    Raises:
        UserError: an argument is none of these, or a file cannot be read.
    """
    if not patients:
        found = worst_first(environment.findings())
        return [Report('environment', environment.facts(), found)], []
    kinds = {patient: kind_of(patient) for patient in patients}
    configs = {p: read_config(p, options) for p, kind in kinds.items() if kind == 'config'}
    reports, drawable = [], []
    for number, (patient, kind) in enumerate(kinds.items()):
        if kind == 'checkpoint':
            facts, found = checkpoint_report(patient, configs.values())
            reports.append(Report(patient, facts, worst_first(found)))
            continue
        if kind == 'config':
            facts, found, splits = _config(configs[patient], limits)
        else:
            facts, found, splits = _data(patient, limits, str(number))
        reports.append(Report(patient, facts, worst_first(found)))
        drawable += splits
    return reports, drawable


def kind_of(patient: str) -> str:
    """Return 'checkpoint', 'data' or 'config'.

    Raises:
        UserError: there is no such file, folder or name.
    """
    path = Path(patient)
    if path.suffix in WEIGHTS or (entry_of(patient) and not path.exists()):
        if not path.is_file() and not entry_of(patient) and '://' not in patient:
            raise UserError(f'checkpoint {patient} does not exist')
        return 'checkpoint'
    if path.is_dir() or (path.is_file() and path.suffix == '.zip') or _describes_data(path):
        return 'data'
    find_config(patient)
    return 'config'


def _describes_data(path: Path) -> bool:
    """Return whether a json or yaml file is of data instead of a config."""
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    try:
        content = load(str(path))
    except (ValueError, RecursionError, YAMLError):
        return False
    if isinstance(content, dict):
        return any(key in content for key in ('images', 'annotations', 'splits', 'names'))
    return path.suffix == '.json' and isinstance(content, list)


def read_config(patient: str, options: Mapping[str, Any] | None) -> Config:
    """Read a config with changes. Wrong values are not refused: they are findings.

    Raises:
        UserError: the file cannot be read, or an option does not exist.
    """
    path = find_config(patient)
    cfg = read_config_file(path)
    if not any(value_faults(cfg)):
        return load_config(path, options)
    check_data_config(cfg, path)
    options = dict(options or {})
    use_dataset(cfg, str(path), options.pop(KEY, None))
    merge_options(cfg, options)
    return cfg


def _data(
    source: str, limits: Limits, name: str
) -> tuple[dict[str, str], list[Finding], list[Any]]:
    """Return facts, findings and the splits of a folder or a file of data."""
    cfg, facts, found = data_config(source, limits.scratch / name, limits.format)
    more, findings, splits = data_report(cfg, limits.most) if cfg else ({}, [], [])
    # Nobody wrote this config, so its places say nothing.
    findings = [f._replace(where=f.where.replace('_dataloader.dataset', '')) for f in findings]
    return facts | more, [*found, *findings], splits


def _config(cfg: Config, limits: Limits) -> tuple[dict[str, str], list[Finding], list[Any]]:
    """Return facts, findings and the splits of the data of a config."""
    facts: dict[str, str] = {}
    if any(value_faults(cfg)):  # the rest would stumble over them
        return facts, list(quick_findings(cfg)), []
    found: list[Finding] = []
    splits: list[Any] = []
    if not limits.quick:
        data_facts, found, splits = data_report(cfg, limits.most)
        facts |= data_facts
    found = [*quick_findings(cfg, training_images(splits)), *found]
    model, more = build_findings(cfg)
    found += more
    data_is_good = not any(f.grade == BREAKS for f in found)
    found += start_findings(cfg)
    if model is not None and data_is_good and splits:
        step, more = dry_step(cfg, model)
        found += more
        facts |= {'a step': str(step)} if step else {}
    return facts, found, splits
