"""Training loops that know their place in the data, and go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from ...errors import UserError
from .draws import batches_from, exact_config, prepare
from .states import random_states, restore


class Place(NamedTuple):
    """How far a training is.

    Args:
        passes: finished passes over the data.
        batches: finished batches of the pass after these.
        validated: whether a validation that is due here is over.
    """

    passes: int = 0
    batches: int = 0
    validated: bool = False


class _ExactLoop:
    """What both loops share: the data loader and the way back to a place."""

    def __init__(self, runner: Any, dataloader: Any, *args: Any, **kwargs: Any):
        if isinstance(dataloader, dict):
            dataloader = exact_config(dataloader, runner.seed)
        super().__init__(runner, dataloader, *args, **kwargs)
        prepare(self.dataloader, runner.seed)
        self.place = Place()
        # Of a checkpoint: restored when the first batch of the place is trained on.
        self.pending_states: Mapping[str, Any] | None = None
        # Of the training, while a validation runs.
        self.held_states: dict[str, Any] | None = None

    def run_iter(self, *args: Any) -> None:
        """Train on one batch."""
        passes, batches, _ = self.place
        self.place = Place(passes, batches + 1)
        super().run_iter(*args)

    def restore_states(self) -> None:
        """Set the random states of the checkpoint, once."""
        states, self.pending_states = self.pending_states, None
        if states is not None:
            restore(states)

    def validate_if_due(self, due: bool) -> None:
        """Validate, unless a resumed training has done it. The random states stay."""
        self._decide_current_val_interval()
        if self.runner.val_loop is not None and not self.place.validated and due:
            # A checkpoint that is saved during the validation gets these as well.
            self.held_states = random_states()
            try:
                self.runner.val_loop.run()
            finally:
                restore(self.held_states)
                self.held_states = None
        self.place = self.place._replace(validated=False)


@LOOPS.register_module()
class ExactEpochLoop(_ExactLoop, EpochBasedTrainLoop):
    """MMEngine's loop over epochs; it can go on in the middle of one. Takes its arguments."""

    def run(self) -> torch.nn.Module:
        """Train until the last epoch."""
        self.runner.call_hook('before_train')
        if self._epoch and not self.place.batches:
            self.restore_states()  # first: a best checkpoint is saved with them
            self._validate()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train on what is left of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        first = self.place.batches
        for number, batch in enumerate(
            batches_from(self.dataloader, self._epoch, first), start=first
        ):
            self.restore_states()
            self.run_iter(number, batch)
        self.restore_states()  # if the epoch has no batch left
        self.place = Place(self._epoch + 1)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _validate(self) -> None:
        last = self._epoch == self._max_epochs
        self._decide_current_val_interval()
        regular = self._epoch >= self.val_begin and self._epoch % self.val_interval == 0
        self.validate_if_due(regular or (last and self._epoch >= self.val_begin))


@LOOPS.register_module()
class ExactIterLoop(_ExactLoop, IterBasedTrainLoop):
    """MMEngine's loop over iterations; it goes on at once. Takes its arguments."""

    def run(self) -> torch.nn.Module:
        """Train until the last iteration."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.restore_states()
        if self._iter:
            self._validate()
        while not self._over():
            for batch in batches_from(self.dataloader, self.place.passes, self.place.batches):
                self.runner.model.train()
                self.run_iter(batch)
                self._validate()
                if self._over():
                    break
            else:
                if not self.place.batches:
                    raise UserError('train_dataloader has no batch to train on')
                self.place = Place(self.place.passes + 1)
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _over(self) -> bool:
        return self._iter >= self._max_iters or self.stop_training

    def _validate(self) -> None:
        last = self._iter == self._max_iters
        self._decide_current_val_interval()
        regular = self._iter >= self.val_begin and self._iter % self.val_interval == 0
        self.validate_if_due(regular or (last and self._iter >= self.val_begin))


# The loops of MMEngine, by their names in configs, and ours in their place.
EXACT_LOOPS = {
    'EpochBasedTrainLoop': ExactEpochLoop,
    'IterBasedTrainLoop': ExactIterLoop,
}


def exact_loop(loop: Any) -> Any:
    """Return the config of a training loop with our loop in MMEngine's place."""
    if not isinstance(loop, dict):
        return loop
    config = dict(loop)
    if 'type' not in config and 'by_epoch' in config:
        by_epoch = config.pop('by_epoch')
        config['type'] = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
    kind = config.get('type')
    name = kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', '')
    if name in EXACT_LOOPS:
        config['type'] = EXACT_LOOPS[name]
    return config
