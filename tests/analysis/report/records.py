"""Predictions of tests that never ran: small, and with every kind of error."""

import base64
import json
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from rapidnet_mm.analysis.report.build import Run
from rapidnet_mm.analysis.report.work_dir import WorkDir

HEIGHT, WIDTH = 96, 128
CLASSES = ['disc', r'$\price$', '<script>alert(1)</script>']


def write_images(folder, count):
    """Paths of grey images."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'<b>{number}.png' for number in range(count)]
    for path in paths:
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    return list(map(str, paths))


def rectangle(box):
    """The mask of a box (x1, y1, x2, y2), as COCO's RLE."""
    x1, y1, x2, y2 = (round(v) for v in box)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order='F')
    mask[y1:y2, x1:x2] = 1
    return coco_mask.encode(mask)


def detector(folder, images=8, detections=True, truth=CLASSES, seed=0):
    """A record of a detector, whose annotations are in ``folder``.

    Args:
        folder: where images and annotations go.
        images: how many.
        detections: whether anything is detected.
        truth: the classes that have objects.
        seed: of the boxes.
    """
    rng = np.random.default_rng(seed)
    paths, annotations, results = write_images(folder / 'images', images), [], []
    # The ids have gaps, and the order of images and categories is not that of the ids.
    ids = [10 * number + 3 for number in range(images)][::-1]
    categories = {name: 7 - 2 * number for number, name in enumerate(CLASSES)}
    for number, image_id in enumerate(ids):
        boxes, labels = [], []
        for _ in range(0 if number == 2 else 5):
            x, y = rng.integers(0, 60, 2)
            w, h = rng.integers(5, 60), rng.integers(5, 35)
            label = int(rng.integers(len(truth)))
            box = [int(v) for v in (x, y, min(x + w, WIDTH), min(y + h, HEIGHT))]
            boxes.append(box)
            labels.append(label)
            area = (box[2] - box[0]) * (box[3] - box[1])
            crowd = int(number == 1 and len(boxes) == 1)
            rle = rectangle(box)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=categories[truth[label]],
                    bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    area=area,
                    iscrowd=crowd,
                    segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
                )
            )
        results.append(_guesses(boxes, labels, rng) if detections else _guesses([], [], rng))
        results[-1] |= dict(id=image_id, path=paths[number], size=[HEIGHT, WIDTH])
    content = dict(
        images=[dict(id=i, width=WIDTH, height=HEIGHT, file_name=f'{i}.png') for i in ids],
        annotations=annotations,
        categories=[dict(id=i, name=name) for name, i in categories.items()],
    )
    file = folder / 'annotations.json'
    file.write_text(json.dumps(content))
    return dict(
        task='detection',
        classes=CLASSES,
        palette=None,
        kinds=['bbox', 'segm'],
        annotations=str(file),
        metrics={},
        images=results,
        config='model = dict()\n',
        checkpoint='best.pth',
    )


def _guesses(boxes, labels, rng):
    """Detections near the boxes, some far away, some with a wrong class, some twice."""
    guesses = [np.add(box, rng.integers(-6, 7, 4)) for box in boxes for _ in range(2)]
    guesses += [rng.integers(0, 40, 4) for _ in boxes]
    kinds = [(label + (rng.random() < 0.3)) % 3 for label in [*np.repeat(labels, 2), *labels]]
    found = []
    for x1, y1, x2, y2 in guesses:
        low, high = np.clip([min(x1, x2), min(y1, y2)], 0, 80), [max(x1, x2), max(y1, y2)]
        found.append([*map(float, low), *map(float, np.clip(high, low + 2, (WIDTH, HEIGHT)))])
    return dict(
        boxes=found,
        scores=[float(v) for v in rng.random(len(found)).round(2)],  # with ties
        labels=[int(v) for v in kinds],
        masks=[rectangle(box)['counts'].decode() for box in found],
        mask_size=[HEIGHT, WIDTH],
    )


def entries(record, kind):
    """The detections of a record in COCO's format, with the ids of the annotation file."""
    file = json.loads(Path(record['annotations']).read_text())
    ids = {category['name']: category['id'] for category in file['categories']}
    for image in record['images']:
        for index, score in enumerate(image['scores']):
            entry = dict(
                image_id=image['id'],
                category_id=ids[record['classes'][image['labels'][index]]],
                score=score,
            )
            if kind == 'bbox':
                x1, y1, x2, y2 = image['boxes'][index]
                yield entry | dict(bbox=[x1, y1, x2 - x1, y2 - y1])
            else:
                rle = dict(size=image['mask_size'], counts=image['masks'][index])
                yield entry | dict(segmentation=rle)


def run_of(record, folder, name='run'):
    """A run whose predictions are the record."""
    work_dir = folder / name
    work_dir.mkdir(parents=True, exist_ok=True)
    work = WorkDir(work_dir, work_dir / 'config.py', work_dir / 'best.pth', 'the best')
    return Run(name, work, record, 'made up')


def segmenter(folder, images=4, absent=2):
    """A record of a segmenter for which a class is neither there nor predicted."""
    rng = np.random.default_rng(0)
    paths, results = write_images(folder / 'images', images), []
    for path in paths:
        truth = rng.integers(0, absent, (HEIGHT, WIDTH))
        wrong = rng.random((HEIGHT, WIDTH)) < rng.uniform(0.1, 0.6)
        guess = np.where(wrong, (truth + 1) % absent, truth)
        counts = np.bincount((truth * 3 + guess).ravel(), minlength=9)
        cells = np.flatnonzero(counts)
        maps = {
            name: base64.b64encode(cv2.imencode('.png', m.astype(np.uint16))[1].tobytes()).decode()
            for name, m in (('truth', truth), ('prediction', guess))
        }
        results.append(
            dict(
                path=path,
                size=[HEIGHT, WIDTH],
                cells=cells.tolist(),
                counts=counts[cells].tolist(),
                maps=maps,
            )
        )
    return dict(
        task='segmentation',
        classes=CLASSES,
        palette=[[200, 30, 30], [30, 200, 30], [30, 30, 200]],
        kinds=[],
        annotations=None,
        metrics=dict(mIoU=0.4, mAcc=0.5, aAcc=0.6),
        images=results,
        config='model = dict()\n',
        checkpoint='best.pth',
    )


def classifier(folder, images=12, labels=(0, 1)):
    """A record of a classifier."""
    rng = np.random.default_rng(0)
    results = []
    for number, path in enumerate(write_images(folder / 'images', images)):
        label = labels[number % len(labels)]
        scores = rng.random(3)
        scores[label] += 0.4
        scores /= scores.sum()
        best = np.argsort(-scores)
        results.append(
            dict(
                path=path,
                size=[HEIGHT, WIDTH],
                label=label,
                score=float(scores[label]),
                best=best.tolist(),
                scores=scores[best].tolist(),
            )
        )
    right = sum(r['best'][0] == r['label'] for r in results)
    return dict(
        task='classification',
        classes=CLASSES,
        palette=None,
        kinds=[],
        annotations=None,
        metrics={'accuracy/top1': 100 * right / images},
        images=results,
        config='model = dict()\n',
        checkpoint='best.pth',
    )
