"""A trained model on pictures: from Python, and for tools/infer.py."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, VISUALIZERS, init_default_scope
from mmengine.utils import import_modules_from_strings
from pycocotools import mask as coco_mask

from .checkpoints import fill_model, read_checkpoint
from .datasets.coco import class_names
from .engine import load_config, write_output
from .errors import UserError
from .options import merge_options

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
_COUNTER = itertools.count()


@dataclass
class Detections:
    """What a detector found in one image, best first.

    Attributes:
        boxes: ``(K, 4)`` float32, x1, y1, x2, y2 in pixels of the image as given.
        scores: ``(K,)`` float32 in 0..1.
        labels: ``(K,)`` int64, index into ``classes``.
        masks: ``(K, H, W)`` bool, or None where the model has no masks.
        classes: names of all classes.
        shape: height and width of the image.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    classes: tuple[str, ...]
    shape: tuple[int, int]

    @property
    def names(self) -> list[str]:
        """Class name of each detection."""
        return [self.classes[label] for label in self.labels]

    def to_dict(self, score_thr: float = 0.0) -> dict[str, Any]:
        """Plain values for json; masks as COCO run-length encodings."""
        found = []
        for index in np.flatnonzero(self.scores >= score_thr):
            entry = {
                'name': self.names[index],
                'label': int(self.labels[index]),
                'score': round(float(self.scores[index]), 4),
                'box': [round(float(value), 2) for value in self.boxes[index]],
            }
            if self.masks is not None:
                rle = coco_mask.encode(np.asfortranarray(self.masks[index].astype(np.uint8)))
                entry['mask'] = {'size': rle['size'], 'counts': rle['counts'].decode()}
            found.append(entry)
        return {'height': self.shape[0], 'width': self.shape[1], 'detections': found}


class Inferencer:
    """A model from a config and a checkpoint, ready for images.

    Example:
        >>> found = Inferencer('configs/maskrcnn_rapidnet_m_coco.py', 'epoch_12.pth')('street.jpg')
        >>> found.boxes, found.names, found.masks

    Args:
        config: path of a config file, or a config.
        checkpoint: path of a checkpoint of that model.
        device: 'cuda', 'cuda:1', 'cpu', ...; default a GPU if there is one.
        cfg_options: overrides, as ``--cfg-options``.

    Raises:
        UserError: config, checkpoint or device are not usable.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        device: str | None = None,
        cfg_options: Mapping[str, Any] | None = None,
    ):
        place = _device(device)
        if isinstance(config, Config):
            cfg = copy.deepcopy(config)
            merge_options(cfg, cfg_options)
        else:
            cfg = load_config(config, cfg_options)
        missing = [key for key in ('model', 'test_dataloader', 'visualizer') if not cfg.get(key)]
        if missing:
            raise UserError(f'the config has no {" and no ".join(missing)}')
        import_modules_from_strings(**cfg.get('custom_imports', {'imports': []}))
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        content = read_checkpoint(checkpoint)
        self.model = MODELS.build(cfg.model)
        fill_model(self.model, content, str(checkpoint))
        self.model.to(place).eval()
        dataset = cfg.test_dataloader.dataset
        meta = _dataset_meta(content) or {'classes': class_names(dataset)}
        self.classes = tuple(meta['classes'])
        # The image is read here and there is no ground truth: the rest of the test pipeline stays.
        steps = [t for t in dataset.pipeline if not t['type'].rpartition('.')[2].startswith('Load')]
        self._pipeline = Compose(steps)
        # MMEngine hands out one visualizer a name, and two models may name classes differently.
        name = f'inferencer_{next(_COUNTER)}'
        self._visualizer = VISUALIZERS.build({**cfg.visualizer, 'vis_backends': None, 'name': name})
        self._visualizer.dataset_meta = meta

    def __call__(self, image: str | Path | np.ndarray) -> Detections:
        """Detect in one image.

        Args:
            image: path of a file, or ``(H, W, 3)`` uint8 in OpenCV's channel order (BGR).

        Raises:
            UserError: the file is missing or no image, or the array has another shape or type.
        """
        return self._detections(self._predict(read_image(image)))

    def draw(
        self, image: str | Path | np.ndarray, target: str | Path, score_thr: float = 0.3
    ) -> Detections:
        """Detect in one image, and write it with boxes, masks, names and scores to ``target``.

        Raises:
            UserError: as :meth:`__call__`, or the picture cannot be written.
        """
        pixels = read_image(image)
        sample = self._predict(pixels)
        self._visualizer.add_datasample(
            'image', mmcv.bgr2rgb(pixels), sample, draw_gt=False, pred_score_thr=score_thr
        )
        drawn = mmcv.rgb2bgr(self._visualizer.get_image())
        whole, data = cv2.imencode(Path(target).suffix, drawn)
        if not whole:
            size = f'{drawn.shape[1]} x {drawn.shape[0]}'
            raise UserError(f'a picture of {size} cannot be written as {Path(target).suffix}')
        write_output(data.tobytes(), target)
        return self._detections(sample)

    @torch.inference_mode()
    def _predict(self, pixels: np.ndarray) -> Any:
        shape = pixels.shape[:2]
        image = dict(img=pixels, img_shape=shape, ori_shape=shape, img_path=None, img_id=0)
        try:
            data = self._pipeline(image)
        except cv2.error as error:
            size = f'{shape[1]} x {shape[0]}'
            raise UserError(f'an image of {size} cannot be resized for the model') from error
        batch = dict(inputs=[data['inputs']], data_samples=[data['data_samples']])
        return self.model.test_step(batch)[0].cpu()

    def _detections(self, sample: Any) -> Detections:
        found = sample.pred_instances
        return Detections(
            boxes=found.bboxes.numpy(),
            scores=found.scores.numpy(),
            labels=found.labels.numpy(),
            masks=found.masks.numpy() if 'masks' in found else None,
            classes=self.classes,
            shape=tuple(sample.ori_shape),
        )


def read_image(image: str | Path | np.ndarray) -> np.ndarray:
    """An image as ``(H, W, 3)`` uint8 BGR, turned as its EXIF orientation says.

    Raises:
        UserError: the file is missing, empty or no image, or the array does not fit.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise UserError(
                f'image array has shape {image.shape} and type {image.dtype}; '
                'expected (height, width, 3) and uint8, channels in the order blue, green, red'
            )
        return image
    path = Path(image)
    if not path.is_file():
        raise UserError(f'image {path} does not exist')
    try:
        data = np.fromfile(path, np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'image {path} cannot be read: {reason}') from error
    if pixels is None:
        state = 'is damaged or not an image' if data.size else 'is empty'
        raise UserError(f'image {path} {state}')
    return pixels


