"""``--cfg-options``: changes of a config from the command line. A misspelt key is an error.

MMEngine accepts any key. ``train_dataloader.batchsize=8`` adds a key that nothing reads, and the
batch stays as it was. Here such a key is refused, and the message names the nearest that exists.
"""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

import mmengine.registry as registries
from mmengine.config import Config, DictAction
from mmengine.registry import DefaultScope, Registry, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..errors import UserError
from ..weights.load import load_pretrained

# The runner reads these out of the config, beside the arguments of its constructor.
RUNNER_KEYS = {
    'auto_scale_lr',
    'compile',
    'custom_imports',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
MISSING = object()


def parse_options(texts: Mapping[str, str] | None) -> dict[str, Any]:
    """Turn the texts of ``--cfg-options`` into values: numbers, lists, None, or the text itself.

    Raises:
        UserError: brackets do not match.
    """
    values = {}
    for key, text in (texts or {}).items():
        try:
            values[key] = DictAction._parse_iterable(text)
        except AssertionError as error:
            raise UserError(f'--cfg-options {key}={text}: brackets do not match') from error
        except RecursionError as error:
            raise UserError(f'--cfg-options {key}: brackets are nested too deep') from error
    return values


def merge_options(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Merge ``--cfg-options`` into a config.

    A key names a value in the config, or an argument of a class. The class is the one that a
    ``type`` in the config names. The config need not give that argument yet.

    Raises:
        UserError: a key neither exists nor is an argument; the nearest one is named.
    """
    if not options:
        return
    # A new type has other arguments, so types are checked and set before the rest.
    types = {key: value for key, value in options.items() if key.rpartition('.')[2] == 'type'}
    changed = copy.deepcopy(cfg)
    for key in types:
        _check_key(changed, key)
    changed.merge_from_dict(types)
    for key in options:
        _check_key(changed, key)
    cfg.merge_from_dict(dict(options))


def _check_key(cfg: Config, key: str) -> None:
    node: Any = cfg
    parts = key.split('.')
    if parts[0] in cfg and not _is_read(parts[0]):
        user = next((p for p in _paths(cfg) if p.rpartition('.')[2] == parts[-1] and p != key), '')
        example = f', such as {user}' if user else ''
        raise UserError(
            f'--cfg-options {key}: {parts[0]} is a variable of the config file, and setting it '
            f'afterwards changes nothing; set what is made of it{example}'
        )
    for depth, part in enumerate(parts):
        child = _child(node, part)
        if child is MISSING:
            if _accepts(cfg, node, parts[:depth], part):
                return
            raise UserError(_unknown(cfg, node, parts, depth))
        node = child


def _child(node: Any, part: str) -> Any:
    if isinstance(node, Config | Mapping):
        return node.get(part, MISSING)
    if isinstance(node, list | tuple) and part.isdigit() and int(part) < len(node):
        return node[int(part)]
    return MISSING


def _accepts(cfg: Config, node: Any, path: list[str], name: str) -> bool:
    """Return whether ``node``, which stands at ``path``, may get a new key ``name``."""
    if not path:
        return _is_read(name)
    if not isinstance(node, Mapping):
        return False
    arguments = argument_names(cfg, node, path)
    if arguments is not None:
        return name in arguments
    # In a free mapping, such as metainfo, a new key is fine unless it looks like a typing error.
    return not difflib.get_close_matches(name, list(node), n=1, cutoff=0.75)


def _is_read(name: str) -> bool:
    """Return whether anything reads this key at the top of a config."""
    return name in RUNNER_KEYS | set(inspect.signature(Runner).parameters)


def argument_names(cfg: Config, node: Mapping, path: list[str]) -> set[str] | None:
    """Return the names that the dict at ``path`` may have, None if any name is allowed."""
    if path[-1].endswith('_dataloader'):
        return {*inspect.signature(DataLoader).parameters, 'dataset', 'num_batch_per_epoch'}
    kind = node.get('type')
    if kind is None:
        return None
    if kind == 'Pretrained':
        return {'type', *inspect.signature(load_pretrained).parameters} - {'backbone'}
    target = find_class(cfg, kind)
    if target is None:
        return None
    names: set[str] = {'type', '_scope_'}
    classes = inspect.getmro(target) if inspect.isclass(target) else (target,)
    for cls in classes:
        function = cls.__dict__.get('__init__') if inspect.isclass(cls) else cls
        if function is None or cls is object:
            continue
        parameters = inspect.signature(function).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break  # there is no **kwargs that would pass more arguments on to the parent
    else:
        return None  # every class has **kwargs, so any name is allowed
    return names


def find_class(cfg: Config, kind: Any) -> Any:
    """Return the class of a ``type`` in a config; None if there is none of that name."""
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    scope = cfg.get('default_scope', 'mmengine')
    if DefaultScope.get_current_instance() is None:
        init_default_scope(scope)
    with suppress(ImportError):
        import_module(f'{scope}.registry')
    with DefaultScope.overwrite_default_scope(scope):
        for registry in vars(registries).values():
            if isinstance(registry, Registry):
                # MMEngine warns of a registry that a package does not have.
                scoped = registry._search_child(scope)
                target = (registry if scoped is None else scoped).get(kind)
                if target is not None:
                    return target
    return None


def _unknown(cfg: Config, node: Any, parts: list[str], depth: int) -> str:
    key, parent = '.'.join(parts), '.'.join(parts[:depth])
    if not isinstance(node, Config | Mapping | list | tuple):
        return f'--cfg-options {key}: {parent} is {node!r}, which has nothing inside to set'
    names = set(_keys(node))
    if isinstance(node, Mapping) and depth:
        names |= argument_names(cfg, node, parts[:depth]) or set()
    nearest = _nearest(parts[depth], sorted(names), 0.6)
    path = '.'.join([*parts[:depth], nearest]) if nearest else None
    # Perhaps the name is right and the place is wrong: lr is optim_wrapper.optimizer.lr.
    path = path or next((p for p in _paths(cfg) if p.rpartition('.')[2] == parts[-1]), None)
    path = path or '.'.join([*parts[:depth], _nearest(parts[depth], sorted(names), 0.0) or ''])
    return f'--cfg-options {key}: no such key in the config; the nearest is {path.rstrip(".")}'


def _nearest(name: str, names: list[str], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)


def _paths(node: Any, prefix: str = '') -> Iterator[str]:
    for key in _keys(node):
        path = f'{prefix}{key}'
        yield path
        child = _child(node, key)
        if isinstance(child, Mapping | list | tuple):
            yield from _paths(child, f'{path}.')


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, list | tuple):
        yield from (str(index) for index in range(len(node)))
    else:
        yield from (str(key) for key in node if not str(key).startswith('_'))
