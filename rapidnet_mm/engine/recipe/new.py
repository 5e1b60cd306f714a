"""From a folder of annotated images to a config: what ``rapidnet new`` does."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...data.checks.messages import counted
from ...data.importers.dataset import Dataset
from ...data.importers.run import import_data
from ...errors import UserError
from ...files import write_file
from ..config import load_config
from ..device import default_device
from ..own_data import check_classes
from . import choices
from .choices import Machine
from .models import Base, check_weights, choose_base
from .recipe import Recipe, make_recipe
from .statistics import check_narrow, measure
from .text import base_place, config_text
from .trial import free_memory, try_batches


class Request(NamedTuple):
    """What the user wants, see ``rapidnet new --help``."""

    paths: Sequence[str]
    out: str | None = None
    task: str | None = None
    model: str | None = None
    from_scratch: bool = False
    val: float = 0.2
    seed: int = 0
    format: str | None = None
    minutes: float | None = None
    command: str = 'rapidnet new'


class New(NamedTuple):
    """What was written.

    Attributes:
        config: the path of the config.
        summary: model and data, in a line.
        notes: what is good to know, a sentence each.
    """

    config: Path
    summary: str
    notes: list[str]


def write_new(request: Request, say: Callable[[str], None] = print) -> New:
    """Import data, and write a config for it in a new folder, whole or not at all.

    Args:
        request: what the user wants.
        say: gets a line before each part that takes a while.

    Raises:
        UserError: the data cannot be used, the folder is there already, or the model or its
            weights cannot be had.
    """
    parent = _parent(request)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix='.rapidnet-new-') as aside:
            return _write(request, parent, Path(aside, 'new'), say)
    except OSError as error:
        name = error.filename or parent
        raise UserError(f'{name} cannot be written or read: {error.strerror}') from error


def _write(request: Request, parent: Path, aside: Path, say: Callable[[str], None]) -> New:
    say(f'{", ".join(map(str, request.paths))}: reading images and annotations')
    data = import_data(
        request.paths, aside, request.task, request.val, request.seed, request.format
    )
    folder = Path(request.out) if request.out else parent / default_name(request.paths, data.task)
    _check_is_new(folder)
    check_classes(data, request.paths[0])
    statistics = measure(data)
    base = choose_base(data.task, request.model)
    check_weights(base, request.from_scratch)
    device = default_device()
    machine = Machine(device, _cores(), free_memory(device))
    start = (data, statistics, base, machine, request.from_scratch, request.minutes)
    path = aside / f'{folder.name}.py'

    def write(recipe: Recipe) -> None:
        train = f'rapidnet train {shlex.quote(str(folder / path.name))}'
        text = config_text(
            *(data, base, base_place(base.name), recipe, machine, request.from_scratch),
            *(request.command, train),
        )
        write_file(text.encode(errors='surrogateescape'), path)

    first = make_recipe(*start)
    check_narrow(data, first.side.value)
    write(first)
    most = choices.most_images(data.task, statistics, machine)
    batches = [2**power for power in range(most.bit_length()) if 2**power >= min(2, most)]
    say(f'{base.title}: trying steps with {", ".join(map(str, batches))} images')
    attempts = try_batches(load_config(path), batches, machine.memory)
    recipe = make_recipe(*start, attempts)
    write(recipe)
    _check_is_new(folder)
    os.rename(aside, folder)
    few = choices.expectation(statistics.images, request.from_scratch)
    training = f'training: {recipe.iterations.reason}'
    found = [*data.notes, *choices.gaps(data.classes, statistics)]
    notes = [*found, training, *([few] if few else [])]
    return New(folder / path.name, _summary(data, base, folder), notes)


def default_name(paths: Sequence[str], task: str) -> str:
    """Return the name of a new folder: that of the data and the task, such as ``fruit_boxes``."""
    name = Path(os.path.abspath(paths[0])).stem
    return f'{re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "data"}_{task}'


def _parent(request: Request) -> Path:
    """Return the folder that the new folder is made in. It is not one of the user's data."""
    if request.out:
        _check_is_new(Path(request.out))
        parent = Path(request.out).parent
    else:
        parent = Path()
    place = parent.resolve()
    for path in request.paths:
        data = Path(path).resolve()
        if data.is_dir() and (place == data or data in place.parents):
            raise UserError(
                f'the new folder would be inside the data ({path}), where nothing is written; '
                'name another place with --out DIR'
            )
    return parent


def _check_is_new(folder: Path) -> None:
    if os.path.lexists(folder):
        raise UserError(
            f'{folder} is there already, and nothing is written over it; choose another folder '
            'with --out DIR'
        )


def _summary(data: Dataset, base: Base, folder: Path) -> str:
    train, val = data.splits['train'].images, data.splits['val'].images
    classes = counted(len(data.classes), 'class')
    return f'{folder}: {base.title}; {classes}, {train} images to train on, {val} to validate'


def _cores() -> int:
    if hasattr(os, 'sched_getaffinity'):  # a container may have fewer than the machine
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
