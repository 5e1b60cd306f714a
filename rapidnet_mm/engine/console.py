"""What reaches the screen while a command runs; the log file gets everything.

Libraries say much that helps nobody who trains: five hundred lines of environment, config and
hooks, a line for each parameter, lines while data are loaded. :func:`quiet` keeps them off the
screen. This package, and code that is not of a library, is always heard. From libraries come
progress, metrics, checkpoints, warnings and errors.

Who speaks is found by the module that calls ``print``, a logger or ``warnings.warn``.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, TextIO

from mmengine.logging import MMLogger

LIBRARIES = (
    'mmengine',
    'mmcv',
    'mmdet',
    'mmseg',
    'mmpretrain',
    'torch',
    'torchvision',
    'timm',
    'huggingface_hub',
    'numpy',
    'pycocotools',
    'faster_coco_eval',
)
# What passes a message on. Whoever calls it speaks.
MESSENGERS = (__name__, 'logging', 'mmengine.logging.logger')
# Hooks report progress and checkpoints, metrics print tables.
HEARD_MODULES = re.compile(r'\.(hooks|evaluation|evaluator)\b')
HEARD = ('LR is set based on batch size',)
# Hooks say this, too, but it stands in the summaries at the start and at the end.
NOT_HEARD = ('Exp name:', 'Checkpoints will be saved', 'The previous best checkpoint')

# Of LoggerHook's line: 'Epoch(train) [1][30/96]  lr: 1e-3  eta: 0:01:00  loss: 9.4  ...'.
PROGRESS = re.compile(r'((?:Epoch|Iter)\((\w+)\) *(?:\[[\d/ ]+\])+)(?: +(.*))?')
FILE_ONLY = re.compile(r'lr|.*_lr|time|data_time|memory|grad_norm')
# Average recall, and AP by the size of objects: CocoAP's table has them.
DETAILS = re.compile(r'.*(AR.*@\d+|mAP_[sml])')
WIDTH = 110  # columns of a line of metrics


@contextlib.contextmanager
def quiet(verbose: bool = False) -> Iterator[None]:
    """Keep off the screen what libraries print, log and warn about; ``verbose`` lets it through.

    A logger whose handlers are made inside needs :func:`dress`.
    """
    if verbose:
        yield
        return
    with warnings.catch_warnings(), contextlib.redirect_stdout(Screen(sys.stdout)):
        warnings.filterwarnings('ignore', module=rf'({"|".join(LIBRARIES)})(\.|$)')
        dress(MMLogger.get_current_instance())
        yield


class Screen:
    """Standard output, without what libraries print."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, unless a library prints it."""
        frame = sys._getframe(1)
        # The filter of a handler has already decided about a record.
        if _module(frame) == 'logging' or not _is_library(_speaker(frame)):
            self._stream.write(text)
        return len(text)


def dress(logger: logging.Logger) -> None:
    """Give the logger's handlers that write to a :class:`Screen` its filter and its format.

    Handlers that write to files or elsewhere stay as they are.
    """
    for handler in logger.handlers:
        if isinstance(getattr(handler, 'stream', None), Screen):
            handler.addFilter(_is_heard)
            handler.setFormatter(ScreenFormatter())


class ScreenFormatter(logging.Formatter):
    """Writes the message alone. Progress comes as a short line, a warning says that it is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        text = short_progress(super().format(record))
        if record.levelno >= logging.WARNING:
            return f'{record.levelname.lower()}: {text}'
        return text


def short_progress(line: str) -> str:
    """Return LoggerHook's line with time left and losses only, or any other text as it is.

    Example:
        >>> short_progress('Epoch(train) [1][2/6]  lr: 1e-3  eta: 0:00:06  loss: 9.4306  acc: 9.1')
        'Epoch(train) [1][2/6]  eta: 0:00:06  loss: 9.43  acc: 9.1'
    """
    match = PROGRESS.fullmatch(line)
    if match is None:
        return line
    head, mode, rest = match.groups()
    pairs = [field.partition(': ')[::2] for field in re.split(r' {2,}', rest or '') if field]
    hidden = (FILE_ONLY, DETAILS)
    values = {k: v.strip() for k, v in pairs if not any(p.fullmatch(k) for p in hidden)}
    parts = [f'eta: {values.pop("eta")}'] if 'eta' in values else []
    if mode == 'train':
        parts += _losses(values)
        return '  '.join([head, *parts])
    parts += [f'{name}: {value}' for name, value in values.items()]
    return wrapped([head, *parts])


def wrapped(parts: Sequence[str]) -> str:
    """Join parts by two spaces; a new line begins where they do not fit in ``WIDTH`` columns."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 2 + len(part) <= WIDTH:
            lines[-1] += f'  {part}'
        else:
            lines.append(f'    {part}')
    return '\n'.join(lines)


def _losses(values: dict[str, str]) -> list[str]:
    """Return the sum of the losses with its parts in brackets, then the other values."""
    parts = [
        f'{name.replace("loss_", "")} {_rounded(value)}'
        for name, value in values.items()
        if 'loss_' in name
    ]
    texts = []
    for name, value in values.items():
        if 'loss_' in name:
            continue
        text = f'{name}: {_rounded(value)}'
        if name == 'loss' and len(parts) > 1:
            text += f' ({", ".join(parts)})'
        texts.append(text)
    return texts


def _rounded(value: str) -> str:
    try:
        return f'{float(value):.3g}'
    except ValueError:
        return value


def _is_heard(record: logging.LogRecord) -> bool:
    """Return whether a record reaches the screen."""
    speaker = _speaker(sys._getframe(1))
    if not _is_library(speaker) or record.levelno >= logging.ERROR:
        return True
    text = record.getMessage()
    if record.levelno == logging.WARNING:
        # They mean the libraries' own calls. What a registry lacks is an error later.
        return 'deprecated' not in text and not speaker.startswith('mmengine.registry')
    if HEARD_MODULES.search(speaker):
        return not text.startswith(NOT_HEARD)
    return text.startswith(HEARD)


def _is_library(module: str) -> bool:
    return module.partition('.')[0] in LIBRARIES


def _speaker(frame: FrameType | None) -> str:
    """Return the module that speaks: the first caller that only passes no message on."""
    while frame is not None and _module(frame) in MESSENGERS:
        frame = frame.f_back
    return _module(frame) if frame is not None else ''


def _module(frame: FrameType) -> str:
    return frame.f_globals.get('__name__', '')
