"""What is wrong or odd in a checkpoint, and how much of a config's model it fills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ...engine.config import build_model
from ...engine.runner import unwrapped
from ...errors import UserError
from ...weights.content import dataset_meta, state_of
from ...weights.load import Coverage, check_fit, coverage_of, summary, weights_for
from ...weights.locate import locate
from ...weights.read import read_checkpoint
from ...weights.translate import Weights
from ..weights_report import facts_of_content
from .finding import BREAKS, ODD, SPOILS, Finding

NAMED = 2  # tensors that a finding names
HUGE = 1e6  # a running variance above this is of a training that diverged
DEAD = 1e-12  # variance of a channel that is always the same


def checkpoint_report(
    source: str, configs: Iterable[Config] = ()
) -> tuple[dict[str, str], list[Finding]]:
    """Return facts about a checkpoint, and what is wrong or odd. The file is read once.

    Args:
        source: its file or name; it has to exist.
        configs: configs whose models it should fill.
    """
    path = locate(source)
    try:
        content = read_checkpoint(path)
        state = state_of(content, source)
    except UserError as error:
        text = str(error).removeprefix(f'checkpoint {path} ').removeprefix(f'checkpoint {source} ')
        way_out = 'copy or download it again, or take another one'
        return {}, [Finding(BREAKS, source, text, way_out)]
    facts = facts_of_content(content, state, path)
    found = list(tensor_findings(state, source))
    for cfg in configs:
        try:
            model = unwrapped(build_model(cfg))
        except UserError as error:
            found.append(Finding(BREAKS, 'model', str(error)))
            continue
        weights = weights_for(model, content, source)
        coverage = coverage_of(model, weights.state)
        name = Path(str(cfg.filename)).stem
        facts[f'fills {name}'] = summary(model, source, coverage, weights)
        found += _coverage(model, weights, coverage, source)
        found += _classes(content, source, cfg)
    return facts, found


def tensor_findings(state: Mapping[str, Tensor], source: str) -> Iterator[Finding]:
    """Yield what is wrong or odd in the tensors of a checkpoint."""
    floats = {
        key: value.detach().float()
        for key, value in state.items()
        if value.layout == torch.strided and value.is_floating_point() and value.numel()
    }
    broken = [key for key, value in floats.items() if not torch.isfinite(value).all()]
    if broken:
        yield Finding(
            BREAKS,
            source,
            f'{len(broken)} of {len(state)} tensors have NaN or infinite numbers ({_some(broken)})',
            'take a checkpoint from before the training diverged',
        )
    layers = {key: value for key, value in floats.items() if value.ndim > 1}
    empty = [key for key, value in layers.items() if not value.any()]
    if empty:
        yield Finding(
            SPOILS,
            source,
            f'{len(empty)} of {len(layers)} layers have only zeros ({_some(empty)})',
            'the file was written wrongly, or these layers never learned; take another one',
        )
    yield from _variances(floats, source)


def _variances(floats: Mapping[str, Tensor], source: str) -> Iterator[Finding]:
    """Yield what is odd about the statistics of BatchNorm."""
    variances = {key: value for key, value in floats.items() if key.endswith('running_var')}
    negative = [key for key, value in variances.items() if (value < 0).any()]
    huge = [key for key, value in variances.items() if (value > HUGE).any()]
    for keys, fault in ((negative, 'below 0'), (huge, f'above {HUGE:g}')):
        if keys:
            yield Finding(
                SPOILS,
                source,
                f'{len(keys)} of {len(variances)} BatchNorm layers have a variance {fault} '
                f'({_some(keys)})',
                'these statistics are of a training that diverged; take an earlier checkpoint',
            )
    untouched = [key for key, value in variances.items() if (value == 1).all()]
    if variances and len(untouched) == len(variances):
        yield Finding(
            SPOILS,
            source,
            'all statistics of BatchNorm are as at the start: this model was never trained',
            'take the file from the end of the training',
        )
    dead = sum(int((value.abs() < DEAD).sum()) for value in variances.values())
    channels = sum(value.numel() for value in variances.values())
    if dead > 0.2 * channels:
        yield Finding(
            ODD,
            source,
            f'{dead} of {channels} channels of BatchNorm have no variance: they do nothing',
            'a lower learning rate keeps more of them alive',
        )


def _coverage(
    model: nn.Module, weights: Weights, coverage: Coverage, source: str
) -> Iterator[Finding]:
    """Yield what a file lacks of a config's model, and what it has beside it."""
    try:
        check_fit(model, weights, source)
    except UserError as error:
        lacking = [*coverage.missing, *coverage.misshapen]
        in_backbone = any(name.startswith('backbone.') for name in lacking)
        if coverage.loaded and not in_backbone:
            yield Finding(
                ODD,
                source,
                f'it fills the backbone and not the whole model: {coverage}',
                'good to start a training from (load_from); for rapidnet test take a checkpoint '
                'of this config',
            )
        else:
            yield Finding(BREAKS, source, str(error), 'take the config that the file was made with')


def _classes(content: Mapping[str, Any], source: str, cfg: Config) -> Iterator[Finding]:
    trained = (dataset_meta(content) or {}).get('classes')
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    ours = (dataset.get('metainfo') or {}).get('classes')
    if trained and ours and not isinstance(ours, str) and tuple(ours) != tuple(trained):
        yield Finding(
            ODD,
            source,
            f'it was trained on {len(trained)} classes ({_some(trained)}), the config has '
            f'{len(ours)} ({_some(ours)})',
            'the order of the classes counts, not their names',
        )


def _some(names: Any) -> str:
    return ', '.join(list(names)[:NAMED]) + (', ...' if len(names) > NAMED else '')
