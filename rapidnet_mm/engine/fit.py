"""Adapt a config to this machine, and check that the parts of a model fit together."""

from __future__ import annotations

import torch
from mmengine.config import Config

from ..errors import UserError
from .device import default_device


def check_channels(model: torch.nn.Module) -> None:
    """Raise an error if the neck or the classifier's head expects other channels than there are."""
    channels = getattr(getattr(model, 'backbone', None), 'out_channels', None)
    if not isinstance(channels, tuple):
        return
    name = type(model.backbone).__name__
    neck = getattr(model, 'neck', None)
    inputs = getattr(neck, 'in_channels', None)
    if isinstance(inputs, list | tuple) and tuple(inputs) != channels:
        raise UserError(
            f'model.neck.in_channels is {list(inputs)}, but {name} gives {list(channels)}; '
            f'set model.neck.in_channels={list(channels)}'
        )
    width = getattr(getattr(model, 'head', None), 'in_channels', None)
    if neck is None and isinstance(width, int) and width != channels[-1]:
        raise UserError(
            f'model.head.in_channels is {width}, but {name} gives {channels[-1]}; '
            f'set model.head.in_channels={channels[-1]}'
        )


def fit_to_device(cfg: Config) -> None:
    """Change a config for a machine without an NVIDIA GPU.

    Then there are no SyncBatchNorm and no pinned memory, and gloo takes the place of NCCL.

    Raises:
        UserError: several processes would share an Apple GPU.
    """
    device = default_device()
    if device == 'cuda':
        return
    cfg.sync_bn = None  # torch has SyncBatchNorm for NVIDIA GPUs only
    for split in ('train', 'val', 'test'):
        if (cfg.get(f'{split}_dataloader') or {}).get('pin_memory'):
            cfg[f'{split}_dataloader'].pin_memory = False  # it is for copies to an NVIDIA GPU
    if cfg.launcher == 'none':
        return
    if device == 'mps':
        raise UserError(f'--launcher {cfg.launcher}: an Apple GPU is for one process; choose none')
    if not cfg.get('model_wrapper_cfg'):
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
    # BatchNorm statistics are averaged once an epoch.
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='SyncBuffersHook')]
    if cfg.launcher == 'pytorch' and not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')  # MMEngine would ask for a GPU first
