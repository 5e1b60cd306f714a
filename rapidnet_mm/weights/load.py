"""Load weights into a backbone or a whole model. One log line says what was loaded.

``load_pretrained`` fills a backbone from a file. ``fill_model`` fills a whole model with the
weights that ``weights_for`` makes of a file's content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import UserError
from .content import state_of
from .contract import WeightsContract, fixed_tensors, is_fixed_value
from .read import read_checkpoint
from .translate import Weights, to_ours

# Where a file may have its backbone: at the top, in a model, or wrapped in a model (SSDLite).
PLACES = ('', 'backbone.', 'backbone.backbone.')


def load_pretrained(
    backbone: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    map_location: Any = 'cpu',
    allow_partial: bool = False,
    sha256: str | None = None,
) -> Coverage:
    """Fill a backbone from a file. ``init_cfg`` of type Pretrained calls this.

    Args:
        backbone: one of this package's backbones.
        checkpoint: what :func:`.locate.locate` takes. The file is of a backbone, classifier,
            detector or segmenter, and has our names or published ones.
        prefix: load only what lies under this name, such as ``'backbone'``. By default it is
            detected.
        map_location: the device to read the tensors to.
        allow_partial: accept a file that does not fill the whole backbone, or has more layers.
        sha256: the SHA-256 that the file must have.

    Raises:
        UserError: the file cannot be read, has another SHA-256, or does not fill the backbone.
    """
    content = read_checkpoint(checkpoint, map_location, sha256)
    weights = strip_prefix(to_ours(state_of(content, checkpoint)), prefix, backbone)
    coverage = coverage_of(backbone, weights.state)
    _refuse_other_variant(backbone, weights.state, checkpoint, coverage.complete)
    message = summary(backbone, checkpoint, coverage, weights)
    if not allow_partial:
        way_out = 'to load it nevertheless, set allow_partial=True in init_cfg'
        if not coverage.complete:
            raise UserError(f'{message}; {way_out}')
        if extra := _extra_layers(backbone, weights.state):
            raise UserError(f'{message}; {extra}; {way_out}')
    check_finite({key: weights.state[key] for key in coverage.loaded}, checkpoint)
    load_matching(backbone, weights.state, coverage)
    print_log(message, logger='current')
    return coverage


def weights_for(model: nn.Module, content: Mapping[str, Any], source: str) -> Weights:
    """Return the weights of a checkpoint under the names of a whole model.

    The weights of a classifier or of a bare backbone go to where the model has its backbone. The
    head of a published classifier goes into a classifier; detectors and segmenters drop it.

    Args:
        model: what the config builds.
        content: what :func:`.read.read_checkpoint` returned, written by MM 2, MM 3 or others.
        source: path or URL of the file, for messages.

    Raises:
        UserError: the content has no weights.
    """
    weights = to_ours(state_of(content, source))
    own = model.state_dict()
    place = max(PLACES, key=lambda place: sum(place + key in own for key in weights.state))
    weights = weights._replace(state={place + key: v for key, v in weights.state.items()})
    return weights.with_head(own)


def fill_model(model: nn.Module, weights: Weights, source: str, require: str = '') -> Coverage:
    """Fill a whole detector, segmenter or classifier.

    Args:
        model: what the config builds.
        weights: what :func:`weights_for` returned for this model.
        source: path or URL of the file, for messages.
        require: the file must have all tensors under this name. '' is the whole model. With
            'backbone.' heads for another number of classes stay as they were initialised.

    Raises:
        UserError: required tensors are missing or have another shape, or the backbone is of
            another variant.
    """
    coverage = check_fit(model, weights, source, require)
    load_matching(model, weights.state, coverage)
    print_log(summary(model, source, coverage, weights), logger='current')
    return coverage


def check_fit(model: nn.Module, weights: Weights, source: str, require: str = '') -> Coverage:
    """Return what :func:`fill_model` would load, without loading it.

    Raises:
        UserError: as :func:`fill_model`.
    """
    coverage = coverage_of(model, weights.state)
    message = summary(model, source, coverage, weights)
    backbone, prefix = getattr(model, 'backbone', None), 'backbone.'
    if isinstance(backbone, WeightsContract):
        backbone, prefix = backbone.inner_backbone(), prefix + backbone.inner_prefix
    if backbone is not None:
        state = strip_prefix(weights, prefix, backbone).state
        _refuse_other_variant(backbone, state, source, coverage.complete)
        if extra := _extra_layers(backbone, state):
            raise UserError(f'{message}; {extra}')
    if any(name.startswith(require) for name in coverage.missing + coverage.misshapen):
        raise UserError(f'{message}; the checkpoint belongs to another model than the config')
    check_finite({key: weights.state[key] for key in coverage.loaded}, source)
    return coverage


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Check that all numbers of tensors are finite.

    Raises:
        UserError: some are NaN or infinite, as after a training whose loss has diverged.
    """
    wrong = [name for name, tensor in state.items() if not _is_finite(tensor)]
    if wrong:
        raise UserError(
            f'checkpoint {source}: {len(wrong)} of {len(state)} tensors have NaN or infinite '
            f'numbers (first {wrong[0]}); use a checkpoint from before the training diverged'
        )


