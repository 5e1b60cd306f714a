"""Planted files are refused in a line, run nothing, and damage nothing; good ones are read."""

import io
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from rapidnet_mm import UserError
from rapidnet_mm.weights import pickled, read, release
from rapidnet_mm.weights.read import read_checkpoint
from tests.faults import checkpoints
from tests.faults.checkpoints import FAULTS, HOSTILE
from tests.messages import assert_says, refusal


@pytest.mark.parametrize('fault', FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_planted_file_is_refused_in_a_line(fault, tmp_path):
    HistoryBuffer()  # the first one fills the statistics of the class
    before = dict(HistoryBuffer._statistics_methods), dict(vars(HistoryBuffer))
    path = tmp_path / 'x.pth'
    fault.plant(path)
    if fault.name == 'dtype that becomes one of objects':  # the flags of the file are not used
        assert read_checkpoint(path)['a'].dtype == np.float64
        return
    assert_says(refusal(read_checkpoint, path), path, *fault.facts)
    assert (dict(HistoryBuffer._statistics_methods), dict(vars(HistoryBuffer))) == before


@pytest.mark.parametrize('fault', FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_download_that_is_damaged_is_known_as_such(fault, tmp_path):
    fault.plant(tmp_path / 'x.pth')
    message = read.fault_of(tmp_path / 'x.pth')
    if fault in checkpoints.DAMAGED:
        assert message
    elif fault in HOSTILE:  # it is whole; who reads it says what is wrong
        assert message is None


def line_of(path):
    """The line that a file is refused with, '' if it is read."""
    try:
        read_checkpoint(path)
    except UserError as error:
        return str(error)
    return ''


def _same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.equal(other) and type(one) is type(other)
    if isinstance(one, np.ndarray):
        # NumPy itself reads numbers into the order of this machine.
        return one.dtype.newbyteorder('=') == other.dtype and np.array_equal(one, other)
    if isinstance(one, HistoryBuffer):
        return all(map(_same, one.data, other.data)) and one.max_length == other.max_length
    return one == other and type(one) is type(other)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('protocol', [2, 4])
def test_what_trainings_keep_is_read_as_it_is(zipped, protocol, tmp_path):
    content = {**checkpoints.good_files(), 'tensors': checkpoints.tensors()}
    path = tmp_path / 'x.pth'
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    back = read_checkpoint(path)
    assert back.keys() == content.keys()
    for name, values in content.items():
        assert back[name].keys() == values.keys()
        for key, value in values.items():
            assert _same(value, back[name][key]), key
    assert back['tensors']['shared'].data_ptr() == back['tensors']['transposed'].data_ptr()
    assert read.fault_of(path) is None


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path):
    path, found = tmp_path / 'x.pth', 0
    state = {'a': torch.arange(1.0, 9.0), 'b': torch.ones(2, dtype=torch.int64)}
    torch.save({'state_dict': state}, path)
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            back = read_checkpoint(path)['state_dict']
        except UserError:
            found += 1
            continue
        assert back.keys() == state.keys(), place
        assert all(_same(value, back[key]) for key, value in state.items()), place
    assert found > 400


def test_every_flipped_bit_of_our_safetensors_is_found(tmp_path):
    path = tmp_path / 'x.safetensors'
    state = {'a.weight': torch.arange(1.0, 9.0), 'b': torch.ones(2, 2)}
    meta = {'dataset_meta': {'classes': ('cat', 'dog')}}
    data = release.packed(state, meta)
    path.write_bytes(data)
    whole = read_checkpoint(path)
    padding = data.index(b'}', data.rindex(b'"')) + 1
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            back = read_checkpoint(path)
        except UserError:
            continue
        is_padding = place >= padding and chr(data[place]) == ' '
        same = all(_same(value, back['state_dict'].get(key)) for key, value in state.items())
        assert is_padding or (same and back['meta'] == whole['meta']), (place, data[place])


def test_safetensors_of_others_have_no_checksum_and_are_read(tmp_path):
    from safetensors.torch import save_file

    save_file({'a': torch.ones(2)}, tmp_path / 'x.safetensors')
    assert read_checkpoint(tmp_path / 'x.safetensors').keys() == {'state_dict'}


def test_every_instruction_of_pickle_is_allowed_or_refused_by_name():
    import pickletools

    assert {ord(entry.code) for entry in pickletools.opcodes} == set(pickled.Unpickler.dispatch)
    for entry in pickletools.opcodes:
        if entry.name not in pickled.OPERATIONS:
            unpickler = pickled.Unpickler(io.BytesIO(entry.code.encode('latin1')), 0)
            with pytest.raises(pickled.ForbiddenError, match=entry.name):
                unpickler.load()


@pytest.mark.parametrize('name', sorted(pickled.FUNCTIONS))
def test_every_allowed_name_stands_for_a_function_of_ours(name, tmp_path):
    module, _, attribute = name.rpartition('.')
    call = pickled.Unpickler(io.BytesIO(b''), 0).find_class(module, attribute).call
    assert call.__module__ == 'rapidnet_mm.weights.values'
    # With arguments of any kind it makes plain data or refuses.
    for arguments in (b')', b'(Nt', b'(K\x01t', b'(X\x01\0\0\0at', b'(]}t', b'(NNNNNNNNNt'):
        program = b'\x80\x02}X\x01\0\0\0a' + f'c{module}\n{attribute}\n'.encode()
        checkpoints.raw_zip(tmp_path / 'x.pth', program + arguments + b'Rs.')
        assert '\n' not in line_of(tmp_path / 'x.pth')


def test_random_instructions_never_do_more_than_to_be_refused(tmp_path):
    rng = np.random.default_rng(0)
    whole = pickle.dumps({'a': [1, 'x', (2.0, None)], 'b': {3}}, 2)
    for _ in range(2000):
        program = bytearray(whole)
        for place in rng.integers(0, len(program), 3):
            program[place] = rng.integers(256)
        checkpoints.raw_zip(tmp_path / 'x.pth', bytes(program))
        assert '\n' not in line_of(tmp_path / 'x.pth')
