"""The sections of a detector: AP, precision and recall, confusion, errors, calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...data.checks.messages import first_few
from .calibration import BINS, calibration_blocks
from .charts import MOST_LINES, bar_chart, line_chart
from .confusion import confusion_blocks
from .errors import KINDS, SIZES, Errors, find_errors
from .examples import DetectionPictures, example_blocks
from .intervals import RECALLS, coco_samples, draw_weights, interval_of, mean_of, samples_for
from .matches import AREAS, Evaluation
from .page import NAMED, Charts, Section, Table, Text, interval, measured, number

WORDS = {'bbox': 'boxes', 'segm': 'masks'}
BACKGROUND = 'background'
MOST_DOUBTS = 15


class DetectionResults:
    """The results of one detector: samples of its metrics, and the sections about it.

    Args:
        record: its predictions.
        score_thr: the least score of detections in pictures and in the confusion matrix.
    """

    def __init__(self, record: Mapping[str, Any], score_thr: float):
        self.record, self.score_thr = record, score_thr
        self.evaluations: dict[str, Evaluation] = {}
        self.samples: dict[str, np.ndarray] = {}
        self.per_class: dict[str, list[np.ndarray]] = {}
        self.objects: list[int] = []

    def parts(self, folder: Path, start: str) -> list[Callable[[], list[Section]]]:
        """Return the parts of the work, in their order; pictures go to ``folder / start``."""
        steps: list[Callable[[], list[Section]]] = []
        for kind in self.record['kinds']:
            steps += [partial(self._measure, kind), partial(self._describe, kind)]
        return [*steps, partial(self._examples, folder, start)]

    def _measure(self, kind: str) -> list[Section]:
        """Evaluate boxes or masks; there is no section yet."""
        evaluation = self.evaluations[kind] = Evaluation(self.record, kind)
        matches = evaluation.matches()
        weights = draw_weights(len(evaluation.images), samples_for(matches))
        values, self.per_class[kind] = coco_samples(matches, weights)
        self.samples |= {f'{kind}_{name}': v for name, v in values.items()}
        self.objects = [int(one.objects.sum()) for one in matches['all']]
        return []

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the test, in the order in which the page shows them."""
        return dict(self.record['metrics'])

    def sample_of(self, name: str) -> np.ndarray | None:
        """Return the samples of a metric, by the name that the test gives it."""
        return self.samples.get(name.rpartition('/')[2])

    def doubts(self) -> list[str]:
        """Return what the reader has to know about the numbers."""
        lines = []
        own = {name: v for e in self.evaluations.values() for name, v in e.numbers().items()}
        tested = {name.rpartition('/')[2]: v for name, v in self.record['metrics'].items()}
        # Other evaluators than CocoAP round to three digits.
        gaps = [abs(own[name] - tested[name]) for name in own if name in tested]
        if gaps and max(gaps) > 1e-9:
            lines.append(
                f'The metrics of the test differ by up to {max(gaps):.2g} from those of the '
                'analysis; the evaluator of the config counts in another way, or rounds.'
            )
        empty = [
            n for n, count in zip(self.record['classes'], self.objects, strict=True) if not count
        ]
        if empty:
            lines.append(
                f'The images have no object of: {first_few(empty, NAMED)}. '
                'These classes do not count.'
            )
        if not any(image['scores'] for image in self.record['images']):
            lines.append('The model detects nothing at all in these images.')
        return lines

    def _describe(self, kind: str) -> list[Section]:
        words, evaluation = WORDS[kind], self.evaluations[kind]
        costs = _costs(find_errors(evaluation), evaluation.classes)
        return [
            self._classes(kind, evaluation),
            Section(f'Precision and recall, {words}', f'pr-{kind}', _curves(evaluation)),
            Section(f'Confusion, {words}', f'confusion-{kind}', self._confusion(evaluation)),
            Section(f'Errors, {words}', f'errors-{kind}', costs),
            Section(f'Calibration, {words}', f'calibration-{kind}', _calibration(evaluation)),
        ]

    def _classes(self, kind: str, evaluation: Evaluation) -> Section:
        precision, rows = evaluation.precision(), []
        for index, name in enumerate(evaluation.classes):
            part, samples = precision[:, :, index], self.per_class[kind][index]
            values = [part.mean(), part[0].mean(), part[5].mean()]
            bounds = interval_of(mean_of([samples], samples.shape[1]))
            rows.append(
                [
                    name,
                    *map(measured, values[:1]),
                    interval(bounds),
                    *map(measured, values[1:]),
                    str(self.objects[index]),
                ]
            )
        header = ['class', 'mAP', '95 % interval', 'AP50', 'AP75', 'objects']
        return Section(f'Classes, {WORDS[kind]}', f'classes-{kind}', [Table(header, rows)])

    def _confusion(self, evaluation: Evaluation) -> list[Any]:
        result = evaluation.run.confusion_matrix(iou_thr=0.5, min_score=self.score_thr)
        names = [*evaluation.classes, BACKGROUND]
        text = Text(
            f'Detections with a score of at least {self.score_thr:g} and objects, paired where '
            'their IoU is at least 0.5. The row "background" counts detections without an object, '
            'the column "background" objects that are not detected.'
        )
        return [text, *confusion_blocks(result['matrix'], names, names, 'objects')]

    def _examples(self, folder: Path, start: str) -> list[Section]:
        evaluation = self.evaluations[self.record['kinds'][-1]]
        draw = DetectionPictures(evaluation, self.record.get('palette'), self.score_thr)
        ranked = image_scores(evaluation, self.score_thr)
        text = Text(
            f'Ordered by the F1 score of each image: {WORDS[evaluation.kind]} with a score of at '
            f'least {self.score_thr:g}, right at IoU 0.5. Detections are drawn from that score on.'
        )
        blocks = example_blocks(ranked, evaluation.images, draw, folder, start)
        images = Section('Worst and best images', 'images', [text, *blocks])
        return [images, _suspicions(evaluation)]