def _is_finite(tensor: Tensor) -> bool:
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
        return True
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    if tensor.is_floating_point() and tensor.element_size() == 1:  # float8 has no isfinite
        try:
            tensor = tensor.float()
        except NotImplementedError:  # such as two numbers of four bits in a byte: all are finite
            return True
    return bool(torch.isfinite(tensor).all())


def strip_prefix(weights: Weights, prefix: str | None, module: nn.Module) -> Weights:
    """Select what lies under a prefix, and remove the prefix from the names.

    Args:
        weights: under our names.
        prefix: such as 'backbone'. None: the one of ``PLACES`` under which most names of
            ``module`` are.
        module: what the weights are for.
    """
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


class Coverage(NamedTuple):
    """How a state dict fits a model: the model's tensors by name, and what is left over."""

    loaded: list[str]
    missing: list[str]
    misshapen: list[str]
    unused: list[str]  # in the state dict, but not in the model

    @property
    def complete(self) -> bool:
        """Whether the state dict has every tensor of the model in its shape."""
        return not self.missing and not self.misshapen

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.misshapen)
        parts = [f'{len(self.loaded)} of {total} tensors loaded']
        for label, names in (
            ('missing', self.missing),
            ('of another shape', self.misshapen),
            ('unused', self.unused),
        ):
            if names:
                parts.append(f'{len(names)} {label} ({_first(names, 2)})')
        return ', '.join(parts)


def coverage_of(module: nn.Module, state: Mapping[str, Tensor]) -> Coverage:
    """Compare names and shapes of a state dict with those of a module."""
    own = module.state_dict()
    # A file may lack counters, which nothing reads with BatchNorm's default momentum, and tensors
    # that are the same in every model.
    optional = {k for k in own if k.endswith('num_batches_tracked')} | fixed_tensors(module).keys()
    needed = {k: v for k, v in own.items() if k in state or k not in optional}
    missing = [k for k in needed if k not in state]
    misshapen = [k for k in needed if k in state and _shape(state[k]) != _shape(needed[k])]
    loaded = [k for k in needed if k in state and k not in set(misshapen)]
    return Coverage(loaded, missing, misshapen, [key for key in state if key not in own])


def load_matching(module: nn.Module, state: Mapping[str, Tensor], coverage: Coverage) -> None:
    """Copy those tensors into a module that ``coverage`` lists as loaded."""
    module.load_state_dict({key: state[key] for key in coverage.loaded}, strict=False)


def summary(target: nn.Module, source: str, coverage: Coverage, weights: Weights) -> str:
    """Return the one line that says what of a file was loaded and what was not."""
    message = f'{type(target).__name__} from {source}: {coverage}'
    if weights.dropped:
        heads = list(dict.fromkeys(key.split('.')[0] for key in weights.dropped))
        message += f', {len(weights.dropped)} left out on purpose ({_first(heads, 4)})'
    if weights.family and len(coverage.loaded) < len(coverage.missing):
        message += f'; the file has the names of {weights.family}'
    return message


def _refuse_other_variant(
    backbone: nn.Module, state: Mapping[str, Tensor], source: str, complete: bool
) -> None:
    """Refuse a file of another variant of the same family, or with other fixed kernels.

    Where shapes tell variants apart, a file that fits in whole is of the right one.
    """
    name = type(backbone).__name__
    own = None
    if isinstance(backbone, WeightsContract):
        variants = []
        if backbone.variants_share_shapes or not complete:
            variants = backbone.variants_of(state)
        if variants or backbone.variants_share_shapes:
            own = backbone.own_variant()
        if variants and own not in variants:
            raise UserError(
                f'checkpoint {source} is a {name} {" or ".join(variants)}, '
                f'but the config has {own or "another variant"}'
            )
    for key, exact in fixed_tensors(backbone).items():
        if key in state and not is_fixed_value(state[key], exact):
            raise UserError(
                f'checkpoint {source}: {key} is not the kernel that is fixed in {name} {own}; '
                'leave fixed kernels out of the file, or choose an arch that learns them'
            )


def _extra_layers(backbone: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Describe the layers that are in the file but not in the backbone; '' if there are none.

    Only the stem and the stages of this backbone are compared: a backbone may do without a whole
    stage, such as the last convolution of a classifier. Only layers count: tools leave counters
    and the like in files.
    """
    own = backbone.state_dict()
    stages = {'.'.join(key.split('.')[:2]) + '.' for key in own if key.startswith('stages.')}
    places = ('stem.', *stages)
    extra = [key for key in state if key.startswith(places) and key not in own]
    layers = [key for key in extra if key.endswith(('.weight', '.scale'))]
    if not layers:
        return ''
    return (
        f'the file has {len(layers)} layers that this {type(backbone).__name__} does not have '
        f'({_first(layers, 2)}): it is of another variant'
    )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape; ``(1,)`` counts as ``()``, because torch loads one into the other."""
    return () if tensor.shape == (1,) else tuple(tensor.shape)


def _first(names: list[str], count: int) -> str:
    """List the first names; dots say that there are more."""
    return ', '.join(names[:count]) + (', ...' if len(names) > count else '')
