"""What stands for the functions and classes that checkpoints name.

Each checks its arguments, and makes a plain value. ``FUNCTIONS`` is the whole list.
"""

from __future__ import annotations

import argparse
from collections import Counter, OrderedDict
from collections.abc import Callable
from math import prod
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

LARGEST_KEY = 2**60  # larger integers can be chosen so that a dict of them takes hours
PLAIN_DTYPES = ('b1', *('i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'), 'f2', 'f4', 'f8')
COMPLEX_DTYPES = ('c8', 'c16')


class ForbiddenError(Exception):
    """A pickle names or does something that could run code. The message is the name."""


class ContentError(Exception):
    """A value that no training writes. The message ends a sentence that begins with the file."""


class Storage(NamedTuple):
    """The numbers of one or several tensors, in a row."""

    bytes: torch.UntypedStorage
    dtype: torch.dtype | None  # None: the tensor says it


class Kind(NamedTuple):
    """The type of a storage, as files name it."""

    dtype: torch.dtype | None

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return 1 if self.dtype is None else self.dtype.itemsize


class Function(NamedTuple):
    """Stands for a function or a class that a file names."""

    name: str
    call: Callable[..., Any]


def expect(value: Any, *types: type) -> None:
    """Refuse a value of another type than these; a subclass is another type."""
    if type(value) not in types:
        raise ForbiddenError(f'a change of {type(value).__name__}')


def check_keys(keys: Any) -> None:
    """Refuse keys whose hash runs code, or takes very long: only short, plain ones are left."""
    for key in keys:
        for part in key if type(key) is tuple else (key,):
            small = type(part) is not int or abs(part) < LARGEST_KEY
            if type(part) not in (str, int, bool, bytes, type(None)) or not small:
                raise ContentError(f'has a {type(part).__name__} as a key')


def is_size(value: Any) -> bool:
    """Return whether a value can count numbers in memory."""
    return type(value) is int and 0 <= value < 2**62


def sizes(values: Any) -> tuple[int, ...]:
    """Return a shape, or strides, if that is what a value is."""
    if type(values) not in (tuple, list, torch.Size) or not all(map(is_size, values)):
        raise ContentError('has a tensor with a wrong shape')
    return tuple(values)


def _ordered_dict(pairs: Any = ()) -> OrderedDict:
    return OrderedDict(_pairs(pairs))


def _pairs(pairs: Any) -> Any:
    if type(pairs) is dict:
        return pairs
    if type(pairs) not in (list, tuple) or not all(
        type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs
    ):
        raise ContentError('has a dict without keys')
    check_keys([key for key, value in pairs])
    return pairs


def _counter(counts: Any = ()) -> Counter:
    if not counts:
        return Counter()
    expect(counts, dict)
    return Counter(counts)


def _set(items: Any = ()) -> set:
    expect(items, list, tuple)
    check_keys(items)
    return set(items)


def _bytes(text: Any = '', encoding: Any = 'latin1') -> bytes:
    expect(text, str)
    if encoding != 'latin1':
        raise ContentError('has bytes in an unknown encoding')
    return text.encode('latin1')


def _complex(real: Any, imaginary: Any) -> complex:
    expect(real, float)
    expect(imaginary, float)
    return complex(real, imaginary)


def _size(values: Any = ()) -> torch.Size:
    return torch.Size(sizes(values))


def _device(name: Any, index: Any = None) -> torch.device:
    expect(name, str)
    expect(index, int, type(None))
    return torch.device(name if index is None else f'{name}:{index}')


def _parameter(data: Any, requires_grad: Any = True, hooks: Any = None) -> nn.Parameter:  # noqa: ARG001
    expect(data, Tensor)
    return nn.Parameter(data, requires_grad is True)


def _parameter_with_state(
    data: Any,
    requires_grad: Any,
    hooks: Any,  # noqa: ARG001
    state: Any,  # noqa: ARG001
) -> nn.Parameter:
    return _parameter(data, requires_grad)


def _layout(name: Any) -> str:
    expect(name, str)
    return name


def _sparse_tensor(layout: Any, data: Any) -> Tensor:
    if layout != 'torch.sparse_coo':
        raise ContentError('has a sparse tensor of an unknown kind')
    indices, values, shape = data[:3]
    expect(indices, Tensor)
    expect(values, Tensor)
    return torch.sparse_coo_tensor(indices, values, sizes(shape), check_invariants=True)


def _dtype(code: Any, align: Any = False, copy: Any = True) -> np.dtype:  # noqa: ARG001
    if code not in (*PLAIN_DTYPES, *COMPLEX_DTYPES):
        raise ForbiddenError(f'numpy.dtype {str(code)[:40]}')
    # A new object each time, because the unpickler replaces it where it finds another byte order.
    return np.dtype(np.dtype(code), copy=True)


def _dtype_state(dtype: np.dtype, state: Any) -> np.dtype:
    """Return the dtype in the byte order of the file; nothing else of the state is used."""
    if type(state) is not tuple or len(state) < 3 or any(part is not None for part in state[2:5]):
        raise ForbiddenError('numpy.dtype with fields')
    if state[1] not in ('<', '>', '|', '='):
        raise ContentError('has numbers in an unknown order of bytes')
    return dtype.newbyteorder('>') if state[1] == '>' else dtype


