"""A training that is told to stop saves where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, EMAHook, Hook

from ..signals import Stopped, StopRequest
from .finite import all_have_finite_weights


class StopHook(Hook):
    """Ends a training after the iteration in which a signal came, with a checkpoint.

    Every runner of ours has one. A validation is broken off; the training that goes on repeats it.

    Args:
        request: remembers the signal.
    """

    priority = 'LOWEST'

    def __init__(self, request: StopRequest):
        self.request = request

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Save and end, if a process was told to."""
        signum = self._signum()
        if signum:
            self._save(runner, runner.iter + 1)
            raise Stopped(signum)

    def after_val_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Save and end, if a process was told to."""
        loop = runner._train_loop
        if not hasattr(loop, 'place'):  # no training
            return
        signum = self._signum()
        if not signum:
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.after_val_epoch(runner)  # gives the model its own weights back
        self._save(runner, runner.iter)
        raise Stopped(signum)

    def _signum(self) -> int:
        """Return the signal, the same in all processes; 0 if there is none."""
        if get_world_size() == 1:
            return self.request.signum
        signum = torch.tensor(self.request.signum)
        all_reduce(signum, 'max')
        return int(signum)

    def _save(self, runner: Any, iteration: int) -> None:
        if not all_have_finite_weights(runner.model):
            print('stopped; the weights are not finite, so they were not saved')
            return
        hook = next((h for h in runner.hooks if isinstance(h, CheckpointHook)), None)
        folder = hook.out_dir if hook else runner.work_dir
        name = f'iter_{iteration}.pth'
        runner.save_checkpoint(
            folder,
            name,
            meta=dict(epoch=runner.epoch, iter=iteration),
            by_epoch=False,
            backend_args=dict(backend='atomic'),
        )
        if is_main_process():
            print(f'stopped and saved {Path(folder) / name}; --resume goes on from there')
