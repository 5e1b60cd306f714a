"""Train one configuration after the other, and keep every result in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...engine.device import default_device
from ...errors import UserError
from ...files import write_output
from .images import Data
from .network import build
from .space import Space, check_space, cost_of, draw
from .training import Recipe, accuracy, scale_of, train

FILE = 'results.jsonl'
UNREADABLE = (ArithmeticError, KeyError, OSError, RecursionError, TypeError, ValueError)


class Result(NamedTuple):
    """A trained configuration."""

    channels: tuple[int, ...]
    params: int
    flops: int
    accuracy: float  # top-1 on the validation images, in percent


def settings_of(space: Space, recipe: Recipe, data: Data) -> dict[str, Any]:
    """Return all settings that change the accuracies, as plain values."""
    images = dict(data=data.name, train_images=len(data.train.labels))
    images |= dict(val_images=len(data.val.labels), fingerprint=data.fingerprint())
    return {**images, **space._asdict(), **recipe._asdict()}


def read_results(file: Path, settings: Mapping[str, Any], space: Space, seed: int) -> list[Result]:
    """Return the results in a file; an empty list if it does not exist.

    Raises:
        UserError: the file is from a search with other settings, or is damaged.
    """
    if not file.exists():
        return []
    try:
        first, *others = map(json.loads, file.read_text().splitlines())
        earlier = dict(first['settings'])
        results = [_result(record) for record in others]
    except UNREADABLE as error:
        raise UserError(f'{file} cannot be read as results of a search; move it away') from error
    changes = [
        f'{key} is {earlier.get(key)} there and {settings.get(key)} here'
        for key in sorted({*earlier, *settings})
        if earlier.get(key) != settings.get(key)
    ]
    if changes:
        raise UserError(
            f'{file} is of a search with other settings: {"; ".join(changes)}; repeat those, or '
            'choose another folder with --work-dir'
        )
    for index, result in enumerate(results):
        if result.channels != draw(space, seed, index):
            raise UserError(
                f'{file}: line {index + 2} is not the configuration that is drawn there; the file '
                'was changed, or is of another version; choose another folder with --work-dir'
            )
    return results


def _result(record: Mapping[str, Any]) -> Result:
    channels = tuple(map(int, record['channels']))
    numbers = int(record['params']), int(record['flops']), float(record['accuracy'])
    return Result(channels, *numbers)


def write_results(file: Path, settings: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Write the settings and all results, one per line, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    lines = [{'settings': settings}, *(result._asdict() for result in results)]
    write_output(''.join(f'{json.dumps(line)}\n' for line in lines).encode(), file)


def search(
    space: Space,
    recipe: Recipe,
    data: Data,
    models: int,
    folder: Path,
    report: Callable[[str], None],
) -> list[Result]:
    """Return the results of the first ``models`` configurations; train those without a result.

    The results are written to ``folder`` after each training. So a second call goes on where the
    first one stopped.

    Args:
        space: the space of configurations.
        recipe: the recipe of each training. Its seed also draws the configurations.
        data: the images.
        models: number of configurations.
        folder: the folder of the results.
        report: a function that gets a line of progress after each training.

    Raises:
        UserError: the space has no configurations, or the folder has results of another search.
    """
    check_space(space)
    configurations = [draw(space, recipe.seed, index) for index in range(models)]
    file, settings = folder / FILE, settings_of(space, recipe, data)
    results = read_results(file, settings, space, recipe.seed)
    if results:
        report(f'{len(results)} results are in {file} already')
    start, earlier = time.monotonic(), len(results)
    for channels in configurations[len(results) :]:
        score = _train(channels, space, recipe, data)
        results.append(Result(channels, *cost_of(channels, space), score))
        write_results(file, settings, results)
        seconds = (time.monotonic() - start) / (len(results) - earlier)
        report(_progress(results, models, seconds))
    return results[:models]


def _train(channels: Sequence[int], space: Space, recipe: Recipe, data: Data) -> float:
    device = default_device()
    network = build(channels, space.classes, recipe.seed, device)
    train(network, data.train, recipe, device)
    return accuracy(network, data.val, scale_of(data.train), device)


def _progress(results: Sequence[Result], models: int, seconds: float) -> str:
    left = round((models - len(results)) * seconds)
    clock = f'{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}'
    best = max(result.accuracy for result in results)
    channels = ' '.join(map(str, results[-1].channels))
    return (
        f'[{len(results)}/{models}] top-1 {results[-1].accuracy:.1f} % (best {best:.1f} %), '
        f'{clock} left, channels {channels}'
    )
