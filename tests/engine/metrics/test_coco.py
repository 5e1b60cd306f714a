import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from rapidnet_mm import UserError
from rapidnet_mm.engine.metrics import CocoAP
from rapidnet_mm.engine.metrics.coco import BACKENDS, NUMBERS

CLASSES = ('cat', 'dog', 'cow')
IDS = (2, 5, 9)  # with gaps, as in COCO
SIZE = (60, 80)


def rectangle(box):
    x, y, w, h = (round(value) for value in box)
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    return mask


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    """Ground truth with a crowd and an empty image, and noisy detections of it."""
    rng = np.random.default_rng(0)
    images = [dict(id=i, width=SIZE[1], height=SIZE[0], file_name=f'{i}.jpg') for i in range(12)]
    annotations, samples = [], []
    for image in images:
        boxes, labels = [], []
        for _ in range(0 if image['id'] == 3 else rng.integers(1, 6)):
            x, y = rng.integers(0, 40), rng.integers(0, 30)
            w, h = rng.integers(4, 38), rng.integers(4, 28)
            label = int(rng.integers(3))
            boxes.append([x, y, w, h])
            labels.append(label)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image['id'],
                    category_id=IDS[label],
                    bbox=[int(v) for v in (x, y, w, h)],
                    area=int(w * h),
                    iscrowd=0,
                    segmentation=[[int(v) for v in (x, y, x + w, y, x + w, y + h, x, y + h)]],
                )
            )
        samples.append(sample(image['id'], boxes, labels, rng))
    annotations[0] |= dict(iscrowd=1, segmentation=dict(size=list(SIZE), counts=[100, 900, 3800]))
    categories = [dict(id=i, name=name) for i, name in zip(IDS, CLASSES, strict=True)]
    path = tmp_path_factory.mktemp('coco') / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path, samples


def sample(img_id, boxes, labels, rng):
    """Detections near the boxes, some with a wrong class, and some of nothing."""
    boxes = [np.add(b, rng.integers(-2, 3, 4)).clip(1) for b in boxes for _ in range(2)]
    labels = [(v + (rng.random() < 0.2)) % 3 for v in np.repeat(labels, 2)]
    boxes.append(np.array([5, 5, 20, 20]))
    labels.append(0)
    found = np.array(boxes, np.float32)
    masks = np.stack([rectangle(box) for box in boxes])
    found[:, 2:] += found[:, :2]
    return dict(
        img_id=img_id,
        pred_instances=dict(
            bboxes=torch.from_numpy(found),
            labels=torch.tensor(labels, dtype=torch.long),
            scores=torch.from_numpy(rng.random(len(boxes), np.float32)),
            masks=torch.from_numpy(masks),
        ),
    )


def run(path, samples, **arguments):
    metric = CocoAP(str(path), ['bbox', 'segm'], **arguments)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_both_backends_give_the_same_twelve_numbers(scene):
    faster, reference = (run(*scene, backend=backend) for backend in BACKENDS)
    assert set(faster) == {f'coco/{kind}_{n}' for kind in ('bbox', 'segm') for n in NUMBERS}
    assert faster == pytest.approx(reference, abs=1e-12)
    assert 0.1 < faster['coco/bbox_mAP'] < 0.9
    assert faster['coco/bbox_mAP'] != faster['coco/segm_mAP']


def test_perfect_detections_score_one(scene):
    path, _ = scene
    content = json.loads(path.read_text())
    samples = []
    for image in content['images']:
        own = [
            a for a in content['annotations'] if a['image_id'] == image['id'] and not a['iscrowd']
        ]
        boxes = np.array([a['bbox'] for a in own], np.float32).reshape(-1, 4)
        masks = np.array([rectangle(box) for box in boxes], bool).reshape(-1, *SIZE)
        boxes[:, 2:] += boxes[:, :2]
        found = dict(
            bboxes=torch.from_numpy(boxes),
            labels=torch.tensor([IDS.index(a['category_id']) for a in own], dtype=torch.long),
            scores=torch.ones(len(own)),
            masks=torch.from_numpy(masks),
        )
        samples.append(dict(img_id=image['id'], pred_instances=found))
    metrics = run(path, samples)
    assert metrics['coco/bbox_mAP'] == pytest.approx(1)
    assert metrics['coco/segm_mAP'] == pytest.approx(1)


