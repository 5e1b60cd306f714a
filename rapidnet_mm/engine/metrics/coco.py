"""COCO average precision, by faster-coco-eval (C++) or by pycocotools: the same twelve numbers."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS

from ...display.tables import text_table
from ...errors import UserError
from ...files import write_output

# In the order of both libraries.
NUMBERS = (
    'mAP',
    'mAP_50',
    'mAP_75',
    'mAP_s',
    'mAP_m',
    'mAP_l',
    'AR@1',
    'AR@10',
    'AR@100',
    'AR_s@100',
    'AR_m@100',
    'AR_l@100',
)


class Backend(NamedTuple):
    """Names of what we use of one library: modules, and the class of the evaluator."""

    coco: str
    evaluator: str
    evaluator_class: str
    mask: str


BACKENDS = {
    'faster_coco_eval': Backend(
        'faster_coco_eval', 'faster_coco_eval', 'COCOeval_faster', 'faster_coco_eval.core.mask'
    ),
    'pycocotools': Backend(
        'pycocotools.coco', 'pycocotools.cocoeval', 'COCOeval', 'pycocotools.mask'
    ),
}


def coco_api(backend: str) -> SimpleNamespace:
    """Return the classes ``COCO`` and ``COCOeval`` and the module ``mask`` of one backend.

    Raises:
        UserError: the backend is unknown or not installed.
    """
    if backend not in BACKENDS:
        raise UserError(f'COCO evaluation has no backend {backend!r}; choose one of {[*BACKENDS]}')
    names = BACKENDS[backend]
    try:
        return SimpleNamespace(
            COCO=importlib.import_module(names.coco).COCO,
            COCOeval=getattr(importlib.import_module(names.evaluator), names.evaluator_class),
            mask=importlib.import_module(names.mask),
        )
    except ImportError as error:
        package = backend.replace('_', '-')
        raise UserError(
            f'COCO evaluation by {backend} needs that package: pip install {package}'
        ) from error


def read_ground_truth(ann_file: str, backend: str = 'faster_coco_eval') -> Any:
    """Return the ``COCO`` object of an annotation file, in the form that both libraries need.

    The ids of annotations become 1, 2, 3, ...: an object with id 0 would count as not found. Where
    ``iscrowd`` is missing, it is 0, as it is for MMDetection's loader.

    Args:
        ann_file: the annotation file.
        backend: one of ``BACKENDS``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print as they go
        truth = coco_api(backend).COCO()
        with open(ann_file, encoding='utf-8') as file:
            truth.dataset = json.load(file)
        for number, entry in enumerate(truth.dataset.get('annotations', ()), 1):
            entry['id'] = number
            entry['iscrowd'] = int(entry.get('iscrowd') or 0)
        for image in truth.dataset.get('images', ()):
            for side in ('width', 'height'):  # 640.0 is valid JSON, but no size of a mask
                if isinstance(image.get(side), float):
                    image[side] = int(image[side])
        truth.createIndex()
    return truth


def evaluate(
    ground_truth: Any,
    detections: list[dict],
    iou_type: str,
    backend: str = 'faster_coco_eval',
    img_ids: Sequence[int] | None = None,
    cat_ids: Sequence[int] | None = None,
) -> Any:
    """Return COCO's evaluation, which has ``stats`` (12 numbers) and ``eval['precision']``.

    Args:
        ground_truth: a ``COCO`` object of the same backend.
        detections: COCO result entries; the list may be empty, which gives zeros.
        iou_type: 'bbox' or 'segm'.
        backend: one of ``BACKENDS``.
        img_ids: images to evaluate, default all.
        cat_ids: categories to evaluate, default all.
    """
    api = coco_api(backend)
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print as they go
        if detections:
            # With a box the libraries would sort masks by the area of the box.
            drop = ('bbox',) if iou_type == 'segm' else ('segmentation',)
            entries = [{k: v for k, v in d.items() if k not in drop} for d in detections]
            predictions = ground_truth.loadRes(entries)
        else:
            predictions = api.COCO()
            predictions.dataset = {**ground_truth.dataset, 'annotations': []}
            predictions.createIndex()
        run = api.COCOeval(ground_truth, predictions, iou_type)
        if img_ids is not None:
            run.params.imgIds = list(img_ids)
        if cat_ids is not None:
            run.params.catIds = list(cat_ids)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