def image_scores(evaluation: Evaluation, score_thr: float) -> list[tuple[float, int, str]]:
    """Return F1, index and a description of each image that has objects or detections."""
    counts = np.zeros((len(evaluation.images), 3), int)  # right, wrong, missed
    for cell in evaluation.cells:
        if AREAS[cell.area] == 'all':
            counted = (cell.scores >= score_thr) & cell.counted[0]
            right = int((counted & cell.right[0]).sum())
            counts[cell.image] += right, int(counted.sum()) - right, cell.objects - right
    ranked = []
    for index, (right, wrong, missed) in enumerate(counts.tolist()):
        if right + wrong + missed:
            words = f'{right} right, {wrong} wrong, {missed} missed'
            score = 2 * right / (2 * right + wrong + missed)
            ranked.append((score + (right - wrong - missed) * 1e-6, index, words))
    return ranked


def _curves(evaluation: Evaluation) -> list[Any]:
    precision = evaluation.precision()
    if not np.isfinite(precision).any():
        return [Text('There are no objects in these images, so there is no precision.')]
    with np.errstate(invalid='ignore'):
        means = {
            f'IoU {iou:.2f}': np.nanmean(precision[index], axis=1)
            for index, iou in ((0, 0.5), (5, 0.75), (9, 0.95))
        }
    order = np.argsort(np.nan_to_num(precision[0].mean(axis=0), nan=2.0), kind='stable')
    chosen = [k for k in order if np.isfinite(precision[0, 0, k])][:MOST_LINES]
    lines = {evaluation.classes[k]: _points(precision[0, :, k]) for k in chosen}
    labels, limits = ('recall', 'precision'), (0, 1.02)
    which = 'each class' if len(chosen) == len(order) else f'the {len(chosen)} weakest classes'
    return [
        Charts(
            [
                line_chart(
                    {name: _points(values) for name, values in means.items()},
                    'Mean over the classes, at three IoU thresholds.',
                    labels,
                    limits,
                ),
                line_chart(lines, f'For {which}, at IoU 0.5.', labels, limits),
            ]
        )
    ]


def _points(values: np.ndarray) -> list[tuple[float, float]]:
    return list(zip(RECALLS.tolist(), values.tolist(), strict=True))


def _costs(errors: Errors, classes: list[str]) -> list[Any]:
    costs, counts = errors.costs(), errors.counts()
    total = {kind: _mean(costs[kind]) for kind in KINDS}
    text = Text(
        f'AP50 is {measured(_mean(costs["base"]))}. For each kind of error: how much AP50 would '
        'rise if only these errors were repaired. The kinds are those of TIDE '
        '(arxiv.org/abs/2008.08115).'
    )
    explained = [
        [kind, str(counts[kind]), number(total[kind]), words] for kind, words in KINDS.items()
    ]
    by_class = [
        [name, measured(costs['base'][k]), *(number(costs[kind][k]) for kind in KINDS)]
        for k, name in enumerate(classes)
    ]
    by_size = []
    for size, (low, high) in SIZES.items():
        part = errors.costs(size)
        edges = f'{low**0.5:.0f} to {high**0.5:.0f}' if high < 1e9 else f'over {low**0.5:.0f}'
        values = [number(_mean(part[kind])) for kind in KINDS]
        by_size.append([f'{size} ({edges} px)', measured(_mean(part['base'])), *values])
    return [
        text,
        bar_chart(total, 'What each kind of error costs.', 'AP50'),
        Table(['kind', 'errors', 'costs AP50', 'meaning'], explained),
        Table(['class', 'AP50', *KINDS], by_class, title='By class'),
        Table(['size', 'AP50', *KINDS], by_size, title='By size of the objects'),
    ]


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')


def _calibration(evaluation: Evaluation) -> list[Any]:
    result = evaluation.run.calibration(n_bins=BINS, iou_threshold=0.5)
    # hotcoco leaves out the classes that have no detections.
    per_class = {name: v for name, v in result['per_category'].items() if np.isfinite(v)}
    errors = (result['ece'], result['mce'])
    return calibration_blocks(result['bins'], errors, per_class, 'share right at IoU 0.5')


def _suspicions(evaluation: Evaluation) -> Section:
    """List what may be wrong in the annotations: sure detections that contradict them."""
    entries = evaluation.run.image_diagnostics(iou_thr=0.5, score_thr=0.5)['label_errors']
    words = {'wrong_label': 'another class', 'missing_annotation': 'not annotated'}
    rows = [
        [
            Path(evaluation.images[entry['image_id'] - 1]['path']).name,
            words.get(entry['type'], entry['type'].replace('_', ' ')),
            entry['dt_category'],
            entry.get('gt_category') or '',
            number(entry['dt_score']),
        ]
        for entry in sorted(entries, key=lambda e: -e['dt_score'])[:MOST_DOUBTS]
    ]
    if not rows:
        block: Any = Text('No sure detection contradicts the annotations.')
        return Section('Annotations to look at', 'doubts', [block])
    note = (
        f'Detections with a score from 0.5 that contradict the annotations: {len(entries)}. Most '
        'are errors of the model, but where it is sure, an annotation may be wrong or missing.'
    )
    header = ['image', 'annotation', 'detected', 'annotated', 'score']
    return Section('Annotations to look at', 'doubts', [Text(note), Table(header, rows)])
