"""Published weights into our models: translated names, and nothing left out in silence.

A file is recognised by its keys, with the tables of :mod:`rapidnet_mm.name_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import UserError
from .read import read_checkpoint
from .translate import Weights, to_ours

# Where files keep their weights; averaged weights are what the papers measured, so they come first.
# MMEngine's EMAHook saves the averaged ones as state_dict and the others as ema_state_dict.
AVERAGED = ('state_dict_ema', 'model_ema')
WRAPPERS = (*AVERAGED, 'state_dict', 'model', 'ema_state_dict')
# Relative. Averaging rounds again and again, so single precision is not kept to the last bit.
FIXED_TOLERANCE = 1e-5
# Where a backbone may lie: at the top, in a model, or tapped in a model.
PLACES = ('', 'backbone.', 'backbone.backbone.')


def wrapper_of(checkpoint: Mapping[str, Any]) -> str | None:
    """The name under which a checkpoint keeps its weights, None where they are at its top."""
    return next((name for name in WRAPPERS if isinstance(checkpoint.get(name), dict)), None)


def weights_of(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint under their own names, out of whatever wraps them.

    Raises:
        UserError: there is no dict of tensors in it.
    """
    wrapper = wrapper_of(checkpoint)
    state = checkpoint if wrapper is None else checkpoint[wrapper]
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise UserError(
            f'checkpoint {source} holds no weights: looked for tensors at its top '
            f'and under {", ".join(WRAPPERS)}; found {sorted(map(str, checkpoint))[:8]}'
        )
    return {key.removeprefix('module.'): value for key, value in tensors.items()}


class Coverage(NamedTuple):
    """How a state dict fits a model: names of the model's tensors, and what is left over."""

    taken: list[str]
    missing: list[str]
    misshapen: list[str]
    unused: list[str]

    @property
    def complete(self) -> bool:
        """Whether every tensor of the model was found in its shape."""
        return not self.missing and not self.misshapen

    def __str__(self) -> str:
        total = len(self.taken) + len(self.missing) + len(self.misshapen)
        parts = [f'{len(self.taken)} of {total} tensors taken']
        for label in ('missing', 'misshapen', 'unused'):
            names = getattr(self, label)
            if names:
                word = 'of another shape' if label == 'misshapen' else label
                parts.append(f'{len(names)} {word} ({_some(names, 2)})')
        return ', '.join(parts)


def _some(names: list[str], count: int) -> str:
    return ', '.join(names[:count]) + (', ...' if len(names) > count else '')


def cover(module: nn.Module, state: Mapping[str, Tensor]) -> Coverage:
    """What of ``state`` fits into ``module``, by name and shape."""
    own = module.state_dict()
    # Counters that old files lack, and that nothing reads with BatchNorm's default momentum; and
    # what is the same in every model.
    spare = {k for k in own if k.endswith('num_batches_tracked')} | fixed_tensors(module).keys()
    wanted = {k: v for k, v in own.items() if k in state or k not in spare}
    missing = [k for k in wanted if k not in state]
    misshapen = [k for k in wanted if k in state and _shape(state[k]) != _shape(wanted[k])]
    taken = [k for k in wanted if k in state and k not in set(misshapen)]
    return Coverage(taken, missing, misshapen, [key for key in state if key not in own])


def fixed_tensors(module: nn.Module) -> dict[str, Tensor]:
    """What no training changes in a module, by name, as parts with ``fixed_tensors()`` tell."""
    return {
        f'{place}.{name}' if place else name: value
        for place, part in module.named_modules()
        if hasattr(part, 'fixed_tensors')
        for name, value in part.fixed_tensors().items()
    }


def is_fixed_value(given: Tensor, exact: Tensor) -> bool:
    """Whether a tensor of a file is the fixed one of a model, up to rounding in the file's type."""
    if given.is_meta or given.shape != exact.shape:
        return True  # nothing to compare; shapes are another matter
    precision = torch.finfo(given.dtype).eps if given.is_floating_point() else 0.0
    allowed = max(precision, FIXED_TOLERANCE) * exact.abs()
    return bool(((given.cpu().double() - exact).abs() <= allowed).all())


