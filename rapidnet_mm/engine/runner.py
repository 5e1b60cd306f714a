"""From a config to a runner that trains or tests: what ``rapidnet train`` and ``test`` call."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import MMLogger, print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from ..data.checks.check_config import check_data, warn_of_other_classes
from ..errors import UserError
from ..files import is_foreign, writable_folder, write_output
from ..weights.content import WRAPPERS, dataset_meta
from ..weights.load import fill_model, weights_for
from ..weights.read import read_checkpoint
from .config import check_crops
from .config_errors import BUILD_ERRORS, config_fault, named_config_errors
from .config_values import check_optimizer, check_parts
from .console import dress
from .cpu import tune_for_cpu
from .disk import check_is_free, lock, named_start_errors, named_write_errors
from .exact.loops import exact_loop
from .first_steps import FirstSteps
from .fit import check_channels, fit_to_device
from .hooks.bad_images import guard_images
from .hooks.checkpoint import (
    checkpoint_files,
    checkpoint_folder,
    checkpoint_template,
    latest_checkpoint,
)
from .hooks.finite import FiniteLossHook
from .hooks.resume import ResumeHook
from .hooks.stop import StopHook
from .signals import StopRequest, init_worker
from .start import fetch_start, forget_start
from .training_state import check_resumed, checked_state


def build_runner(cfg: Config, *, launcher: str = 'none', mode: str = 'train') -> CheckedRunner:
    """Check what the config needs, fit it to this machine, and build the runner.

    Args:
        cfg: as :func:`load_config` returns it.
        launcher: 'none', 'pytorch' or 'slurm'.
        mode: 'train' checks training and validation data, 'test' the test data.

    Raises:
        UserError: data, work directory or number of classes do not fit.
    """
    check_parts(cfg, mode)
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise UserError('--launcher pytorch: RANK is not set; start with tools/dist_train.sh')
    writable_folder(cfg.work_dir, '--work-dir')
    guard = None
    if mode == 'train':
        check_crops(cfg)
        guard = _choose_start(cfg, launcher)
    if is_first_process(launcher):
        check_data(cfg, ('train', 'val') if mode == 'train' else ('test',))
    if mode == 'train' and not cfg.get('resume'):
        fetch_start(cfg)
    cfg.launcher = launcher
    fit_to_device(cfg)
    hooks = cfg.get('custom_hooks') or []
    if 'BadImagesHook' not in [hook.get('type') for hook in hooks]:
        cfg.custom_hooks = [*hooks, dict(type='BadImagesHook')]
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader and not loader.get('num_workers'):
            loader.persistent_workers = False  # torch refuses to keep workers that are not there
    if mode == 'test':
        for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
            cfg.pop(key, None)
        for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
            cfg.pop(key, None)
    with named_config_errors(), named_start_errors(cfg.work_dir):
        runner = CheckedRunner.from_cfg(cfg)
    runner.work_dir_lock = guard
    forget_start(cfg, unwrapped(runner.model))
    check_channels(unwrapped(runner.model))
    return runner


def is_first_process(launcher: str) -> bool:
    """Return whether this process is the one that checks and reports for all."""
    variable = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID'}.get(launcher, '')
    return os.environ.get(variable, '0') == '0'


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Go on with a run: from ``checkpoint``, or with 'auto' from the newest whole one.

    Raises:
        UserError: the checkpoint does not exist, or none is whole.
    """
    folder, template = checkpoint_folder(cfg), checkpoint_template(cfg)
    path = latest_checkpoint(folder, template) if checkpoint == 'auto' else Path(checkpoint)
    if path is None:
        if checkpoint_files(folder, template):
            raise UserError(
                f'--resume: no checkpoint in {folder} is whole; move them away, or choose another '
                '--work-dir, to start from the beginning'
            )
        print_log(f'no checkpoint in {folder} yet: starting from the beginning')
        cfg.resume = False
        return
    if not path.is_file():
        state = 'is a folder, not a file' if path.is_dir() else 'does not exist'
        raise UserError(f'--resume: checkpoint {path} {state}')
    cfg.resume, cfg.load_from = True, str(path)


