"""The config of ours that a new config stands on: chosen by the task, or named by ``--model``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ...data.checks.check_config import nested_dicts
from ...errors import UserError
from ...weights.known import KNOWN
from ...weights.locate import locate_start
from ..config import config_folder, load_config
from ..own_data import SCOPES
from ..start import pretrained_entries

# RapidNet-Ti learns fastest from random weights among the small backbones here.
DEFAULTS = {
    'boxes': 'fasterrcnn_rapidnet_ti',
    'instance': 'maskrcnn_rapidnet_ti',
    'semantic': 'semfpn_rapidnet_ti',
    'classes': 'rapidnet_ti',
}
# The endings of our configs for each task, the first that exists is taken.
ENDINGS = {
    'boxes': ('_coco',),
    'instance': ('_coco',),
    'semantic': ('_ade20k',),
    'classes': ('_in1k_nodistill', '_in1k'),
}
KINDS = {
    'FasterRCNN': 'Faster R-CNN',
    'MaskRCNN': 'Mask R-CNN',
    'SingleStageDetector': 'SSDLite',
    'EncoderDecoder': 'Semantic FPN',
}
FROM_MASKS = 'maskrcnn_'  # a Faster R-CNN is a Mask R-CNN of ours without its mask head


class Base(NamedTuple):
    """A config of ours that a new config stands on.

    Attributes:
        name: its path in our folder of configs, without ``.py``.
        cfg: its content.
        without_masks: whether the mask head of its Mask R-CNN is left out.
        weights: the name of the ImageNet weights of its backbone.
    """

    name: str
    cfg: Config
    without_masks: bool
    weights: str

    @property
    def kind(self) -> str:
        """Return the kind of model: 'FasterRCNN', 'MaskRCNN', 'SingleStageDetector', ..."""
        kind = str(self.cfg.model.type)
        return 'FasterRCNN' if self.without_masks else kind

    @property
    def title(self) -> str:
        """Return what the model is, for people."""
        title = KINDS.get(self.kind, 'Classifier')
        entry = KNOWN.get(self.weights)
        return f'{title}, {entry.model if entry else self.name}'


def choose_base(task: str, model: str | None = None) -> Base:
    """Return the config that a new one stands on.

    Args:
        task: of the data: boxes, instance, semantic or classes.
        model: the name of one of our configs, with or without its ending, such as
            ``maskrcnn_rapidnet_m``; by default a small one for the task.

    Raises:
        UserError: there is no such model, or it is for another task.
    """
    names = {
        path.relative_to(config_folder()).with_suffix('').as_posix()
        for path in config_folder().rglob('*.py')
        if '_base_' not in path.parts
    }
    wanted = (model or DEFAULTS[task]).removesuffix('.py').removeprefix('imagenet/')
    folder = 'imagenet/' if task == 'classes' else ''
    spellings = [wanted]
    if task == 'boxes':  # those for which we have no Faster R-CNN of its own
        spellings.append(wanted.replace('fasterrcnn_', FROM_MASKS))
    candidates = [folder + s + end for s in spellings for end in (*ENDINGS[task], '')]
    name = next((name for name in candidates if name in names), None)
    if name is None:
        short = _short_names(names, task)
        near = difflib.get_close_matches(wanted, short, n=1, cutoff=0)
        raise UserError(
            f'--model {model}: there is no such model for this data; the nearest is {near[0]}, '
            f'and others are {", ".join(short[:6])}, ...'
        )
    cfg = load_config(config_folder() / f'{name}.py')
    if cfg.default_scope != SCOPES[task]:
        raise UserError(f'--model {model}: {name} is for another task than {task}')
    without_masks = task == 'boxes' and cfg.model.get('type') == 'MaskRCNN'
    return Base(name, cfg, without_masks, _weights_of(cfg, name))


def _short_names(names: set[str], task: str) -> list[str]:
    """Return how models for a task may be named on the command line."""
    short = set()
    for name in names:
        for end in ENDINGS[task]:
            if name.endswith(end) and ('/' in name) == (task == 'classes'):
                short.add(Path(name).name.removesuffix(end))
    if task == 'boxes':
        short = {name.replace(FROM_MASKS, 'fasterrcnn_') for name in short}
    return sorted(short)


def _weights_of(cfg: Config, name: str) -> str:
    """Return the name of the ImageNet weights of a config's backbone, '' if there are none."""
    for node, _ in nested_dicts(cfg.model.get('backbone') or {}, 'backbone'):
        for entry in pretrained_entries(node.get('init_cfg')):
            return str(entry['checkpoint'])
    stem = Path(name).name
    names = [known for known in KNOWN if stem.startswith(f'{known}_')]
    return max(names, key=len, default='')


def check_weights(base: Base, from_scratch: bool) -> None:
    """Check that the weights which a training will start from are here, or fetch them.

    Raises:
        UserError: they cannot be had; the message tells of ``--from-scratch``.
    """
    if from_scratch:
        return
    if not base.weights:
        raise UserError(
            f'{base.name} has no ImageNet weights to start from; add --from-scratch, or choose '
            'another --model'
        )
    locate_start(base.weights, 'the backbone')


def backbone_of(base: Base) -> tuple[dict[str, Any], bool]:
    """Return the innermost config of the backbone, and whether it is inside another one."""
    backbone = base.cfg.model.backbone
    inner = backbone.get('backbone')
    return (inner, True) if isinstance(inner, dict) else (backbone, False)
