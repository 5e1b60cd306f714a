"""Turn the errors of MM's classes about a wrong config into one line that says where."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch import nn

from ..errors import UserError, one_line

# The errors of MM's classes for a wrong value in a config.
BUILD_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
# Modules that only build or run the classes of a config, so an error is never about them.
BUILDERS = (
    *('mmengine.registry', 'mmengine.config', 'mmengine.runner', 'mmengine._strategy'),
    'rapidnet_mm.engine.first_steps',
)
# A message with one of these words is clear without the line of code.
CLEAR = ('argument', 'registry', 'must ', 'should ', 'expected')


@contextmanager
def named_config_errors(where: str = '') -> Iterator[None]:
    """Turn the errors that classes raise for wrong values in a config into one line.

    Args:
        where: the part of the config, if it is known.

    Raises:
        UserError: the code inside raised one of ``BUILD_ERRORS``.
    """
    try:
        yield
    except UserError:
        raise
    except BUILD_ERRORS as error:
        place = f'{where}: ' if where else ''
        raise UserError(f'config: {place}{located_fault(error)}') from error


def config_fault(error: Exception) -> str:
    """Return the type and the message of an error, without MM's advice."""
    return f'{type(error).__name__}: {one_line(error).split(". Please")[0]}'


def located_fault(error: Exception, model: nn.Module | None = None) -> str:
    """Return what is wrong, and in which class, layer or pipeline step.

    Args:
        error: the error, with its traceback.
        model: the model that was running, if any, to name the layer.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    message = str(error)
    if message.startswith('Caught ') and 'Traceback' in message:  # from a worker of a data loader
        return f'data loader: {message.strip().splitlines()[-1]}'
    owner = _layer(frames, model) or _class_name(frames)
    fault = config_fault(error).removesuffix(': ')
    if not any(word in message for word in CLEAR) or isinstance(error, AttributeError):
        code = _code(error)
        fault += f' (in {code})' if code else ''
    return f'{owner}: {fault}' if owner else fault


def _class_name(frames: list[FrameType]) -> str:
    """Return the name of the innermost class in the traceback, if possible not one of torch."""
    owners = [type(frame.f_locals['self']) for frame in frames if 'self' in frame.f_locals]
    owners = [owner for owner in owners if not owner.__module__.startswith(BUILDERS)]
    owners = [owner for owner in owners if owner.__name__ != 'CheckedRunner']
    others = [owner for owner in owners if not owner.__module__.startswith('torch')]
    return next((owner.__name__ for owner in reversed(others or owners)), '')


def _layer(frames: list[FrameType], model: nn.Module | None) -> str:
    """Return the innermost layer of the model that was running, '' if none was."""
    names = {id(module): name for name, module in model.named_modules()} if model else {}
    for frame in reversed(frames):
        owner = frame.f_locals.get('self')
        if names.get(id(owner)):
            return f'model.{names[id(owner)]}'
    return ''


def _code(error: Exception) -> str:
    """Return the line of code that failed, '' if it cannot be read."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return ' '.join(linecache.getline(frame.f_code.co_filename, line).split())[:100]


def step_fault(error: Exception, phase: str, model: Any) -> UserError:
    """Return the error to raise if the first step of a training, validation or test fails."""
    phase = {'train': 'training', 'val': 'validation', 'test': 'the test'}.get(phase, 'building')
    return UserError(
        f'config: the first step fails in {phase}; {located_fault(error, model)}; model and '
        'pipeline of the config do not fit (with RAPIDNET_MM_DEBUG=1 the traceback is shown)'
    )
