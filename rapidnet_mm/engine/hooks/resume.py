"""What a checkpoint needs besides weights and optimizer, for a training to go on exactly."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper

from ...errors import UserError
from ..exact.loops import ExactEpochLoop, ExactIterLoop, Place
from ..exact.states import random_states

# The key of our state in a checkpoint.
KEY = 'resume_state'


class ResumeHook(Hook):
    """Saves random states and the place in the data with every checkpoint, and restores them.

    Every runner of ours has one. :meth:`collect` has to run in all processes, just before the
    first of them saves.
    """

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self._states: list[dict[str, Any]] = []
        self._loaded: Mapping[str, Any] | None = None

    def collect(self, runner: Any) -> None:
        """Gather the random states of all processes."""
        held = getattr(runner._train_loop, 'held_states', None)
        self._states = all_gather_object(held or random_states())

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add the state of the training to a checkpoint that one can go on from."""
        loop = runner.train_loop
        if 'optimizer' in checkpoint and isinstance(loop, ExactEpochLoop | ExactIterLoop):
            checkpoint[KEY] = {
                'random': self._states,
                'place': loop.place._asdict(),
                'gradients': _gradients(runner),
            }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Remember the state until the loop begins."""
        if runner._resume:
            self._loaded = checkpoint.get(KEY, {})

    def before_train(self, runner: Any) -> None:
        """Lead the loop to its place."""
        loop, loaded, self._loaded = runner.train_loop, self._loaded, None
        if loaded is None:
            return
        if not isinstance(loop, ExactEpochLoop | ExactIterLoop):
            print_log(
                f'{type(loop).__name__} is a loop of its own, and it decides where to go on: '
                'images and random numbers may differ from those of a training without a stop',
                logger='current',
                level=logging.WARNING,
            )
            return
        loop.place = _place_of(loaded) or _place_by_count(loop)
        loop.pending_states = _states_of(loaded)
        _load_gradients(runner, loaded.get('gradients') or {})

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:  # noqa: ARG002
        """Remember that this validation is over, for a checkpoint that is saved after it."""
        loop = runner._train_loop
        if isinstance(loop, ExactEpochLoop | ExactIterLoop):
            loop.place = loop.place._replace(validated=True)


def _place_of(loaded: Mapping[str, Any]) -> Place | None:
    if not loaded:
        return None
    try:
        passes, batches, validated = (loaded['place'][name] for name in Place._fields)
    except (KeyError, TypeError) as error:
        raise UserError('--resume: the checkpoint does not say how far it is') from error
    if type(passes) is not int or type(batches) is not int or min(passes, batches) < 0:
        raise UserError(f'--resume: the checkpoint has no such place: {passes}, {batches}')
    return Place(passes, batches, bool(validated))


def _place_by_count(loop: Any) -> Place:
    """Return the place of a checkpoint that this package did not write."""
    print_log(
        'the checkpoint has no random states: the training goes on, with other random numbers',
        logger='current',
    )
    if isinstance(loop, ExactIterLoop):
        return Place(0, loop.iter, validated=True)
    done = loop.iter - loop.epoch * len(loop.dataloader)
    inside = 0 < done <= len(loop.dataloader)
    return Place(loop.epoch, done if inside else 0, validated=True)


def _states_of(loaded: Mapping[str, Any]) -> Mapping[str, Any] | None:
    states = loaded.get('random')
    if not loaded:
        return None
    if not isinstance(states, list) or not all(isinstance(s, Mapping) for s in states):
        raise UserError('--resume: the random states in the checkpoint are damaged')
    if len(states) != get_world_size():
        print_log(
            f'the checkpoint is of {len(states)} processes and this run has {get_world_size()}: '
            'the training goes on, with other random numbers',
            logger='current',
        )
        return None
    return states[get_rank()]


def _gradients(runner: Any) -> dict[str, torch.Tensor]:
    """Return gradients that wait for the next step, where several batches make one step."""
    if get_world_size() > 1 or runner.optim_wrapper._accumulative_counts == 1:
        return {}
    parameters = runner.model.named_parameters()
    return {name: p.grad.detach().cpu() for name, p in parameters if p.grad is not None}


def _load_gradients(runner: Any, gradients: Mapping[str, torch.Tensor]) -> None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    for name, parameter in model.named_parameters():
        gradient = gradients.get(name)
        if gradient is not None:
            if gradient.shape != parameter.shape:
                raise UserError(f'--resume: the gradient of {name} has another shape than it')
            parameter.grad = gradient.to(parameter)
