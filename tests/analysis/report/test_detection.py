"""The analysis of detectors: AP by hotcoco, intervals, kinds of errors."""

import json
from pathlib import Path

import numpy as np
import pytest

from rapidnet_mm.analysis.report import matches as matches_module
from rapidnet_mm.analysis.report.detection import image_scores
from rapidnet_mm.analysis.report.errors import KINDS, SIZES, find_errors
from rapidnet_mm.analysis.report.intervals import (
    coco_samples,
    draw_weights,
    interval_of,
    ratio_samples,
)
from rapidnet_mm.analysis.report.matches import Evaluation
from rapidnet_mm.engine.metrics.coco import BACKENDS, NUMBERS, evaluate, read_ground_truth
from tests.analysis.report.records import HEIGHT, WIDTH, detector, entries

EXACT = 1e-12  # only the order of sums differs


@pytest.fixture(scope='module')
def record(tmp_path_factory):
    return detector(tmp_path_factory.mktemp('detector'), seed=1)


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
@pytest.mark.parametrize('backend', BACKENDS)
def test_hotcoco_and_the_metric_of_the_test_give_the_same_ap(kind, backend, record):
    truth = read_ground_truth(record['annotations'], backend)
    expected = evaluate(truth, list(entries(record, kind)), kind, backend).stats
    numbers = Evaluation(record, kind).numbers()
    assert 0.05 < numbers[f'{kind}_mAP'] < 0.95
    for name, value in zip(NUMBERS, expected, strict=False):
        assert numbers[f'{kind}_{name}'] == pytest.approx(value, abs=EXACT), name


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_a_sample_counts_as_a_data_set_with_repeated_images(kind, record):
    matches = Evaluation(record, kind).matches()
    order = sorted(record['images'], key=lambda image: image['id'])
    weights = np.array([[1] * 8, [3, 0, 1, 0, 2, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 8]])
    values, per_class = coco_samples(matches, weights)
    for sample, row in enumerate(weights):
        repeated = _repeated(record, {i['id']: int(n) for i, n in zip(order, row, strict=True)})
        expected = evaluate(*repeated(kind), kind, 'pycocotools')
        for name, value in zip(NUMBERS, expected.stats, strict=True):
            ours = values[name][sample]
            assert (-1 if np.isnan(ours) else ours) == pytest.approx(value, abs=EXACT), name
    assert [part.shape for part in per_class] == [(10, 3)] * 3


def _repeated(record, weights):
    """What makes ground truth and detections of a data set with each image as often as said."""

    def build(kind):
        truth = read_ground_truth(record['annotations'], 'pycocotools')
        data = truth.dataset
        images, annotations, detections = [], [], []
        for image in data['images']:
            for copy in range(weights[image['id']]):
                new = image['id'] * 100 + copy
                images.append({**image, 'id': new})
                annotations += [
                    {**a, 'image_id': new, 'id': 1000 * copy + a['id']}
                    for a in data['annotations']
                    if a['image_id'] == image['id']
                ]
                detections += [
                    {**d, 'image_id': new}
                    for d in entries(record, kind)
                    if d['image_id'] == image['id']
                ]
        truth.dataset = {**data, 'images': images, 'annotations': annotations}
        truth.createIndex()
        return truth, detections

    return build


def test_matches_that_are_read_in_parts_are_the_same(record, monkeypatch):
    whole = Evaluation(record, 'bbox').matches()
    monkeypatch.setattr(matches_module, 'CHUNK', 3)
    for area, parts in Evaluation(record, 'bbox').matches().items():
        for one, other in zip(whole[area], parts, strict=True):
            for column, expected in zip(one, other, strict=True):
                np.testing.assert_array_equal(column, expected)


def test_intervals_hold_the_value_and_shrink_with_the_images(tmp_path):
    widths = []
    for images in (6, 48):
        record = detector(tmp_path / str(images), images)
        evaluation = Evaluation(record, 'bbox')
        values, _ = coco_samples(evaluation.matches(), draw_weights(images, 300))
        low, high = interval_of(values['mAP_50'])
        assert low < evaluation.numbers()['bbox_mAP_50'] < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]  # about the square root of 8