def _choose_start(cfg: Config, launcher: str) -> Any:
    """Decide which checkpoint a training starts from; return the lock of its work directory.

    Raises:
        UserError: another training runs there or has left checkpoints there.
    """
    guard = lock(Path(cfg.work_dir)) if is_first_process(launcher) else None
    if cfg.get('resume') and not cfg.get('load_from'):
        resume_from(cfg, 'auto')
    resumed = Path(cfg.load_from) if cfg.get('resume') else None
    if is_first_process(launcher):
        check_is_free(checkpoint_folder(cfg), resumed, checkpoint_template(cfg))
    if resumed is not None:
        _take_seed(cfg)
    return guard


def _take_seed(cfg: Config) -> None:
    """Use the seed of the checkpoint. MMEngine does so after it has built the data."""
    meta = read_checkpoint(cfg.load_from).get('meta')
    seed = meta.get('seed') if isinstance(meta, dict) else None
    if type(seed) is int:
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)


# Where MMEngine's EMAHook keeps the weights that are not averaged, to go on training with them.
EMA_HOOK_KEY = 'ema_state_dict'


class CheckedRunner(Runner):
    """MMEngine's runner. It reads checkpoints safely, and they have to fit the model."""

    work_dir_lock: Any = None  # held until the training is over
    config_file: Path | None = None  # the config with all changes

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        """Register the hooks of the config, and those that make a training resume exactly."""
        super().register_hooks(*args, **kwargs)
        self._resume_hook = ResumeHook()
        self._first_steps = FirstSteps()
        self._stop_request = StopRequest(_announce_stop)
        self.register_hook(self._resume_hook)
        self.register_hook(StopHook(self._stop_request))
        if not any(isinstance(hook, FiniteLossHook) for hook in self.hooks):
            self.register_hook(FiniteLossHook())

    @master_only
    def dump_config(self) -> None:
        """Write the config with all changes to the work directory.

        If the user's own file has that name, it goes to the folder of this run.

        Raises:
            UserError: it cannot be written.
        """
        name = os.path.basename(self.cfg.filename or f'{self.timestamp}.py')
        path = Path(self.work_dir, name)
        self.config_file = Path(self._log_dir, name) if is_foreign(path) else path
        write_output(self.cfg.dump().encode(), self.config_file)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call a method of all hooks; a file that cannot be written is an error of one line."""
        self._first_steps.before(fn_name)
        for hook in self.hooks:
            function = getattr(hook, fn_name, None)
            if function is None:
                continue
            if 'test' in fn_name:
                function(self, **kwargs)
                continue
            with named_write_errors(hook, self.logger):
                function(self, **kwargs)
        self._first_steps.after(fn_name)

    def train(self) -> torch.nn.Module:
        """Train, and stop in good order on Ctrl-C and SIGTERM; see :class:`Runner`."""
        try:
            with self._stop_request.installed(), self._first_steps.named_errors(self.model):
                return super().train()
        finally:
            if self.work_dir_lock is not None:
                self.work_dir_lock.release()

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader:
        """Return a data loader; see :class:`Runner`.

        Its workers end with this process. It handles an image that cannot be decoded, see
        :mod:`.hooks.bad_images`.
        """
        with named_config_errors('data loader'):
            loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        guard_images(loader.dataset)
        inner = loader.worker_init_fn
        if not isinstance(dataloader, DataLoader):
            loader.worker_init_fn = partial(init_worker, inner=inner, parent=os.getpid())
        return loader

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint; see :class:`Runner`. All processes call this."""
        self._resume_hook.collect(self)
        super().save_checkpoint(*args, **kwargs)

    def wrap_model(self, *args: Any) -> torch.nn.Module:
        """Adapt the model to the CPU, then distribute it.

        DistributedDataParallel notes the memory layout of the weights. If the layout changed
        afterwards, the first gradients of a process would differ, also after a resume.
        """
        tune_for_cpu(args[-1])
        return super().wrap_model(*args)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Return the logger; what it shows depends on :mod:`.console`."""
        logger = super().build_logger(*args, **kwargs)
        logging.raiseExceptions = False  # on a full disk a log file must not print tracebacks
        dress(logger)
        return logger

    def build_val_loop(self, loop: Any) -> Any:
        """Return the validation loop; see :class:`Runner`."""
        with named_config_errors('val_cfg'):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: Any) -> Any:
        """Return the test loop; see :class:`Runner`."""
        with named_config_errors('test_cfg'):
            return super().build_test_loop(loop)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Return the optimizer with its wrapper; see :class:`Runner`."""
        check_optimizer(optim_wrapper)
        with named_config_errors('optim_wrapper'):
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Return the schedulers; see :class:`Runner`."""
        with named_config_errors('param_scheduler'):
            return super().build_param_scheduler(scheduler)

    def build_train_loop(self, loop: Any) -> Any:
        """Return the training loop; see :class:`Runner`.

        Raises:
            UserError: the loop cannot be built, or there is no batch to train on.
        """
        with named_config_errors('train_cfg'):
            loop = super().build_train_loop(exact_loop(loop))
        loader = loop.dataloader
        if not len(loader.dataset):  # a sampler that never ends would look for images for ever
            raise UserError('train_dataloader.dataset has no images')
        if isinstance(loop, EpochBasedTrainLoop) and not len(loader):
            batches = loader.batch_sampler
            reason = ', and drop_last=True leaves out what is less' if batches.drop_last else ''
            raise UserError(
                f'train_dataloader has no batch: {len(loader.sampler)} images for this process at '
                f'batch_size={batches.batch_size}{reason}'
            )
        return loop

    def _init_model_weights(self) -> None:
        try:
            with named_config_errors('model.init_cfg'):
                super()._init_model_weights()
        except OSError as error:  # MMEngine's own backbones, without a network
            raise UserError(
                f'init_cfg: the weights cannot be read ({error}); name a file in its checkpoint, '
                'or start without (init_cfg=None)'
            ) from error

    def test(self) -> dict[str, Any]:
        """Return the metrics of the test set, and the ``details`` of those that have some."""
        with self._first_steps.named_errors(self.model):
            metrics = super().test()
        for metric in self.test_evaluator.metrics:
            metrics |= getattr(metric, 'details', {})
        return metrics

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on with a training.

        Raises:
            UserError: the checkpoint is another training's.
        """
        try:
            super().resume(filename, *args, **kwargs)
        except UserError:
            raise
        except (*BUILD_ERRORS, RuntimeError) as error:
            reason = config_fault(error)
            raise UserError(f'--resume: {filename} is of another training ({reason})') from error
        check_resumed(self, filename)

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = 'cpu',
        strict: bool = False,  # noqa: ARG002  (the parent's signature)
        revise_keys: list = (),  # noqa: ARG002
    ) -> dict:
        """Load weights into the model, and return the content of the checkpoint.

        To resume and to test, the file has to fill the whole model. To fine-tune, it has to fill
        the backbone.

        Raises:
            UserError: the file is no checkpoint, or is of another model; or, to resume, it has no
                state of the training.
        """
        content = read_checkpoint(filename, map_location)
        if self._resume:
            content = checked_state(content, self, filename)
        if self._train_dataloader is None:
            trained = (dataset_meta(content) or {}).get('classes')
            warn_of_other_classes(trained, self.test_dataloader.dataset, filename)
        model = unwrapped(self.model)
        weights = weights_for(model, content, filename)
        # MMEngine's hooks find the model's weights under one name, whatever the file calls them.
        other = {k: v for k, v in content.items() if k == EMA_HOOK_KEY or k not in WRAPPERS}
        content = {**other, 'state_dict': weights.state}
        self.call_hook('after_load_checkpoint', checkpoint=content)
        weights = weights._replace(state=content['state_dict'])
        fine_tuning = self._train_dataloader is not None and not self._resume
        fill_model(model, weights, filename, require='backbone.' if fine_tuning else '')
        self._has_loaded = True
        return content


def _announce_stop(name: str) -> None:
    if os.environ.get('RANK', '0') == '0':
        # A handler must not print: it may have interrupted a print.
        text = f'{name}: stopping after this iteration; a second signal stops at once\n'
        with suppress(OSError):  # the terminal may be closed
            os.write(2, text.encode())


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model itself, without what distributes it or merges its predictions."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
