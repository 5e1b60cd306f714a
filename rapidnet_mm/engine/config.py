"""Config files: where ours are, how to read one, and what the command line changes in it."""

from __future__ import annotations

import difflib
import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from ..errors import UserError, one_line
from ..files import writable_file, writable_folder
from .config_errors import named_config_errors
from .config_file import read_config_file
from .config_values import check_values
from .data_configs import check_data_config
from .device import default_device
from .options import merge_options
from .own_data import KEY, use_dataset
from .start import start_from_scratch

PACKAGE = Path(__file__).parents[1]
# An installed package has its configs in .mim, where MMEngine looks for them; setup.py puts them
# there. MMEngine wants a folder behind '::', so our flat folder is one:
# rapidnet_mm::configs/NAME.py.
INSTALLED = PACKAGE / '.mim/configs/configs'
CHECKOUT = PACKAGE.parent / 'configs'


def config_folder() -> Path:
    """Return the folder of our configs: of the installed package, else of the checkout."""
    return INSTALLED if INSTALLED.is_dir() else CHECKOUT


def config_file(name: str) -> str:
    """Return the file of one of our configs, for ``Config.fromfile``.

    Args:
        name: path in our folder of configs, with or without ``.py``.

    Raises:
        UserError: there is no such config.
    """
    path = config_folder() / f'{name.removesuffix(".py")}.py'
    if not path.is_file():
        raise UserError(f'rapidnet_mm has no config {name!r}: {path} does not exist')
    return str(path)


def find_config(text: str | Path) -> Path:
    """Return the file of a config: a path, or the name of one of ours, with or without ``.py``.

    Raises:
        UserError: there is no such file and no such name; the nearest name of ours is given.
    """
    if os.path.isfile(text):  # for a name that is too long, Path.is_file raises an error
        return Path(text)
    if Path(text).suffix and os.path.isdir(text):
        raise UserError(f'config {text} is a folder; name a file in it')
    folder = config_folder()
    leaves = [p for p in folder.rglob('*.py') if p.relative_to(folder).parts[0] != '_base_']
    names = {p.stem: p for p in leaves}
    names |= {p.relative_to(folder).with_suffix('').as_posix(): p for p in leaves}
    name = Path(text).as_posix().removeprefix('configs/').removesuffix('.py')
    if name in names:
        return names[name]
    nearest = difflib.get_close_matches(name.rpartition('/')[2], names, n=1)
    advice = f'; the nearest of ours is {nearest[0]}' if nearest else ''
    raise UserError(f'config {text} does not exist{advice}')


def load_config(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    amp: bool = False,
    from_scratch: bool = False,
) -> Config:
    """Read a config file and apply ``--amp``, ``--from-scratch`` and ``--cfg-options``.

    The work directory is ``work_dir``, else the config's, else ``work_dirs/<name of the config>``.

    A key ``dataset`` in the config or in the options fills in all that depends on the data, see
    :mod:`.own_data`. In the options it is a path as the shell sees it.

    Raises:
        UserError: the file is missing or is not a config, or an option does not exist.
    """
    path = find_config(path)
    cfg = read_config_file(path)
    check_data_config(cfg, path)
    check_values(cfg, str(path))
    options = dict(options or {})
    use_dataset(cfg, str(path), options.pop(KEY, None))
    if amp:
        use_amp(cfg)
    if from_scratch:
        nothing = ['the config starts from random weights already, so it stays as it is']
        for line in start_from_scratch(cfg) or nothing:
            print_log(f'--from-scratch: {line}')
    merge_options(cfg, options)
    check_values(cfg, str(path))
    if work_dir is not None or cfg.get('work_dir') is None:
        cfg.work_dir = work_dir or str(Path('work_dirs') / path.stem)
    return cfg


def build_model(cfg: Config, backbone_only: bool = False, device: str = 'meta') -> nn.Module:
    """Build the model of a config, by default on the meta device. No weights are read.

    Raises:
        UserError: the config has no model, or one that cannot be built.
    """
    if not cfg.get('model'):
        raise UserError('the config has no model')
    if backbone_only and 'backbone' not in cfg.model:
        raise UserError('--backbone: the model of the config has no backbone')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    with named_config_errors('model'):
        # On the CPU first, because some constructors compute with tensors.
        model = MODELS.build(cfg.model.backbone if backbone_only else cfg.model)
    return model.to(device)


def use_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 with loss scaling on an NVIDIA GPU, bfloat16 elsewhere.

    Raises:
        UserError: the config has no ``optim_wrapper``.
    """
    if not cfg.get('optim_wrapper'):
        raise UserError('--amp: the config has no optim_wrapper')
    wrapper = cfg.optim_wrapper
    if default_device() == 'cuda':  # MMEngine scales losses on no Apple GPU
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')
    else:
        wrapper.type = 'BFloat16OptimWrapper'


def scale_lr(cfg: Config) -> None:
    """Scale the learning rate with the number of images per step.

    Raises:
        UserError: the config does not say which batch its learning rate is for.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise UserError('--auto-scale-lr: the config has no auto_scale_lr.base_batch_size')
    cfg.auto_scale_lr.enable = True


