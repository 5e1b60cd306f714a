"""Unpickle the values of a checkpoint without ever calling what the file names.

A pickle is a program: it names functions and has them called. Here every name stands for a
function of :mod:`.values`, which checks its arguments. A name that is not in the list is refused.
So is every instruction that does something else than to build plain values.
"""

from __future__ import annotations

import argparse
import math
import pickle
import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from .values import (
    BUILDERS,
    FUNCTIONS,
    ContentError,
    ForbiddenError,
    Function,
    Kind,
    Storage,
    check_keys,
    expect,
    is_size,
    sizes,
)

# Files share tensors: a checkpoint may have the same one under several names.
SHARED = 16
# What a small file may hold beyond its own size, in bytes: numbers that are expanded to vectors.
SLACK = 2**24
DEPTH = 64  # of dicts in dicts
LEAVES = (
    *(type(None), bool, int, float, complex, str, bytes, bytearray),
    *(Tensor, nn.Parameter, np.ndarray, torch.Size, torch.dtype, torch.device),
    *(HistoryBuffer, PurePosixPath),
)
STORAGES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
    'ComplexDoubleStorage': torch.complex128,
    'ComplexFloatStorage': torch.complex64,
}
# Instructions that build plain values. The others call, import or look up something.
OPERATIONS = (
    *('PROTO', 'FRAME', 'STOP', 'MARK', 'POP', 'POP_MARK', 'NONE', 'NEWTRUE', 'NEWFALSE'),
    *('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT', 'BINFLOAT'),
    *('STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'BINUNICODE', 'SHORT_BINUNICODE'),
    *('BINUNICODE8', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'TUPLE', 'EMPTY_TUPLE'),
    *('TUPLE1', 'TUPLE2', 'TUPLE3', 'LIST', 'EMPTY_LIST', 'APPEND', 'APPENDS', 'EMPTY_DICT'),
    *('DICT', 'SETITEM', 'SETITEMS', 'EMPTY_SET', 'ADDITEMS', 'FROZENSET', 'GET', 'BINGET'),
    *('LONG_BINGET', 'PUT', 'BINPUT', 'LONG_BINPUT', 'MEMOIZE', 'GLOBAL', 'STACK_GLOBAL'),
    *('REDUCE', 'NEWOBJ', 'BUILD', 'BINPERSID'),
)


class Unpickler(pickle._Unpickler):
    """Reads one pickle.

    Args:
        file: positioned at the start of the pickle.
        size: bytes of the whole file. Tensors may have a multiple of it, no more.
        storage_of: returns the storage of an entry ``('storage', kind, key, location, count)``.
    """

    def __init__(self, file: BinaryIO, size: int, storage_of: Callable[..., Storage] | None = None):
        super().__init__(file, encoding='utf-8')
        self._storage_of = storage_of
        self._budget = SHARED * size + SLACK
        self._functions = {**FUNCTIONS, **self._tensor_functions()}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name of the file.

        Raises:
            ForbiddenError: the name is not in the list.
        """
        module = {'__builtin__': 'builtins'}.get(module, module)  # Python 2
        full = f'{module}.{name}'
        if full in self._functions:
            return Function(full, self._functions[full])
        if module in ('torch', 'torch.storage') and name in (*STORAGES, 'UntypedStorage'):
            return Kind(STORAGES.get(name))
        if module == 'torch' and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise ForbiddenError(full)

    def persistent_load(self, pid: Any) -> Storage:
        """Return a storage; tensors do not keep their numbers in the pickle."""
        if self._storage_of is None or type(pid) is not tuple or len(pid) not in (5, 6):
            raise ContentError('has a wrong reference to numbers')
        tag, kind, key, location, count = pid[:5]
        types = (type(tag), type(kind), type(key), type(location))
        if types != (str, Kind, str, str) or tag != 'storage' or not is_size(count) or any(pid[5:]):
            raise ContentError('has a wrong reference to numbers')
        return Storage(self._storage_of(kind, key, location, count), kind.dtype)

    def _tensor_functions(self) -> dict[str, Callable[..., Any]]:
        return {
            'torch._utils._rebuild_tensor': self._tensor,
            'torch._utils._rebuild_tensor_v2': self._tensor,
            'torch._utils._rebuild_tensor_v3': self._tensor_with_dtype,
        }

    def _tensor(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any = False,
        hooks: Any = None,  # noqa: ARG002  (functions of a training; none are wanted)
        metadata: Any = None,  # noqa: ARG002
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return a tensor, if all of its numbers are in the storage."""
        if type(storage) is not Storage:
            raise ContentError('has a tensor without numbers')
        shape, strides = sizes(shape), sizes(strides)
        dtype = dtype or storage.dtype
        if len(shape) != len(strides) or not is_size(offset) or dtype is None:
            raise ContentError('has a tensor with a wrong shape')
        count = math.prod(shape)
        last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
        if count and (last + 1) * dtype.itemsize > storage.bytes.nbytes():
            raise ContentError(f'has a tensor of shape {shape} that is larger than its numbers')
        self._budget -= count * dtype.itemsize
        if self._budget < 0 or max((*shape, *strides, offset), default=0) >= 2**62:
            raise ContentError(
                f'has tensors that are much larger than the file, such as one of shape {shape}'
            )
        tensor = torch.empty(0, dtype=dtype, device=storage.bytes.device)
        tensor = tensor.set_(storage.bytes, offset, shape, strides)
        return tensor.requires_grad_(requires_grad is True)

    def _tensor_with_dtype(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any,
        hooks: Any,
        dtype: Any,
        metadata: Any = None,
    ) -> Tensor:
        if type(dtype) is not torch.dtype:
            raise ContentError('has a tensor without a type of number')
        return self._tensor(
            storage, offset, shape, strides, requires_grad, hooks, metadata, dtype=dtype
        )

    def _call(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if type(function) is not Function or type(arguments) is not tuple:
            raise ForbiddenError(f'a call of {type(function).__name__}')
        try:
            self.stack[-1] = function.call(*arguments)
        except TypeError as error:
            raise ContentError(f'has wrong arguments of {function.name}') from error

    def _build(self) -> None:
        state = self.stack.pop()
        value = self.stack[-1]
        if type(value) not in BUILDERS:
            raise ForbiddenError(f'a state of {type(value).__name__}')
        changed = BUILDERS[type(value)](value, state)
        if changed is not value:  # only the byte order of a dtype: dtypes do not change in place
            self.stack[-1] = changed
            self.memo = {k: changed if v is value else v for k, v in self.memo.items()}

    def _append(self) -> None:
        expect(self.stack[-2], list)
        super().load_append()

    def _extend(self) -> None:
        expect(self.metastack[-1][-1], list)
        super().load_appends()

    def _set_item(self) -> None:
        expect(self.stack[-3], dict, OrderedDict, Counter)
        check_keys(self.stack[-2:-1])
        super().load_setitem()

    def _set_items(self) -> None:
        expect(self.metastack[-1][-1], dict, OrderedDict, Counter)
        check_keys(self.stack[::2])
        super().load_setitems()

    def _dict(self) -> None:
        check_keys(self.stack[::2])
        super().load_dict()

    def _add_items(self) -> None:
        expect(self.metastack[-1][-1], set)
        check_keys(self.stack)
        super().load_additems()

    def _frozenset(self) -> None:
        check_keys(self.stack)
        super().load_frozenset()


def _checked_dispatch() -> dict[int, Callable[[Unpickler], None]]:
    checked = {
        'REDUCE': Unpickler._call,
        'NEWOBJ': Unpickler._call,
        'BUILD': Unpickler._build,
        'APPEND': Unpickler._append,
        'APPENDS': Unpickler._extend,
        'SETITEM': Unpickler._set_item,
        'SETITEMS': Unpickler._set_items,
        'DICT': Unpickler._dict,
        'ADDITEMS': Unpickler._add_items,
        'FROZENSET': Unpickler._frozenset,
    }
    codes = {entry.name: ord(entry.code) for entry in pickletools.opcodes}
    others = {code: _refused(name) for name, code in codes.items()}
    kept = {codes[name]: pickle._Unpickler.dispatch[codes[name]] for name in OPERATIONS}
    return others | kept | {codes[name]: function for name, function in checked.items()}


def _refused(name: str) -> Callable[[Unpickler], None]:
    def refuse(_: Unpickler) -> None:
        raise ForbiddenError(f'the instruction {name}')

    return refuse


def check_plain(content: Any) -> None:
    """Check that a content is made of plain values, not too deep, and does not hold itself.

    Raises:
        ContentError: it is not.
    """
    heights: dict[int, int | None] = {}

    def height_of(value: Any, depth: int) -> int:
        if type(value) in LEAVES or isinstance(value, np.generic):
            return 0
        if id(value) not in heights:
            heights[id(value)] = None  # until it is known; who meets it before, holds itself
            if depth > DEPTH:
                raise ContentError(f'has more than {DEPTH} dicts or lists in one another')
            parts = (height_of(part, depth + 1) for part in _parts(value))
            heights[id(value)] = 1 + max(parts, default=0)
        height = heights[id(value)]
        if height is None:
            raise ContentError(f'has a {type(value).__name__} that holds itself')
        if depth + height > DEPTH + 1:
            raise ContentError(f'has more than {DEPTH} dicts or lists in one another')
        return height

    height_of(content, 0)


def _parts(value: Any) -> Any:
    if type(value) in (dict, OrderedDict, Counter):
        return value.values()
    if type(value) in (list, tuple, set, frozenset):
        return value
    if type(value) is argparse.Namespace:
        return vars(value).values()
    name = value.name if type(value) is Function else type(value).__name__
    raise ForbiddenError(name)


Unpickler.dispatch = _checked_dispatch()