def test_one_image_or_nothing_to_measure_has_no_width():
    assert interval_of(np.full(1000, np.nan)) is None
    shares = ratio_samples(np.array([3.0]), np.array([4.0]), draw_weights(1))
    assert interval_of(shares) == (0.75, 0.75)


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_costs_of_errors_are_those_of_tide(kind, record):
    evaluation = Evaluation(record, kind)
    errors, tide = find_errors(evaluation), evaluation.run.tide_errors()
    costs, counts = errors.costs(), errors.counts()
    names = dict(zip(KINDS, ('Cls', 'Loc', 'Both', 'Dupe', 'Bkg', 'Miss'), strict=True))
    assert np.mean(costs['base']) == pytest.approx(tide['ap_base'], abs=EXACT)
    for kind_of_error, name in names.items():
        assert np.mean(costs[kind_of_error]) == pytest.approx(tide['delta_ap'][name], abs=EXACT)
        assert counts[kind_of_error] == tide['counts'][name], name
    assert sum(errors.counts(label)['wrong class'] for label in range(3)) == counts['wrong class']
    assert sum(value > 0 for value in counts.values()) == 6  # the data has all kinds


def test_an_error_of_each_kind_is_named(tmp_path):
    record = detector(tmp_path, images=1)
    image = record['images'][0]
    boxes = [[20, 20, 60, 60], [80, 10, 100, 40]]
    _set_truth(record, [(0, boxes[0]), (1, boxes[1])])
    guesses = {
        'right': ([20, 20, 60, 60], 0, 0.9),
        'duplicate': ([20, 20, 60, 59], 0, 0.8),
        'localisation': ([30, 35, 75, 75], 0, 0.7),
        'wrong class': ([20, 21, 60, 60], 1, 0.6),
        'both': ([30, 35, 75, 76], 2, 0.5),
        'background': ([100, 70, 120, 90], 2, 0.4),
    }
    image['boxes'] = [box for box, _, _ in guesses.values()]
    image['labels'] = [label for _, label, _ in guesses.values()]
    image['scores'] = [score for _, _, score in guesses.values()]
    errors = find_errors(Evaluation(record, 'bbox'))
    assert [guess.kind for guess in errors.guesses] == list(guesses)
    assert errors.counts()['missed'] == 1  # the second object
    assert np.isnan(errors.costs()['base'][2])  # a class without objects
    assert set(errors.costs('small')) == {'base', *KINDS}
    assert errors.costs('small')['missed'][1] == 1.0  # of 20 by 30 pixels
    assert np.isnan(errors.costs('large')['base']).all()
    assert list(SIZES) == ['small', 'medium', 'large']


def _set_truth(record, objects):
    file = Path(record['annotations'])
    content = json.loads(file.read_text())
    ids = {c['name']: c['id'] for c in content['categories']}
    content['annotations'] = [
        dict(
            id=number,
            image_id=content['images'][0]['id'],
            category_id=ids[record['classes'][label]],
            bbox=[x1, y1, x2 - x1, y2 - y1],
            area=(x2 - x1) * (y2 - y1),
            iscrowd=0,
        )
        for number, (label, (x1, y1, x2, y2)) in enumerate(objects, 1)
    ]
    file.write_text(json.dumps(content))


def test_the_worst_images_are_those_with_most_errors(tmp_path):
    record = detector(tmp_path, images=4)
    for image in record['images'][:2]:
        for key in ('boxes', 'labels', 'scores', 'masks'):
            image[key] = []
    record['images'][0]['boxes'] = [[0.0, 0.0, float(WIDTH), float(HEIGHT)]]
    record['images'][0] |= dict(labels=[0], scores=[0.99])
    evaluation = Evaluation(record, 'bbox')
    ranked = {
        evaluation.images[i]['id']: (f1, words) for f1, i, words in image_scores(evaluation, 0)
    }
    first, second, empty, last = (image['id'] for image in record['images'])
    assert ranked[first][0] < ranked[second][0] <= 0 < ranked[last][0]
    assert ranked[first][1] == '0 right, 1 wrong, 5 missed'
    assert ranked[second][1] == '0 right, 0 wrong, 4 missed'  # and a crowd, which does not count
    assert empty not in ranked  # without objects and detections there is nothing to judge
