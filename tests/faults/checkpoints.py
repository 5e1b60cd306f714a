"""Faults of checkpoint files: a name, how the file is planted, and what the refusal must say."""

import argparse
import io
import json
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .fault import Fault


class Call:
    """Unpickled by the usual rules, this is what a function returns; a state may follow."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


def _named(module, name, arguments=b')'):
    """The opcodes of a call, by hand: GLOBAL, arguments, REDUCE."""
    return f'c{module}\n{name}\n'.encode() + arguments + b'R'


def raw_zip(path, program, parts=(), compression=zipfile.ZIP_STORED):
    """Write an archive as torch does, with these opcodes as its pickle."""
    with zipfile.ZipFile(path, 'w', compression) as archive:
        archive.writestr('x/data.pkl', program)
        archive.writestr('x/version', '3\n')
        for name, data in parts:
            archive.writestr(f'x/{name}', data)


def opcodes(value):
    """Return a function that plants a dict whose only value is made by these opcodes."""
    return lambda path: raw_zip(path, b'\x80\x02}X\x01\0\0\0a' + value + b's.')


def saved(value):
    """Return a function that plants what torch.save makes of a value."""
    return lambda path: torch.save({'a': value}, path)


def text(value):
    data = value.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def storage(key='0', kind='FloatStorage', count=1):
    number = b'J' + struct.pack('<i', count)
    return (
        b'('
        + text('storage')
        + f'ctorch\n{kind}\n'.encode()
        + text(key)
        + text('cpu')
        + number
        + b'tQ'
    )


def integer(value):
    data = pickle.encode_long(value)
    return b'\x8a' + bytes([len(data)]) + data


def sizes(*values):
    return b'(' + b''.join(map(integer, values)) + b't'


def tensor(shape, strides, offset=0, count=1, numbers=b'\0\0\x80?', name='_rebuild_tensor_v2'):
    """Plant a tensor whose shape, strides and place are chosen freely."""
    hooks = b'ccollections\nOrderedDict\n)R'
    arguments = storage(count=count) + integer(offset) + sizes(*shape) + sizes(*strides)
    program = f'ctorch._utils\n{name}\n('.encode() + arguments + b'\x89' + hooks + b'tR'
    return lambda path: raw_zip(
        path, b'\x80\x02}X\x01\0\0\0a' + program + b's.', [('data/0', numbers)]
    )


def dtype(code='f8', state=(3, '<', None, None, None, -1, -1, 0)):
    return Call(np.dtype, code, False, True, state=state)


def array(kind, data=b'\0' * 8, shape=(1,)):
    reconstruct = np.zeros(0).__reduce__()[0]
    return Call(reconstruct, np.ndarray, (0,), b'b', state=(1, shape, kind, False, data))


def scalar(kind, data):
    return Call(np.float64(0).__reduce__()[0], kind, data)


class History:
    """A history of losses with a state of its own choice."""

    def __init__(self, **state):
        self.state = state

    def __reduce__(self):
        return HistoryBuffer, (), self.state


def nested(depth):
    return b']' * depth + b'a' * (depth - 1)


CODE = ('could run code',)
# What names or does something that could run code, or reach memory that is not its own.
HOSTILE = [
    Fault(
        'os.system', opcodes(_named('os', 'system', text('true') + b'\x85')), ('os.system', *CODE)
    ),
    Fault('posix.system', opcodes(_named('posix', 'system', text('true') + b'\x85')), CODE),
    Fault('eval', opcodes(_named('builtins', 'eval', text('1') + b'\x85')), CODE),
    Fault('exec of Python 2', opcodes(_named('__builtin__', 'exec', text('1') + b'\x85')), CODE),
    Fault('open', saved(Call(open, '/dev/null')), CODE),
    Fault(
        'stack global',
        opcodes(text('os') + text('system') + b'\x93' + text('true') + b'\x85R'),
        CODE,
    ),
    Fault('attribute of a name', opcodes(b'cargparse\n_sys.modules\n'), CODE),
    Fault('getattr of a namespace', saved(Call(getattr, argparse.Namespace, '__init__')), CODE),
    Fault(
        'getattr of a dtype',
        opcodes(_named('builtins', 'getattr', b'ctorch\nfloat32\n' + text('x') + b'\x86')),
        CODE,
    ),
    Fault(
        'hidden attribute of a history',
        saved(Call(getattr, HistoryBuffer, '_set_default_statistics')),
        CODE,
    ),
    Fault('INST', opcodes(b'(' + text('true') + b'ios\nsystem\n'), ('INST', *CODE)),
    Fault('OBJ', opcodes(b'(cos\nsystem\n' + text('true') + b'o'), CODE),
    Fault('EXT1', opcodes(b'\x82\x01'), ('EXT1', *CODE)),
    Fault('EXT4', opcodes(b'\x84\x01\0\0\0'), ('EXT4', *CODE)),
    Fault('NEWOBJ_EX', opcodes(b'ccollections\nOrderedDict\n)}\x92'), CODE),
    Fault('PERSID', opcodes(b'Pstorage\n'), CODE),
    Fault('BYTEARRAY8', opcodes(b'\x96' + b'\xff' * 7 + b'\x0f'), CODE),
    Fault('NEXT_BUFFER', opcodes(b'\x97'), CODE),
    Fault('call of a text', opcodes(text('a') + b')R'), CODE),
    Fault('call of a type of numbers', opcodes(b'ctorch\nfloat32\n)R'), CODE),
    Fault(
        'storage made by a call',
        opcodes(_named('torch', 'FloatStorage', integer(10**12) + b'\x85')),
        CODE,
    ),
    Fault(
        'storage that is untyped',
        opcodes(_named('torch.storage', 'UntypedStorage', integer(10**12) + b'\x85')),
        CODE,
    ),
    Fault(
        'tensor made by a call',
        opcodes(_named('torch', 'FloatTensor', integer(10**12) + b'\x85')),
        CODE,
    ),
    Fault(
        'bytearray made by a call',
        opcodes(_named('builtins', 'bytearray', integer(10**12) + b'\x85')),
        CODE,
    ),
    Fault('state of a function', opcodes(b'ccollections\nOrderedDict\n}b'), CODE),
    Fault(
        'state of a class',
        opcodes(b'cmmengine.logging.history_buffer\nHistoryBuffer\nN}' + text('max') + b'Ks\x86b'),
        CODE,
    ),
    Fault('state of a text', opcodes(text('a') + b'}b'), CODE),
    Fault('a function as a value', opcodes(b'ccollections\nOrderedDict\n'), CODE),
    Fault('append to a tuple', opcodes(b')Na'), CODE),
    Fault('item of a text', opcodes(text('a') + b'K\0K\0s'), CODE),
    Fault(
        'item of an array', opcodes(b'cnumpy\ndtype\n(' + text('f8') + b'\x89\x88tRK\0K\0s'), CODE
    ),
    Fault('dtype of objects', saved(array(Call(np.dtype, 'O8', False, True))), ('O8', *CODE)),
    Fault('dtype of objects, short', saved(array(Call(np.dtype, 'O'))), CODE),
    Fault(
        'dtype that becomes one of objects',
        saved(array(dtype(state=(3, '|', None, None, None, -1, -1, 63)))),
        (),
    ),
    Fault(
        'dtype with fields',
        saved(array(dtype('V8', (3, '|', None, ('x',), {'x': (np.dtype('O'), 0)}, 8, 1, 27)))),
        CODE,
    ),
    Fault(
        'dtype f8 with fields',
        saved(array(dtype('f8', (3, '|', None, ('x',), {'x': (np.dtype('f8'), 0)}, 8, 1, 27)))),
        CODE,
    ),
    Fault(
        'dtype with a subarray',
        saved(array(dtype('f8', (3, '|', (np.dtype('f8'), (1000,)), None, None, 8, 1, 27)))),
        CODE,
    ),
    Fault('dtype of texts', saved(array(Call(np.dtype, 'U2', False, True))), CODE),
    Fault('dtype of dates', saved(array(Call(np.dtype, 'M8', False, True))), CODE),
    Fault('dtype of nothing', saved(array(Call(np.dtype, 'V8', False, True))), CODE),
    Fault(
        'scalar that is an object',
        saved(scalar(Call(np.dtype, 'O8', False, True), b'\x01' * 8)),
        CODE,
    ),
    Fault(
        'array of another class',
        saved(Call(np.zeros(0).__reduce__()[0], np.recarray, (0,), b'b')),
        CODE,
    ),
    Fault('array of objects, saved honestly', saved(np.array([object], dtype=object)), CODE),
    Fault(
        'array made by a call', opcodes(_named('numpy', 'ndarray', integer(10**12) + b'\x85')), CODE
    ),
    Fault('path of Windows', opcodes(_named('pathlib', 'WindowsPath', text('a') + b'\x85')), CODE),
    Fault(
        'tensor of a subclass',
        opcodes(_named('torch._tensor', '_rebuild_from_type_v2', b')')),
        CODE,
    ),
    Fault(
        'wrapper of a tensor',
        opcodes(_named('torch._utils', '_rebuild_wrapper_subclass', b')')),
        CODE,
    ),
    Fault('function of a module that is data', opcodes(_named('torch', 'hub.load', b')')), CODE),
]
BEYOND = ('much larger than the file',)
# What is no code, but no training writes it: it would fill the memory or take for ever.
BOMBS = [
    Fault('10^12 numbers made of one', tensor((10**12,), (0,)), BEYOND),
    Fault('10^12 numbers in two directions', tensor((10**6, 10**6), (0, 0)), BEYOND),
    Fault('more numbers than fit an address', tensor((2**40, 2**40), (0, 0)), BEYOND),
    Fault('tensor beyond its numbers', tensor((3,), (1,)), ('larger than its numbers',)),
    Fault('offset beyond its numbers', tensor((1,), (1,), offset=1), ('larger than its numbers',)),
    Fault('stride beyond its numbers', tensor((2,), (10**9,)), ('larger than its numbers',)),
    Fault('offset below zero', tensor((1,), (1,), offset=-1), ('wrong shape',)),
    Fault('size below zero', tensor((-1,), (1,)), ('wrong shape',)),
    Fault('stride below zero', tensor((1,), (-1,)), ('wrong shape',)),
    Fault('huge stride of nothing', tensor((0,), (2**63,)), ('wrong shape',)),
    Fault('fewer strides than sizes', tensor((1, 1), (1,)), ('wrong shape',)),
    Fault('old kind of tensor, 10^12', tensor((10**12,), (0,), name='_rebuild_tensor'), ()),
    Fault('fewer numbers than said', tensor((1,), (1,), count=3), ('fewer numbers',)),
    Fault('count below zero', tensor((1,), (1,), count=-1), ('reference',)),
    Fault('array longer than its bytes', saved(array(dtype(), shape=(10**12,))), ('bytes',)),
    Fault('array of a size below zero', saved(array(dtype(), shape=(-1,))), ('shape',)),
    Fault('scalar of too few bytes', saved(scalar(dtype(), b'\0')), ('bytes',)),
    Fault('history without numbers', saved(History(max_length=5)), ('history',)),
    Fault(
        'history of two lengths',
        saved(History(_log_history=np.zeros(2), _count_history=np.zeros(1), max_length=5)),
        ('history',),
    ),
    Fault(
        'history of length below zero',
        saved(History(_log_history=np.zeros(1), _count_history=np.zeros(1), max_length=-5)),
        ('history',),
    ),
    Fault(
        'history of texts',
        saved(History(_log_history=['a'], _count_history=[1], max_length=5)),
        ('history',),
    ),
    Fault('lists in lists', opcodes(nested(5000)), ('in one another',)),
    Fault(
        'tuples in tuples as a key', opcodes(b'}' + b')' + b'\x85' * 100_000 + b'Ns'), ('as a key',)
    ),
    Fault('a list that holds itself', opcodes(b']q\0h\0a'), ('holds itself',)),
    Fault('a key of 200 digits', opcodes(b'}' + integer(2**700) + b'Ns'), ('as a key',)),
    Fault('a text of 4 GB', opcodes(b'X\xff\xff\xff\xff'), ('damaged',)),
    Fault('bytes of 2^62', opcodes(b'\x8e' + struct.pack('<Q', 2**62)), ('damaged',)),
    Fault('a frame of 2^62', opcodes(b'\x95' + struct.pack('<Q', 2**62)), ('damaged',)),
    Fault(
        'compressed parts',
        lambda path: raw_zip(path, b'\x80\x02}.', [('data/0', bytes(10**7))], zipfile.ZIP_DEFLATED),
        ('compressed',),
    ),
    Fault(
        'parts of one name',
        lambda path: raw_zip(path, b'\x80\x02}.', [('version', b'3')]),
        ('one name',),
    ),
    Fault('no pickle', lambda path: zipfile.ZipFile(path, 'w').writestr('x/version', '3'), ()),
    Fault(
        'TorchScript',
        lambda path: raw_zip(path, b'\x80\x02}.', [('constants.pkl', b'')]),
        ('TorchScript',),
    ),
    Fault('no instructions', lambda path: raw_zip(path, b''), ('damaged',)),
    Fault('only an end', lambda path: raw_zip(path, b'\x80\x02.'), ('damaged',)),
    Fault('a memo that is empty', opcodes(b'h\x05'), ('damaged',)),
]


def header(entries, data=b'', length=None, raw=None):
    """Plant a safetensors file with a header of its own choice."""
    encoded = raw if raw is not None else json.dumps(entries).encode()
    length = len(encoded) if length is None else length
    return lambda path: path.write_bytes(struct.pack('<Q', length) + encoded + data)


def entry(begin=0, end=4, shape=(1,), kind='F32'):
    return {'dtype': kind, 'shape': list(shape), 'data_offsets': [begin, end]}


def _json(name, value):
    return f'{json.dumps(name)}:{json.dumps(value)}'


TENSORS = [
    Fault('overlap', header({'a': entry(), 'b': entry()}, b'\0' * 4), ('damaged',)),
    Fault('overlap of a half', header({'a': entry(), 'b': entry(2, 6)}, b'\0' * 6), ('damaged',)),
    Fault('hole', header({'a': entry(), 'b': entry(8, 12)}, b'\0' * 12), ('damaged',)),
    Fault('bytes left over', header({'a': entry()}, b'\0' * 8), ('damaged',)),
    Fault('begin after end', header({'a': entry(4, 0)}, b'\0' * 4), ('damaged',)),
    Fault(
        'overflow of a shape', header({'a': entry(shape=(2**32, 2**32))}, b'\0' * 4), ('damaged',)
    ),
    Fault('overflow of an offset', header({'a': entry(0, 2**64 + 4)}, b'\0' * 4), ('cut off',)),
    Fault('shape below zero', header({'a': entry(shape=(-1,))}, b'\0' * 4), ('damaged',)),
    Fault('another shape', header({'a': entry(shape=(2,))}, b'\0' * 4), ('damaged',)),
    Fault('unknown kind', header({'a': entry(kind='X9')}, b'\0' * 4), ('damaged',)),
    Fault(
        'a name twice',
        header({}, b'\0' * 4, raw=f'{{{_json("a", entry())},{_json("a", entry())}}}'.encode()),
        ('a twice',),
    ),
    Fault(
        'an offset twice',
        header(
            {}, b'\0' * 4, raw=b'{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}'
        ),
        ('shape twice',),
    ),
    Fault('header of 100 MB', header({'a': entry()}, b'\0' * 4, length=100_000_001), ('limit',)),
    Fault(
        'header longer than the file', header({'a': entry()}, b'\0' * 4, length=500), ('cut off',)
    ),
    Fault('cut off', header({'a': entry()}, b'\0' * 3), ('cut off',)),
    Fault('no JSON', header({}, b'\0' * 4, raw=b'{"a"'), ('damaged',)),
    Fault(
        'a list of everything',
        header({}, b'\0' * 4, raw=b'{"a":' + b'[' * 20000 + b']' * 20000 + b'}'),
        ('damaged',),
    ),
    Fault(
        'numbers as metadata',
        header({'__metadata__': {'x': 1}, 'a': entry()}, b'\0' * 4),
        ('damaged',),
    ),
    Fault(
        'text as our metadata',
        header({'__metadata__': {'rapidnet_mm': '[1'}, 'a': entry()}, b'\0' * 4),
        ('damaged',),
    ),
    Fault(
        'list as our metadata',
        header({'__metadata__': {'rapidnet_mm': '[1]'}, 'a': entry()}, b'\0' * 4),
        ('damaged',),
    ),
    Fault(
        'another checksum',
        header({'__metadata__': {'rapidnet_mm': '{"sha256":"00"}'}, 'a': entry()}, b'\0' * 4),
        ('checksum',),
    ),
]


def old(change):
    """Plant a file of the old format that has been changed."""

    def plant(path):
        buffer = io.BytesIO()
        torch.save({'a': torch.ones(100)}, buffer, _use_new_zipfile_serialization=False)
        path.write_bytes(change(buffer.getvalue()))

    return plant


def new(change):
    """Plant a file of the new format that has been changed."""

    def plant(path):
        buffer = io.BytesIO()
        torch.save({'a': torch.arange(1.0, 2000.0)}, buffer)
        path.write_bytes(change(bytearray(buffer.getvalue())))

    return plant


def hole(start, length):
    def change(data):
        data[start : start + length] = bytes(length)
        return data

    return change


DAMAGED = [
    Fault('nothing', lambda path: path.write_bytes(b''), ('empty',)),
    Fault('a page', lambda path: path.write_bytes(b'<html>404</html>'), ('<html>',)),
    Fault('old, cut in its numbers', old(lambda data: data[:-100]), ('cut off',)),
    Fault('old, cut before its numbers', old(lambda data: data[:-410]), ('damaged',)),
    Fault('old, cut in its pickle', old(lambda data: data[:200]), ('damaged',)),
    Fault('old, cut at the start', old(lambda data: data[:10]), ('damaged',)),
    Fault('old, longer', old(lambda data: data + b'\0' * 10), ('after its end',)),
    Fault(
        'old, another magic number',
        lambda path: path.write_bytes(pickle.dumps({'a': 1}, 2)),
        ('torch.save',),
    ),
    Fault('new, cut by a byte', new(lambda data: data[:-1]), ('damaged',)),
    Fault('new, cut in half', new(lambda data: data[: len(data) // 2]), ('cut off',)),
    Fault('new, only its start', new(lambda data: data[:100]), ('cut off',)),
    Fault('new, zeros in its numbers', new(hole(3000, 64)), ('damaged',)),
    Fault('new, zeros in its pickle', new(hole(100, 40)), ('damaged',)),
    Fault('new, zeros at the start', new(hole(4, 400)), ('damaged',)),
    Fault(
        'new, zeros in its directory',
        new(lambda data: hole(len(data) - 300, 100)(data)),
        ('damaged',),
    ),
]
FAULTS = [*HOSTILE, *BOMBS, *TENSORS, *DAMAGED]


def good_files():
    """Values that trainings keep, which must be read as they are."""
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    return {
        'numbers': {'a': 1, 'b': 2.5, 'c': None, 'd': True, 'e': 'x', 'f': b'\0\xff', 'g': 1j},
        'lists': {'a': [1, (2, 3)], 'b': {4, 5}, 'c': OrderedDict(x=1), 'd': torch.Size([1, 2])},
        'arrays': {k: np.arange(6).astype(k).reshape(2, 3) for k in ('f2', 'f4', '>f4', 'i8', '?')},
        'scalars': {'a': np.float32(1.5), 'b': np.int64(3), 'c': np.bool_(True)},
        'types': {'a': torch.float16, 'b': torch.device('cpu'), 'c': torch.device('cuda', 1)},
        'history': {'a': history},
        'namespace': {'a': argparse.Namespace(lr=0.1, names=['x'])},
    }


def tensors():
    """Tensors of every kind that files hold."""
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.int16)
    kinds += (torch.int32, torch.int64, torch.uint8, torch.bool, torch.complex64)
    base = torch.arange(12.0).reshape(3, 4)
    state = {str(kind): base.to(kind) for kind in kinds}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        state |= {'transposed': base.t(), 'part': base[1:, 2:], 'one': torch.tensor(3.0)}
    return state | {
        'empty': torch.empty(0, 3),
        'expanded': torch.ones(1).expand(5),
        'parameter': torch.nn.Parameter(base.clone()),
        'shared': base,
    }
