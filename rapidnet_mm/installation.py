"""Make and list all changes in MMEngine and mmcv that importing this package causes.

=============================  ===================================================================
what                           why
=============================  ===================================================================
``mmcv._ext``                  NMS and RoIAlign come from torchvision where mmcv was installed
                               without its compiled extension (:mod:`.engine.mmcv_ops`)
root registries                backbones, metrics, hooks, optimizer wrappers, schedules are
                               registered: a config of any MM package can name them without a prefix
checkpoint loaders             no checkpoint runs code when it is read (:mod:`.weights.read`)
YAML reader                    no YAML file runs code when it is read (:mod:`.engine.data_configs`)
``init_cfg`` ``Pretrained``    logs which tensors it loaded and which it did not
                               (:mod:`.weights.initializer`)
file backend ``atomic``        checkpoints are written whole or not at all
                               (:mod:`.engine.hooks.checkpoint`)
``rapidnet_mm::`` in configs   ``_base_ = 'rapidnet_mm::configs/NAME.py'`` works
=============================  ===================================================================

No installed file is changed. ``import rapidnet_mm`` itself stays quick: :func:`install` runs as
soon as MMEngine is imported, at once if it is imported already.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from .errors import UserError

EXTENSION = 'mmcv._ext'  # mmcv's compiled operators
HOST = 'mmengine'
NEEDED = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')
# With FORCE_SAFE set, every torch.load refuses to unpickle objects, whatever its arguments are.
FORCE_SAFE, FORCE_UNSAFE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
# Importing them registers their classes in MMEngine's root registries.
REGISTERED = (
    'backbones',
    'engine.metrics',
    'engine.hooks',
    'engine.amp',
    'engine.schedules',
    'weights.initializer',
)


def install() -> None:
    """Make all changes that are listed above. A second call has no further effect.

    Raises:
        ImportError: mmcv is not installed.
        UserError: mmdet was imported before, without operators.
    """
    add_operators()
    with mm_packages():
        import mmcv  # noqa: F401
    for module in REGISTERED:
        importlib.import_module(f'{__package__}.{module}')
    _read_safely()
    _write_atomically()
    _name_configs()


def install_with_mmengine() -> None:
    """Run :func:`install` as soon as MMEngine is imported, at once if it is imported already."""
    add_operators()
    module = sys.modules.get(HOST)
    if module is not None and not getattr(module.__spec__, '_initializing', False):
        install()
    elif not any(isinstance(finder, _HostFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HostFinder())


def add_operators() -> None:
    """Provide ``mmcv._ext``, made from torchvision's operators, if there is no compiled one.

    Raises:
        UserError: mmdet's models were imported before, without operators, and mmdet has
            replaced the operators by functions that only raise.
    """
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(_ExtensionFinder())  # last, so that a compiled extension wins
    _check_mmdet_came_later()


@contextmanager
def mm_packages() -> Iterator[None]:
    """Say how to install the MM packages if an import inside fails because one is missing.

    Raises:
        ImportError: a package that we need is not installed.
    """
    try:
        yield
    except ImportError as error:
        missing = (error.name or '').partition('.')[0]
        if missing not in NEEDED:
            raise
        raise ImportError(
            f'rapidnet_mm needs the MM packages ({missing} is missing): '
            "pip install 'rapidnet-mm[mm]' for the maintained onedl-* packages, "
            "or 'rapidnet-mm[openmmlab]' for the original ones",
            name=missing,
        ) from error


def forbid_unpickling() -> None:
    """Make torch refuse objects in checkpoints, in this process and its children.

    The commands do this; importing the package does not.
    """
    os.environ.pop(FORCE_UNSAFE, None)
    os.environ[FORCE_SAFE] = '1'


def _read_safely() -> None:
    from mmengine.fileio import register_handler
    from mmengine.runner import CheckpointLoader

    from .engine.data_configs import PlainYamlHandler
    from .weights.read import PREFIXES, load_from_checked

    CheckpointLoader.register_scheme(PREFIXES, loader=load_from_checked, force=True)
    register_handler(['yaml', 'yml'])(PlainYamlHandler)


def _write_atomically() -> None:
    from mmengine.fileio import register_backend

    from .engine.hooks.checkpoint import AtomicBackend

    register_backend('atomic', AtomicBackend, force=True)


def _name_configs() -> None:
    from mmengine.config.utils import MODULE2PACKAGE

    # MMEngine's table maps the name before '::' to a distribution or a module, whose folder holds
    # the configs. Here it is a module, because the original MMEngine looks for distributions in
    # site-packages, where an editable install has no files.
    MODULE2PACKAGE[__package__] = f'{__package__}.installation'


class _ExtensionFinder(importlib.abc.MetaPathFinder):
    """Finds ``mmcv._ext`` and nothing else."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002
        if fullname != EXTENSION:
            return None
        return importlib.machinery.ModuleSpec(fullname, _ExtensionLoader(), origin='torchvision')


class _ExtensionLoader(importlib.abc.Loader):
    """Fills ``mmcv._ext`` with the operators of :mod:`.engine.mmcv_ops`."""

    def create_module(self, spec: Any) -> None:  # noqa: ARG002
        return None  # Python then makes an ordinary module

    def exec_module(self, module: ModuleType) -> None:
        from .engine.mmcv_ops import SERVED, missing_operator

        for operator in SERVED:
            setattr(module, operator.__name__, operator)
        module.__getattr__ = missing_operator  # called for names that the module lacks (PEP 562)


class _HostFinder(importlib.abc.MetaPathFinder):
    """Finds MMEngine as Python does, and makes its import run :func:`install` at the end."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002
        if fullname != HOST:
            return None
        sys.meta_path.remove(self)  # otherwise the search below would call this method again
        spec = importlib.util.find_spec(fullname)
        if spec is None:
            sys.meta_path.insert(0, self)
            return None
        spec.loader = _HostLoader(spec.loader)
        return spec


class _HostLoader(importlib.abc.Loader):
    """Runs MMEngine's own loader, then :func:`install`."""

    def __init__(self, loader: Any):
        self._loader = loader

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Later requests for source or resources must go to MMEngine's own loader, which has them.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        install()


def _check_mmdet_came_later() -> None:
    # onedl-mmdetection replaces missing operators by functions that only raise. mmseg imports
    # mmdet's models, but segmentation does not use the operators, so that is no error.
    if _has_placeholder('mmdet.models.layers.bbox_nms', 'batched_nms'):
        if 'mmseg.models' not in sys.modules:
            raise UserError(
                'mmdet.models was imported before rapidnet_mm, without its operators; '
                'import rapidnet_mm before mmdet'
            )
    elif _has_placeholder('mmdet.structures.mask.structures', 'roi_align'):
        warnings.warn(
            'mmdet was imported before rapidnet_mm: models run, but heads for masks do '
            'not train; import rapidnet_mm before mmdet',
            stacklevel=3,
        )


def _has_placeholder(module: str, operator: str) -> bool:
    function = getattr(sys.modules.get(module), operator, None)
    return getattr(function, '__module__', None) == module