def test_a_published_case_in_ten_lines_has_its_value(scene):
    # One object, hit by the second of two detections: precision 1/2 at every recall.
    path, _ = scene
    content = json.loads(path.read_text())
    target = content['annotations'][1]
    x, y, w, h = target['bbox']
    boxes = torch.tensor([[70.0, 50, 79, 59], [x, y, x + w, y + h]])
    label = IDS.index(target['category_id'])
    content['annotations'] = [target]
    alone = path.with_name('one.json')
    alone.write_text(json.dumps(content))
    found = dict(
        bboxes=boxes,
        labels=torch.tensor([label, label]),
        scores=torch.tensor([0.9, 0.8]),
        masks=torch.zeros(2, *SIZE, dtype=torch.bool),
    )
    metrics = run(alone, [dict(img_id=target['image_id'], pred_instances=found)])
    assert metrics['coco/bbox_mAP'] == pytest.approx(0.5)
    assert metrics['coco/segm_mAP'] == 0


@pytest.mark.parametrize('backend', BACKENDS)
def test_masks_are_sorted_by_their_own_area_not_their_boxes(backend, tmp_path):
    # Two thin bars in large boxes: small by their masks. The first, more certain one hits nothing.
    size = (200, 200)
    bars = np.zeros((2, *size), bool)
    bars[0, np.arange(20, 160), np.arange(20, 160)] = True
    bars[1, np.arange(20, 160), np.arange(160, 20, -1)] = True
    boxes = torch.tensor([[20.0, 20, 160, 160], [21, 20, 161, 160]])
    encoded = coco_mask.encode(np.asfortranarray(bars[1].astype(np.uint8)))
    target = dict(
        id=1,
        image_id=1,
        category_id=2,
        iscrowd=0,
        bbox=[21, 20, 140, 140],
        area=int(bars[1].sum()),
        segmentation=dict(size=list(size), counts=encoded['counts'].decode()),
    )
    content = dict(
        images=[dict(id=1, width=size[1], height=size[0], file_name='1.jpg')],
        annotations=[target],
        categories=[dict(id=2, name='cat')],
    )
    path = tmp_path / 'bars.json'
    path.write_text(json.dumps(content))
    instances = dict(
        bboxes=boxes,
        labels=torch.tensor([0, 0]),
        scores=torch.tensor([0.9, 0.8]),
        masks=torch.from_numpy(bars),
    )
    metric = CocoAP(str(path), 'segm', backend=backend)
    metric.dataset_meta = dict(classes=('cat',))
    metric.process(None, [dict(img_id=1, pred_instances=instances)])
    metrics = metric.evaluate(1)
    # The bar that hits nothing is small too, so it counts: precision 1/2 at every recall.
    assert metrics['coco/segm_mAP_s'] == pytest.approx(0.5)
    assert metrics['coco/segm_mAP_l'] == -1


@pytest.mark.parametrize('backend', BACKENDS)
def test_no_detections_at_all_score_zero(scene, backend):
    path, samples = scene
    empty = dict(
        bboxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.long),
        scores=torch.zeros(0),
        masks=torch.zeros(0, *SIZE, dtype=torch.bool),
    )
    samples = [dict(img_id=s['img_id'], pred_instances=empty) for s in samples]
    metrics = run(path, samples, backend=backend)
    assert metrics['coco/bbox_mAP'] == metrics['coco/segm_mAP'] == 0


def test_labels_follow_the_order_of_the_file_as_mmdetection_numbers_them(scene):
    path, samples = scene
    metric = CocoAP(str(path), 'bbox')
    metric.dataset_meta = dict(classes=CLASSES[::-1])
    metric.process(None, samples)
    assert metric.evaluate(len(samples))['coco/bbox_mAP'] == run(path, samples)['coco/bbox_mAP']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(metric='keypoints'), "choose 'bbox' and/or 'segm'"),
        (dict(backend='matlab'), r"'matlab'; choose one of \['faster_coco_eval', 'pycocotools'\]"),
        (dict(ann_file='nowhere.json'), 'nowhere.json does not exist'),
    ],
)
def test_wrong_arguments_are_refused_in_a_line(scene, arguments, message):
    with pytest.raises(UserError, match=message):
        CocoAP(**{'ann_file': str(scene[0]), **arguments})