def fit(module: nn.Module, state: Mapping[str, Tensor]) -> Coverage:
    """Copy what fits of ``state`` into ``module``, and tell what did and what did not."""
    coverage = cover(module, state)
    module.load_state_dict({key: state[key] for key in coverage.taken}, strict=False)
    return coverage


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape; a single number may be stored as ``()`` or ``(1,)``, and torch reads both."""
    return () if tensor.shape == (1,) else tuple(tensor.shape)


def summary(target: nn.Module, source: str, coverage: Coverage, weights: Weights) -> str:
    """The one line about a file and what became of it."""
    told = f'{type(target).__name__} from {source}: {coverage}'
    if weights.dropped:
        heads = list(dict.fromkeys(key.split('.')[0] for key in weights.dropped))
        told += f', {len(weights.dropped)} left out on purpose ({_some(heads, 4)})'
    if weights.family and len(coverage.taken) < len(coverage.missing):
        told += f'; the file has the names of {weights.family}'
    return told


def variant_of(module: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """Which variant of ``module``'s family the state dict belongs to, such as ``arch='ti'``."""
    shapes = {key: value.shape for key, value in state.items()}
    for name, arguments in getattr(type(module), 'variants', {}).items():
        with torch.device('meta'):
            own = type(module)(**arguments).state_dict()
        if all(shapes.get(k) == v.shape for k, v in own.items() if 'num_batches' not in k):
            return name
    return None


def _refuse_other_variant(
    backbone: nn.Module, state: Mapping[str, Tensor], source: str, complete: bool
) -> None:
    """Name the variant that a file is of, if it is another, and what is not as it is fixed.

    A family with ``variants_of`` tells from the state dict, also where tensors of another variant
    would fit. For others every variant is built, so they are only asked where it matters.
    """
    name = type(backbone).__name__
    if hasattr(backbone, 'variants_of'):
        found = [f'arch={arch!r}' for arch in backbone.variants_of(state)]
        own = f'arch={backbone.arch!r}'
    else:
        found = [variant_of(backbone, state)] if not complete else []
        own = variant_of(backbone, backbone.state_dict()) if any(found) else None
    if any(found) and own not in found:
        told, own = ' or '.join(found), own or 'another variant'
        raise UserError(f'checkpoint {source} is a {name} {told}, but the config has {own}')
    for key, exact in fixed_tensors(backbone).items():
        if key in state and not is_fixed_value(state[key], exact):
            raise UserError(
                f'checkpoint {source}: {key} is not the kernel that is fixed in {name} {own}; '
                'leave fixed kernels out of the file, or choose an arch that learns them'
            )


def _surplus(backbone: nn.Module, state: Mapping[str, Tensor]) -> str:
    """What a file has of stem and stages and the backbone has not, if there is anything, told.

    Counters and the like that tools leave in files do not count, layers do; not those of a whole
    stage that this backbone does without, such as a classifier's last convolution.
    """
    own = backbone.state_dict()
    places = tuple(
        {'.'.join([*key.split('.')[:2], '']) for key in own if key.startswith('stages.')}
    )
    inside = [key for key in state if key.startswith(('stem.', *places)) and key not in own]
    layers = [key for key in inside if key.endswith(('.weight', '.scale'))]
    if not layers:
        return ''
    return (
        f'the file has {len(layers)} layers that this {type(backbone).__name__} has not '
        f'({_some(layers, 2)}): it is of another variant'
    )


def load_pretrained(
    backbone: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    map_location: Any = 'cpu',
    allow_partial: bool = False,
    sha256: str | None = None,
) -> Coverage:
    """Fill a backbone from a published or own file; what ``init_cfg`` of type Pretrained calls.

    Args:
        backbone: one of this package's backbones.
        checkpoint: path or URL of a backbone, classifier, detector or segmenter checkpoint.
        prefix: take only what lies under this name, such as ``'backbone'``; found by itself.
        map_location: where to put the tensors first.
        allow_partial: accept a file that does not fill the whole backbone.
        sha256: what the file's SHA-256 has to be.

    Raises:
        UserError: a file that cannot be read, is another than ``sha256`` says, or does not fill
            the backbone.
    """
    content = read_checkpoint(checkpoint, map_location, sha256)
    weights = under(prefix, to_ours(weights_of(content, checkpoint)), backbone)
    coverage = cover(backbone, weights.state)
    _refuse_other_variant(backbone, weights.state, checkpoint, coverage.complete)
    told = summary(backbone, checkpoint, coverage, weights)
    if not coverage.complete and not allow_partial:
        raise UserError(f'{told}; set allow_partial=True in init_cfg if that is meant')
    if not allow_partial and (surplus := _surplus(backbone, weights.state)):
        raise UserError(f'{told}; {surplus}; set allow_partial=True in init_cfg if that is meant')
    fit(backbone, weights.state)
    print_log(told, logger='current')
    return coverage


