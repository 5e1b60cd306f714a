"""What can be said of a config in less than a second and without its images."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.config import Config

from ....engine.config_values import value_faults
from ..finding import BREAKS, SPOILS, Finding
from .keys import unread_keys
from .length import length_findings, length_of
from .rates import rate_findings


def quick_findings(cfg: Config, images: int | None = None) -> Iterator[Finding]:
    """Yield what is wrong or odd in a config, without reading any file that it names.

    Args:
        cfg: the config, with all changes of the command line.
        images: the number of training images, None if it is not known.
    """
    faults = [Finding(BREAKS, path, fault.strip()) for path, fault in value_faults(cfg)]
    yield from faults
    if all(fault.where != 'default_scope' for fault in faults):
        yield from unread_keys(cfg)
    if not faults and cfg.get('train_cfg') and cfg.get('train_dataloader'):
        yield from rate_findings(cfg, length_of(cfg, images)[1])
        yield from length_findings(cfg, images)


def warnings_before_training(cfg: Config) -> list[str]:
    """Return a line for everything that would spoil this training.

    Schedules are not among them: the runner says that, because it knows the number of images. What
    breaks a training is refused with its own message.
    """
    return [
        f'{finding.line()} (rapidnet doctor {cfg.filename or "CONFIG"} says more)'
        for finding in quick_findings(cfg)
        if finding.grade == SPOILS and not finding.where.startswith('param_scheduler')
    ]
