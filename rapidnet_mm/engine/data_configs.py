"""Configs in YAML and JSON are data: reading one, and building what it says, runs no other code.

MMEngine reads YAML with tags that call any function, and takes a ``type`` that is not registered
for the path of a function to call. Both are refused here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from mmengine import registry as registries
from mmengine.config import Config
from mmengine.fileio import YamlHandler
from mmengine.registry import Registry

from ..data.checks.check_config import nested_dicts
from ..errors import UserError

PACKAGES = ('rapidnet_mm', 'mmdet', 'mmseg', 'mmpretrain', 'mmengine', 'mmcv')
# Their classes are registered when they are imported.
HOSTS = {'mmdet', 'mmseg', 'mmpretrain'}
SUFFIXES = ('.yaml', '.yml', '.json')


class PlainYamlHandler(YamlHandler):
    """Reads YAML without tags for Python objects."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Return the values of a file: dicts, lists, texts, numbers.

        Raises:
            yaml.YAMLError: the file has a tag for something else.
        """
        return yaml.load(file, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))


def check_data_config(cfg: Config, path: Path) -> None:
    """Check that a config of data names only what is registered.

    Args:
        cfg: as MMEngine reads it.
        path: its file. A ``.py`` is code, so there is nothing to check.

    Raises:
        UserError: a ``type`` is the path of something that is not registered.
    """
    if path.suffix not in SUFFIXES:
        return
    types = [node.get('type') for node, _ in nested_dicts(cfg.to_dict(), '')]
    names = {name for name in types if isinstance(name, str) and '.' in name}
    if not names:
        return
    for package in {name.partition('.')[0] for name in names} & HOSTS:
        with suppress(ImportError):  # what is not installed has nothing registered
            import_module(f'{package}.models')
    objects, keys = _registered()
    for name in sorted(names):
        if name not in keys and not any(_found(name) is known for known in objects):
            raise UserError(
                f'config {path}: type {name} is not registered, and {path.suffix} files may not '
                'name other code; write a .py config, or register it'
            )


def check_imports(imports: Any, place: str) -> None:
    """Check that a config of data has nothing imported but the packages that it is made for.

    Raises:
        UserError: its ``custom_imports`` name others.
    """
    if imports is None:
        return
    names = imports.get('imports') if isinstance(imports, Mapping) else imports
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'{place}: custom_imports should be a dict with a list of imports')
    for name in names:
        if name.partition('.')[0] not in PACKAGES:
            raise UserError(
                f'{place}: custom_imports has {name}, and YAML and JSON files may import only '
                f'{", ".join(PACKAGES)}; write a .py config'
            )


def is_installed(base: str, file: Path) -> bool:
    """Return whether a base in Python is one of ours, or of an installed package."""
    ours = (Path(__file__).parents[1], Path(__file__).parents[2] / 'configs')
    package = base.partition('::')[0] if '::' in base else ''
    return package in PACKAGES or any(folder in file.resolve().parents for folder in ours)


def _registered() -> tuple[list[Any], set[str]]:
    """Return all registered classes and functions, and the names with a scope that lead to them."""
    objects, keys = [], set()
    waiting = [value for value in vars(registries).values() if isinstance(value, Registry)]
    while waiting:
        registry = waiting.pop()
        registry.import_from_location()
        objects += registry.module_dict.values()
        keys |= {f'{registry.scope}.{name}' for name in registry.module_dict}
        waiting += registry.children.values()
    return objects, keys


def _found(name: str) -> Any:
    """Return what a path such as ``torch.nn.ReLU`` leads to, without importing; None if nothing."""
    parts = name.split('.')
    for count in range(len(parts) - 1, 0, -1):
        module = sys.modules.get('.'.join(parts[:count]))
        if module is not None:
            value: Any = module
            for part in parts[count:]:
                value = getattr(value, part, None)
            return value
    return None
