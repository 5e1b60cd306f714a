"""COCO AP where a small fault would go unnoticed: sizes of masks, classes, images, the tables."""

import importlib
import json
import re

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from rapidnet_mm.engine.metrics import CocoAP
from rapidnet_mm.engine.metrics.coco import BACKENDS, coco_api
from tests.messages import assert_says, refusal

SIZE = (120, 160)
both_backends = pytest.mark.parametrize('backend', BACKENDS)


def frame(x, y, side, border):
    """A square frame: its box is ``side * side``, its area much less."""
    mask = np.zeros(SIZE, np.uint8)
    mask[y : y + side, x : x + side] = 1
    mask[y + border : y + side - border, x + border : x + side - border] = 0
    return mask


def bar(x, y, w, h):
    mask = np.zeros(SIZE, np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def box_of(mask):
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return [int(v) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]


def run(path, categories, truth, found, classes=None, images=(1,), metric='segm', **arguments):
    """Evaluate masks: ``truth`` and ``found`` are lists of (image, category or label, mask)."""
    encode = coco_api('pycocotools').mask.encode
    annotations = []
    for number, (image, category, mask) in enumerate(truth, 1):
        x, y, right, bottom = box_of(mask)
        rle = encode(np.asfortranarray(mask))
        annotations.append(
            dict(
                id=number,
                image_id=image,
                category_id=category,
                bbox=[x, y, right - x, bottom - y],
                area=int(mask.sum()),
                iscrowd=0,
                segmentation=dict(size=list(SIZE), counts=rle['counts'].decode()),
            )
        )
    names = [dict(id=number, name=name) for number, name in categories]
    files = [dict(id=i, width=SIZE[1], height=SIZE[0], file_name=f'{i}.jpg') for i in (1, 2)]
    path = path / 'instances.json'
    path.write_text(json.dumps(dict(images=files, annotations=annotations, categories=names)))
    evaluator = CocoAP(str(path), metric, **arguments)
    evaluator.dataset_meta = dict(classes=classes or [name for _, name in categories])
    for image in images:
        own = [entry[1:] for entry in found if entry[0] == image]
        masks = np.array([mask for _, mask, _ in own], bool).reshape(-1, *SIZE)
        instances = dict(
            bboxes=torch.tensor([box_of(mask) for mask in masks]).reshape(-1, 4).float(),
            labels=torch.tensor([label for label, _, _ in own], dtype=torch.long),
            scores=torch.tensor([score for _, _, score in own]).float(),
            masks=torch.from_numpy(masks),
        )
        evaluator.process(None, [dict(img_id=image, pred_instances=instances)])
    return evaluator.evaluate(len(images))


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    lines = []
    monkeypatch.setattr(MMLogger, 'info', lambda _, line, *__: lines.append(line))
    return lines


@both_backends
def test_boxes_and_masks_are_sorted_by_areas_of_their_own(backend, tmp_path):
    # What is wrongly found has a medium box, 40 * 40, and a small mask. Only the box counts among
    # the medium ones, and halves the precision there.
    target, wrong = bar(10, 10, 40, 40), frame(90, 60, 40, 2)
    metrics = run(
        tmp_path,
        [(1, 'frame')],
        [(1, 1, target)],
        [(1, 0, wrong, 0.9), (1, 0, target, 0.8)],
        backend=backend,
        metric=['bbox', 'segm'],
    )
    assert metrics['coco/bbox_mAP_m'] == pytest.approx(0.5)
    assert metrics['coco/segm_mAP_m'] == pytest.approx(1)  # the wrong mask is a small one


@both_backends
def test_only_the_classes_of_the_data_set_count(backend, tmp_path):
    # The file knows a class more than the model, and has an object of it.
    mask, other = bar(10, 10, 40, 40), bar(90, 60, 40, 40)
    metrics = run(
        tmp_path,
        [(7, 'cat'), (3, 'dog')],
        [(1, 7, mask), (1, 3, other)],
        [(1, 0, mask, 0.9)],
        classes=['cat'],
        backend=backend,
    )
    assert metrics['coco/segm_mAP'] == pytest.approx(1)


@both_backends
def test_only_the_images_that_were_seen_count(backend, tmp_path):
    mask = bar(10, 10, 40, 40)
    arguments = ([(1, 'cat')], [(1, 1, mask), (2, 1, mask)], [(1, 0, mask, 0.9)])
    seen = run(tmp_path, *arguments, backend=backend)
    both = run(tmp_path, *arguments, backend=backend, images=(1, 2))
    assert seen['coco/segm_mAP'] == pytest.approx(1)
    assert both['coco/segm_mAP'] == pytest.approx(51 / 101)  # recall points up to a half


@both_backends
def test_the_table_of_classes_has_the_numbers_of_each(backend, tmp_path, lines):
    # Numbers of the categories fall while the classes go on, and one class does not occur.
    exact, target = bar(10, 10, 40, 40), bar(60, 60, 80, 20)
    part = bar(60, 60, 50, 20)  # an IoU of 50/80: right up to 0.6, that is at 3 of 10 thresholds
    metrics = run(
        tmp_path,
        [(9, 'cat'), (5, 'dog'), (2, 'cow')],
        [(1, 9, exact), (1, 5, target)],
        [(1, 0, exact, 0.9), (1, 1, part, 0.8)],
        backend=backend,
        classwise=True,
    )
    rows = dict(re.findall(r'\|? *(cat|dog|cow) *\|([^\n]*)', '\n'.join(lines)))
    values = {name: [float(v) for v in re.findall(r'-?\d\.\d+', row)] for name, row in rows.items()}
    assert values == {'cat': [1, 1, 1], 'dog': [0.3, 1, 0], 'cow': [-1, -1, -1]}
    assert metrics['coco/segm_mAP'] == pytest.approx((1 + 0.3) / 2)


def test_the_table_of_classes_is_printed_where_it_is_asked_for(tmp_path, lines):
    mask = bar(10, 10, 40, 40)
    arguments = ([(1, 'cat')], [(1, 1, mask)], [(1, 0, mask, 0.9)])
    run(tmp_path, *arguments)
    assert not any('cat' in line for line in lines)
    assert any('segm' in line and 'AR_l@100' in line for line in lines)


@both_backends
def test_a_backend_that_is_missing_is_named_as_pip_calls_it(backend, monkeypatch):
    def missing(_):
        raise ImportError

    monkeypatch.setattr(importlib, 'import_module', missing)
    package = {'faster_coco_eval': 'faster-coco-eval', 'pycocotools': 'pycocotools'}[backend]
    assert_says(refusal(coco_api, backend), f'pip install {package}')