def _empty_array(kind: Any, shape: Any, code: Any) -> np.ndarray:  # noqa: ARG001
    if type(kind) is not Function or kind.name != 'numpy.ndarray':
        raise ForbiddenError('an array of another type')
    return np.empty(0, np.uint8)


def _array_state(array: np.ndarray, state: Any) -> np.ndarray:
    if type(state) is not tuple or len(state) != 5:
        raise ContentError('has an array without numbers')
    shape, dtype, in_columns, data = state[1:]
    shape = sizes(shape)
    if type(data) is str:  # Python 2
        data = data.encode('latin1')
    _check_data(dtype, data, prod(shape))
    array.__setstate__((1, shape, dtype, in_columns is True, data))
    return array


def _scalar(dtype: Any, data: Any) -> np.generic:
    if type(data) is str:
        data = data.encode('latin1')
    _check_data(dtype, data, 1)
    return np.frombuffer(data, dtype)[0]


def _check_data(dtype: Any, data: Any, count: int) -> None:
    if not isinstance(dtype, np.dtype) or dtype.kind not in 'biufc' or type(data) is not bytes:
        raise ForbiddenError('an array that is not of numbers')
    if len(data) != count * dtype.itemsize:
        raise ContentError(f'has an array of {count} numbers in {len(data)} bytes')


def _history(*arguments: Any) -> HistoryBuffer:
    if arguments:
        raise ContentError('has a history with arguments')
    return HistoryBuffer()


def _history_state(history: HistoryBuffer, state: Any) -> HistoryBuffer:
    """Set the numbers of a history. Its statistics are class-wide, so the file has no say."""
    expect(state, dict)
    values, counts = state.get('_log_history'), state.get('_count_history')
    length = state.get('max_length')
    for numbers in (values, counts):
        if type(numbers) is not np.ndarray or numbers.ndim != 1 or numbers.dtype.kind not in 'biuf':
            raise ContentError('has a history that is not of numbers')
    if len(values) != len(counts) or not is_size(length):
        raise ContentError('has a history of a wrong length')
    history._log_history, history._count_history = values.copy(), counts.copy()
    history.max_length = length
    return history


def _statistic(owner: Any, name: Any) -> None:
    """Stand for ``getattr``, by which a history names its statistics. They are not used."""
    known = type(owner) is Function and owner.name == HISTORY and type(name) is str
    if not known or name.startswith('_'):
        raise ForbiddenError('builtins.getattr')


def _namespace() -> argparse.Namespace:
    return argparse.Namespace()


def _namespace_state(namespace: argparse.Namespace, state: Any) -> argparse.Namespace:
    expect(state, dict)
    if not all(type(key) is str for key in state):
        raise ContentError('has arguments without names')
    vars(namespace).update(state)
    return namespace


def _ordered_state(value: OrderedDict, state: Any) -> OrderedDict:
    """Keep the versions of modules, which PyTorch saves beside their weights."""
    versions = state.get('_metadata') if type(state) is dict else None
    if isinstance(versions, dict) and all(
        type(name) is str
        and isinstance(entry, dict)
        and all(type(part) in (str, int, bool, type(None)) for part in entry.values())
        for name, entry in versions.items()
    ):
        value._metadata = OrderedDict((name, dict(entry)) for name, entry in versions.items())
    return value


def _path(*parts: Any) -> PurePosixPath:
    for part in parts:
        expect(part, str)
    return PurePosixPath(*parts)


def _not_callable(*_: Any) -> None:
    raise ForbiddenError('a call of a class or method')


HISTORY = f'{HistoryBuffer.__module__}.{HistoryBuffer.__qualname__}'
# Names that files have, and what stands for them. NumPy and Python have renamed modules.
FUNCTIONS = {
    'collections.OrderedDict': _ordered_dict,
    'collections.Counter': _counter,
    'builtins.set': _set,
    'builtins.bytes': _bytes,
    'builtins.complex': _complex,
    'builtins.getattr': _statistic,
    '_codecs.encode': _bytes,
    'torch.Size': _size,
    'torch.device': _device,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter_with_state,
    'torch._utils._rebuild_sparse_tensor': _sparse_tensor,
    'torch.serialization._get_layout': _layout,
    'numpy.dtype': _dtype,
    'numpy.ndarray': _not_callable,
    **{f'numpy.{core}.multiarray._reconstruct': _empty_array for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _scalar for core in ('core', '_core')},
    HISTORY: _history,
    # A history names its own statistics. They are not used.
    **{f'{HISTORY}.{name}': _not_callable for name in ('min', 'max', 'mean', 'current')},
    'argparse.Namespace': _namespace,
    **{
        f'{module}.{kind}': _path
        for module in ('pathlib', 'pathlib._local')
        for kind in ('PosixPath', 'PurePosixPath')
    },
}
BUILDERS = {
    OrderedDict: _ordered_state,
    HistoryBuffer: _history_state,
    argparse.Namespace: _namespace_state,
    np.ndarray: _array_state,
    **{type(np.dtype(code)): _dtype_state for code in (*PLAIN_DTYPES, *COMPLEX_DTYPES)},
}
