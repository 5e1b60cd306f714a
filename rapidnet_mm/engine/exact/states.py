"""The states of the random number generators of a process, as a checkpoint keeps them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ...errors import UserError, one_line

# What the generators raise for states that are none.
DAMAGED = (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError)


def random_states() -> dict[str, Any]:
    """Return the states of the generators of Python, NumPy and torch: tensors and numbers only.

    A checkpoint that holds nothing else can be read without running code from it.
    """
    version, words, gauss = random.getstate()
    _, numpy_words, *numpy_rest = np.random.get_state()
    return {
        'python': torch.tensor(words, dtype=torch.int64),
        'python_rest': [version, gauss],
        'numpy': torch.from_numpy(numpy_words.astype(np.int64)),
        'numpy_rest': numpy_rest,
        'torch': torch.get_rng_state(),
        'cuda': torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore(states: Mapping[str, Any]) -> None:
    """Set the generators to what :func:`random_states` returned.

    Raises:
        UserError: these are no such states.
    """
    try:
        version, gauss = states['python_rest']
        random.setstate((version, tuple(states['python'].tolist()), gauss))
        words = states['numpy'].cpu().numpy().astype(np.uint32)
        np.random.set_state(('MT19937', words, *states['numpy_rest']))
        torch.set_rng_state(states['torch'].cpu())
        if states['cuda'] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(states['cuda'].cpu())
    except DAMAGED as error:
        raise UserError(
            f'--resume: the random states in the checkpoint are damaged ({one_line(error)})'
        ) from error


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Draw from generators seeded with these numbers; put the states back afterwards.

    The generators of GPUs stay as they are: data are loaded on the CPU.
    """
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence(numbers).generate_state(8)
    try:
        random.seed(words[:4].tobytes())
        np.random.seed(words[:4])
        # torch.manual_seed would seed the GPUs as well.
        torch.default_generator.manual_seed(int(words[4]) << 31 | int(words[5]) >> 1)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(pytorch)