def show_predictions(cfg: Config, folder: str, score_thr: float = 0.3) -> None:
    """Let the test loop write a picture of every image: ground truth beside prediction.

    Raises:
        UserError: the folder cannot be written, or there are no pictures for this kind of model.
    """
    target = str(Path(folder).absolute())
    hooks = {
        'mmdet': dict(type='DetectionPicturesHook', out_dir=target, score_thr=score_thr),
        'mmseg': dict(type='LabelPicturesHook', out_dir=target),
        'mmpretrain': dict(type='ClassPicturesHook', out_dir=target),
    }
    scope = cfg.get('default_scope')
    if scope not in hooks:
        raise UserError(f'--show-dir: no pictures for default_scope {scope!r}, only {[*hooks]}')
    writable_folder(target, '--show-dir')
    cfg.default_hooks.visualization = hooks[scope]


def use_tta(cfg: Config) -> None:
    """Test on variants of every image (flipped, scaled) and merge their predictions.

    Raises:
        UserError: the config does not say which variants, or how to merge them.
    """
    missing = [key for key in ('tta_pipeline', 'tta_model') if not cfg.get(key)]
    if missing:
        raise UserError(f'--tta: the config has no {" and no ".join(missing)}')
    # Merged label maps have no channel axis. MMEngine adds it, with a warning for every image.
    warnings.filterwarnings('ignore', 'The shape of value will convert')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(**cfg.tta_model, module=cfg.model)


def set_randomness(cfg: Config, seed: int | None, deterministic: bool) -> None:
    """Apply ``--seed`` and ``--deterministic``; without them, the config's values stay."""
    changes: dict[str, Any] = {}
    if seed is not None:
        changes['seed'] = seed
    if deterministic:
        changes['deterministic'] = True
        # cuBLAS is deterministic only with this.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    if changes:
        cfg.randomness = dict(cfg.get('randomness') or {}, **changes)


@contextmanager
def named_determinism_errors() -> Iterator[None]:
    """Turn PyTorch's error about an operator without a deterministic form into one line.

    Raises:
        UserError: such an operator was called with ``--deterministic``.
    """
    try:
        yield
    except RuntimeError as error:
        name, phrase, _ = str(error).partition(' does not have a deterministic implementation')
        if not phrase:
            raise
        raise UserError(
            f'--deterministic: {one_line(name)} has no deterministic implementation on this '
            'device; train on the CPU, or leave the option out (--seed alone fixes the data)'
        ) from error


def check_crops(cfg: Config) -> None:
    """Check that the training crops of a segmenter are not larger than its padded size.

    Raises:
        UserError: they are larger.
    """
    if cfg.get('default_scope') != 'mmseg' or not isinstance(cfg.model, Mapping):
        return
    size = (cfg.model.get('data_preprocessor') or {}).get('size')
    dataset = cfg.train_dataloader.get('dataset') or {}
    for step in dataset.get('pipeline') or ():
        crop = step.get('crop_size') if isinstance(step, Mapping) else None
        pair = isinstance(size, list | tuple) and isinstance(crop, list | tuple)
        if pair and any(side > most for side, most in zip(crop, size, strict=False)):
            raise UserError(
                f'train_dataloader crops images to {tuple(crop)}, but the model pads crops to '
                f'{tuple(size)}; set model.data_preprocessor.size to the size of the crop'
            )


def evaluators_of(cfg: Config) -> list[Any]:
    """Return the configs of the test's metrics, of which there may be one, several or none."""
    evaluators = cfg.get('test_evaluator') or []
    return list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]


def format_only(cfg: Config) -> list[str]:
    """Change the config so that a test writes the json files for COCO's test server.

    Returns:
        The paths of these files.

    Raises:
        UserError: the test set does not use COCO's evaluation, or a file cannot be written.
    """
    evaluators = evaluators_of(cfg)
    own = [one for one in evaluators if one.get('type') == 'CocoAP']
    if not own:
        kinds = ', '.join(str(one.get('type')) for one in evaluators) or 'nothing'
        raise UserError(
            f'--format-only: the config evaluates by {kinds}; only CocoAP writes such files'
        )
    files = []
    for one in own:
        one.outfile_prefix = f'{cfg.work_dir}/results'
        kinds = [one.metric] if isinstance(one.get('metric', 'bbox'), str) else one.metric
        files += [f'{one.outfile_prefix}.{kind}.json' for kind in kinds]
    for file in files:
        writable_file(file, '--format-only')
    cfg.test_evaluator = own
    return files


def use_tensorboard(cfg: Config) -> None:
    """Log to TensorBoard beside the usual files.

    Raises:
        UserError: tensorboard is not installed.
    """
    if importlib.util.find_spec('tensorboard') is None:
        raise UserError("--tensorboard needs that package: pip install 'rapidnet-mm[tensorboard]'")
    cfg.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))
