"""From work directories to a folder with the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...data.checks.messages import counted
from ...errors import UserError
from ...files import is_foreign, write_metrics, write_output
from .classes import ClassResults
from .curves import curves_section, damaged_lines
from .detection import DetectionResults
from .facts import facts_section
from .intervals import interval_of
from .page import (
    NOTHING,
    Section,
    Table,
    Text,
    difference,
    interval,
    measured,
    render,
)
from .predict import Plan
from .semantic import SegmentationResults
from .work_dir import WorkDir

PAGE, NUMBERS, PICTURES = 'index.html', 'numbers.json', 'pictures'
RESULTS: dict[str, Any] = {
    'detection': DetectionResults,
    'segmentation': SegmentationResults,
    'classification': ClassResults,
}


class Run(NamedTuple):
    """A training with the predictions of its checkpoint, and the line where they come from."""

    name: str
    work: WorkDir
    record: Mapping[str, Any]
    origin: str


def names_of(works: Sequence[WorkDir]) -> list[str]:
    """Return a name for each work directory: its folder, and more of its path if two are equal."""
    parts = [work.folder.resolve().parts for work in works]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ['/'.join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError(f'work directory {works[0].folder} is named twice')


def check_tasks(plans: Sequence[Plan]) -> None:
    """Check before the tests that all trainings have the same task.

    Raises:
        UserError: they have different tasks.
    """
    first = plans[0]
    for other in plans[1:]:
        if other.task != first.task:
            raise UserError(
                f'the report compares runs of the same task: {first.work.folder} is '
                f'{first.task}, {other.work.folder} is {other.task}'
            )


def check_same(runs: Sequence[Run]) -> None:
    """Check that runs can be compared.

    Raises:
        UserError: they have different classes or metrics.
    """
    first = runs[0]
    for other in runs[1:]:
        for key, what in (('classes', 'classes'), ('kinds', 'kinds of metrics')):
            one, two = first.record[key], other.record[key]
            if one != two:
                raise UserError(
                    f'the report compares runs of the same {what}: {first.work.folder} has '
                    f'{_in_words(one, two)}, {other.work.folder} has {_in_words(two, one)}'
                )


def _in_words(value: Any, other: Any) -> str:
    own = [str(name) for name in value if name not in other]
    if not own:
        return f'{len(value)} of them' if len(value) != len(other) else 'another order'
    return ', '.join(own[:3]) + (', ...' if len(own) > 3 else '')


def check_free(folder: Path) -> None:
    """Check that the report does not replace files of the user.

    Raises:
        UserError: a file is in the way.
    """
    files = [folder / PAGE, folder / NUMBERS, *folder.glob(f'{PICTURES}/*/*.jpg')]
    if foreign := next(filter(is_foreign, files), None):
        raise UserError(
            f'--out {folder}: {foreign.relative_to(folder)} is there already, and this command has '
            'not written it, or it was changed since; choose another folder'
        )


def write_report(
    runs: Sequence[Run],
    folder: Path,
    score_thr: float,
    facts: tuple[str, str],
    progress: Callable[[Sequence[Any]], Any] = iter,
) -> list[str]:
    """Write the report, and return lines about what the reader should know.

    Args:
        runs: what to report.
        folder: where the page and its pictures go.
        score_thr: the least score of detections in pictures and in the confusion matrix.
        facts: the command line, and the version of this package.
        progress: wraps the parts of the work, to show how far it is.
    """
    check_same(runs)
    named = {run.name: RESULTS[run.record['task']](run.record, score_thr) for run in runs}
    chapters: dict[str, list[Section]] = {name: [] for name in named}
    parts = [
        (name, part)
        for number, (name, result) in enumerate(named.items(), 1)
        for part in result.parts(folder, f'{PICTURES}/{number}')
    ]
    for name, part in progress(parts):
        chapters[name] += part()
    folders = {run.name: run.work.folder for run in runs}
    lines = damaged_lines(folders.values())
    sections = [_metrics_section(named), curves_section(folders, lines)]
    if len(runs) == 1:
        sections += chapters[runs[0].name]
    else:
        sections += [_chapter(k, *chapter) for k, chapter in enumerate(chapters.items(), 1)]
    sections.append(facts_section([run[1:] for run in runs], *facts))
    write_metrics(_numbers(named), folder / NUMBERS)
    title = f'Report: {", ".join(named)}'
    write_output(render(title, _summary(runs), sections), folder / PAGE)
    return lines


def _chapter(number: int, name: str, sections: Sequence[Section]) -> Section:
    for section in sections:
        section.anchor = f'run{number}-{section.anchor}'
    return Section(name, f'run{number}', sections=list(sections))


def _summary(runs: Sequence[Run]) -> list[str]:
    record = runs[0].record
    lines = [f'{record["task"].capitalize()}, {counted(len(record["classes"]), "class")}.']
    for run in runs:
        images = counted(len(run.record['images']), 'image')
        start = f'{run.name}: ' if len(runs) > 1 else ''
        lines.append(f'{start}{run.work.checkpoint.name} ({run.work.reason}), tested on {images}.')
    return lines


def _metrics_section(results: Mapping[str, Any]) -> Section:
    """Return the metrics of all runs with intervals, and differences to the first run."""
    section = Section('Metrics', 'metrics')
    for name, result in results.items():
        start = f'{name}: ' if len(results) > 1 else ''
        section.blocks += [Text(start + line, warning=True) for line in result.doubts()]
    metrics = list(dict.fromkeys(m for result in results.values() for m in result.metrics()))
    (first_name, first), *others = results.items()
    note = (
        'The values are those of rapidnet test. The intervals hold the middle 95 % of the values '
        'that come out when the images are drawn again and again (bootstrap). A dash: there is '
        'nothing to measure, or too little for an interval.'
    )
    if not others:
        rows = [[metric, *_value(first, metric)] for metric in metrics]
        section.blocks.append(Table(['metric', 'value', '95 % interval'], rows, note=note))
        return section
    rows = [
        [
            metric,
            *(_joined(_value(result, metric)) for result in results.values()),
            *(_gap(metric, first, result) for _, result in others),
        ]
        for metric in metrics
    ]
    note += (
        ' The same images are drawn for both runs of a difference. If its interval does not hold '
        '0, chance alone hardly explains the difference.'
    )
    gaps = [f'{name} − {first_name}' for name, _ in others]
    section.blocks.append(Table(['metric', *results, *gaps], rows, note=note))
    return section


def _value(result: Any, metric: str) -> tuple[str, str]:
    """Return a metric and its interval, as texts."""
    value, samples = result.metrics().get(metric), result.sample_of(metric)
    bounds = interval_of(samples) if samples is not None else None
    digits = digits_of(value)
    return measured(value, digits), interval(bounds, digits)


def _joined(texts: tuple[str, str]) -> str:
    value, bounds = texts
    return value if bounds == NOTHING else f'{value} ({bounds})'


def _gap(metric: str, first: Any, result: Any) -> str:
    """Return the difference of a metric to the first run, with an interval for equal images."""
    values = [one.metrics().get(metric) for one in (first, result)]
    if any(value is None or value < 0 for value in values):
        return NOTHING
    digits = digits_of(values[0])
    text = difference(values[1] - values[0], digits)
    samples = [one.sample_of(metric) for one in (first, result)]
    if any(s is None for s in samples) or not same_images(first.record, result.record):
        return text
    count = min(map(len, samples))
    bounds = interval_of(samples[1][:count] - samples[0][:count])
    if bounds is None:
        return text
    return f'{text} ({difference(bounds[0], digits)} – {difference(bounds[1], digits)})'


def digits_of(value: float | None) -> int:
    """Return the decimals of a metric: four of a fraction, two of per cent."""
    return 2 if value is not None and abs(value) > 1 else 4


def same_images(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two tests are of the same images, in the same order."""
    paths = [[image['path'] for image in record['images']] for record in (one, other)]
    return paths[0] == paths[1]


def _numbers(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics and their intervals, unrounded, for programs."""
    numbers: dict[str, Any] = {}
    for name, result in results.items():
        entry = numbers[name] = {'metrics': result.metrics(), 'intervals': {}}
        for metric in result.metrics():
            samples = result.sample_of(metric)
            bounds = interval_of(samples) if samples is not None else None
            if bounds is not None:
                entry['intervals'][metric] = dict(zip(('low', 'high'), bounds, strict=True))
    return numbers