def find_images(inputs: list[str], leave_out: Path | None = None) -> list[tuple[Path, Path]]:
    """Files and folders to (image, name relative to what was given), folders searched through.

    ``leave_out`` is a folder inside them that is not searched: that of earlier results.

    Raises:
        UserError: an input does not exist, or a folder holds no images.
    """
    found: dict[Path, Path] = {}
    for item in map(Path, inputs):
        if item.is_dir():
            inside = leave_out is not None and item.resolve() in leave_out.resolve().parents
            files = sorted(
                file
                for file in item.rglob('*')
                if file.suffix.lower() in IMAGE_SUFFIXES
                and file.is_file()
                and not (inside and leave_out.resolve() in file.resolve().parents)
            )
            if not files:
                raise UserError(f'folder {item} holds no images ({", ".join(IMAGE_SUFFIXES)})')
            found |= {file: file.relative_to(item) for file in files}
        elif item.exists():
            found[item] = Path(item.name)
        else:
            raise UserError(f'{item} does not exist')
    return list(found.items())


def picture_name(name: Path) -> Path:
    """The name of an image's result: its own, or with ``.png`` where it is no image format."""
    known = name.suffix.lower() in IMAGE_SUFFIXES
    return name if known else name.with_name(f'{name.name}.png')


def write_result(result: Mapping[str, Any], target: str | Path) -> None:
    """Write a result as json.

    Raises:
        UserError: the file cannot be written.
    """
    write_output((json.dumps(result) + '\n').encode(), target)


def _dataset_meta(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the model was trained to name: MM 3 keeps it in lower case, MM 2 in upper case."""
    meta = checkpoint.get('meta') or {}
    if meta.get('dataset_meta'):
        return dict(meta['dataset_meta'])
    return {'classes': meta['CLASSES']} if meta.get('CLASSES') else None


def _device(name: str | None) -> torch.device:
    name = name or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'device {name!r} cannot be used: {reason}') from error
    return device