@METRICS.register_module()
class CocoAP(BaseMetric):
    """Box and mask AP as COCO defines them, at full precision.

    The results are named as MMDetection names them: ``coco/bbox_mAP``, ``coco/segm_mAP_50``, ...,
    and ``coco/bbox_AR@100``.

    Args:
        ann_file: COCO annotation file of the images that are evaluated.
        metric: 'bbox', 'segm' or both.
        backend: 'faster_coco_eval' (C++, fast) or 'pycocotools' (the reference).
        classwise: print AP per category too.
        collect_device: where results of several processes meet, 'cpu' or 'gpu'.
        prefix: replaces ``coco`` in the names.
        outfile_prefix: if given, write ``PREFIX.bbox.json`` and ``PREFIX.segm.json`` for COCO's
            test server, and compute no metrics. Then ``ann_file`` needs no annotations.

    Raises:
        UserError: an unknown metric or backend, or an annotation file that is missing.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = 'bbox',
        backend: str = 'faster_coco_eval',
        classwise: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        outfile_prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.outfile_prefix = outfile_prefix
        self.iou_types = [metric] if isinstance(metric, str) else list(metric)
        unknown = sorted(set(self.iou_types) - {'bbox', 'segm'})
        if unknown or not self.iou_types:
            raise UserError(f"CocoAP: metric {unknown} is not known; choose 'bbox' and/or 'segm'")
        self.backend = backend
        self.classwise = classwise
        try:
            self._coco = read_ground_truth(ann_file, backend)
        except FileNotFoundError as error:
            raise UserError(f'CocoAP: annotation file {ann_file} does not exist') from error
        self._mask = coco_api(backend).mask

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002
        """Keep the predictions of one batch. Masks are kept as RLE, which is small."""
        for sample in data_samples:
            instances = sample['pred_instances']
            result = {
                'img_id': sample['img_id'],
                'bboxes': _numpy(instances['bboxes']),
                'scores': _numpy(instances['scores']),
                'labels': _numpy(instances['labels']),
            }
            if 'segm' in self.iou_types:
                masks = _numpy(instances['masks']).astype(np.uint8)
                # RLE runs down the columns: (H, W, N) in Fortran order.
                result['masks'] = self._mask.encode(np.asfortranarray(masks.transpose(1, 2, 0)))
            self.results.append(result)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Evaluate all predictions; returns twelve numbers for each metric.

        With ``outfile_prefix`` it writes the predictions and returns no numbers.
        """
        logger = MMLogger.get_current_instance()
        # In the order of the file, as MMDetection numbers its labels.
        cat_ids = self._coco.getCatIds(catNms=list(self.dataset_meta['classes']))
        img_ids = [result['img_id'] for result in results]
        detections = [d for result in results for d in _entries(result, cat_ids)]
        if self.outfile_prefix:
            for iou_type in self.iou_types:
                content = json.dumps([_server_entry(d, iou_type) for d in detections])
                write_output(content.encode(), f'{self.outfile_prefix}.{iou_type}.json')
            return {}
        metrics, rows = {}, []
        for iou_type in self.iou_types:
            run = evaluate(self._coco, detections, iou_type, self.backend, img_ids, cat_ids)
            numbers = [float(number) for number in run.stats[: len(NUMBERS)]]
            metrics |= {f'{iou_type}_{name}': n for name, n in zip(NUMBERS, numbers, strict=True)}
            rows.append([iou_type, *numbers])
            if self.classwise:
                logger.info('\n' + self._per_category(run, cat_ids, iou_type))
        title = f'COCO, {len(img_ids)} images'
        logger.info('\n' + text_table(['', *NUMBERS], rows, title))
        return metrics

    def _per_category(self, run: Any, cat_ids: Sequence[int], iou_type: str) -> str:
        # (IoU threshold, recall, category, area, detections per image): all areas, 100 detections
        precision = np.asarray(run.eval['precision'])[:, :, :, 0, -1]
        order = sorted(cat_ids)
        rows = []
        for cat_id in cat_ids:
            p = precision[:, :, order.index(cat_id)]
            name = self._coco.loadCats(cat_id)[0]['name']
            rows.append([name, *(_mean(part) for part in (p, p[0], p[5]))])
        return text_table([iou_type, 'mAP', 'mAP_50', 'mAP_75'], rows)


def _server_entry(detection: dict, iou_type: str) -> dict:
    """Return one detection in COCO's result format, for boxes or for masks."""
    entry = {key: detection[key] for key in ('image_id', 'category_id', 'score')}
    if iou_type == 'bbox':
        return entry | {'bbox': detection['bbox']}
    rle = detection['segmentation']
    counts = rle['counts']
    text = counts.decode('ascii') if isinstance(counts, bytes) else counts
    return entry | {'segmentation': {'size': list(rle['size']), 'counts': text}}


def _mean(precision: np.ndarray) -> float:
    """Return the mean of the defined values; -1, as COCO does, if there is no ground truth."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else -1.0


def _numpy(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _entries(result: dict, cat_ids: Sequence[int]) -> list[dict]:
    boxes = result['bboxes'].astype(float)
    boxes[:, 2:] -= boxes[:, :2]  # COCO's boxes are x, y, width, height
    entries = []
    for index, (box, score, label) in enumerate(
        zip(boxes, result['scores'], result['labels'], strict=True)
    ):
        entry = {
            'image_id': result['img_id'],
            'category_id': cat_ids[int(label)],
            'bbox': box.tolist(),
            'score': float(score),
        }
        if 'masks' in result:
            entry['segmentation'] = result['masks'][index]
        entries.append(entry)
    return entries