def under(prefix: str | None, weights: Weights, module: nn.Module) -> Weights:
    """What lies under a prefix, without it; by default the one where ``module`` finds most."""
    if prefix is None:
        own = module.state_dict()
        prefix = max(PLACES, key=lambda place: sum(place + key in weights.state for key in own))
    if not prefix:
        return weights
    prefix = prefix.rstrip('.') + '.'
    inside = {key for key in weights.state if key.startswith(prefix)}
    return Weights(
        {k.removeprefix(prefix): v for k, v in weights.state.items() if k in inside},
        weights.dropped + [key for key in weights.state if key not in inside],
        weights.family,
    )


def weights_for(model: nn.Module, checkpoint: Mapping[str, Any], source: str) -> Weights:
    """The weights of a checkpoint under the names of a whole model.

    A classifier's or a bare backbone's file goes to where the model has its backbone; a published
    head goes into a classifier's, and detectors and segmenters leave it out.

    Raises:
        UserError: there are no weights in it.
    """
    weights = to_ours(weights_of(checkpoint, source))
    own = model.state_dict()
    place = max(PLACES, key=lambda place: sum(place + key in own for key in weights.state))
    weights = weights._replace(state={place + key: v for key, v in weights.state.items()})
    return weights.with_head(own)


def fill_model(
    model: nn.Module, checkpoint: Mapping[str, Any] | Weights, source: str, require: str = ''
) -> Coverage:
    """Fill a whole detector, segmenter or classifier.

    Args:
        model: what the config builds.
        checkpoint: what :func:`read_checkpoint` returned, of any supported MM version, or what
            :func:`weights_for` made of it.
        source: where it came from, for messages.
        require: tensors under this name must all be there; '' is the whole model, 'backbone.'
            leaves heads of another number of classes as they were initialised.

    Raises:
        UserError: tensors that are required are missing or of another shape.
    """
    found = isinstance(checkpoint, Weights)
    weights = checkpoint if found else weights_for(model, checkpoint, source)
    coverage = check_fit(model, weights, source, require)
    fit(model, weights.state)
    print_log(summary(model, source, coverage, weights), logger='current')
    return coverage


def check_fit(model: nn.Module, weights: Weights, source: str, require: str = '') -> Coverage:
    """What :func:`fill_model` would take, without taking it.

    Raises:
        UserError: tensors that are required are missing or of another shape.
    """
    coverage = cover(model, weights.state)
    if hasattr(model, 'backbone'):
        place, backbone = 'backbone', model.backbone
        if hasattr(backbone, 'taps'):
            place, backbone = 'backbone.backbone', backbone.backbone
        inner = under(place, weights, backbone).state
        _refuse_other_variant(backbone, inner, source, coverage.complete)
        if surplus := _surplus(backbone, inner):
            raise UserError(f'{summary(model, source, coverage, weights)}; {surplus}')
    if any(name.startswith(require) for name in coverage.missing + coverage.misshapen):
        told = summary(model, source, coverage, weights)
        raise UserError(f'{told}; the checkpoint belongs to another model than the config')
    return coverage


def dataset_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Classes and palette that a model was trained for, None if the checkpoint does not say.

    MM 3 keeps them in lower case, MM 2 in upper case. What is not of their kind is not theirs.
    """
    meta = checkpoint.get('meta')
    if not isinstance(meta, Mapping):
        return None
    found = meta.get('dataset_meta') or {k: meta.get(k.upper()) for k in ('classes', 'palette')}
    classes = found.get('classes') if isinstance(found, Mapping) else None
    classes = [classes] if isinstance(classes, str) else classes  # of a single one
    if not classes or not isinstance(classes, Sequence):
        return None
    kept: dict[str, Any] = {'classes': tuple(map(str, classes))}
    palette = found.get('palette')
    if palette is not None and not isinstance(palette, str):  # 'random', for MMDetection
        kept['palette'] = [tuple(int(value) for value in colour) for colour in palette]
    return kept
