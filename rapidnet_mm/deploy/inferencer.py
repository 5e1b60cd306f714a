"""Run a trained model on images: from Python, and for ``rapidnet infer``."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings

from ..data.checks.check_config import class_names
from ..display.drawing import Panel, compose, legend_of, paint, palette_of
from ..display.images import read_image, write_image
from ..display.overlay import draw_result
from ..display.results import Classification, Detections, Segmentation
from ..engine.config import load_config
from ..engine.config_errors import named_config_errors
from ..engine.device import default_device
from ..engine.options import merge_options
from ..errors import UserError
from ..weights.content import dataset_meta
from ..weights.load import fill_model, weights_for
from ..weights.read import read_checkpoint

Result = Detections | Segmentation | Classification


class Inferencer:
    """A model from a config and a checkpoint, ready for images.

    Example:
        >>> model = Inferencer('configs/maskrcnn_rapidnet_m_coco.py', 'epoch_12.pth')
        >>> detections = model('street.jpg')
        >>> detections.boxes, detections.names, detections.masks

    Args:
        config: path of a config file, name of one of our configs, or a config.
        checkpoint: of that model: a file, a URL, or a name such as 'rapidnet_m_maskrcnn'.
        device: 'cuda', 'cuda:1', 'mps', 'cpu', ...; by default a GPU if there is one.
        cfg_options: changes of the config: keys as in ``--cfg-options``, with Python values.

    Raises:
        UserError: the config, the checkpoint or the device cannot be used.
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
        missing = [key for key in ('model', 'test_dataloader') if not cfg.get(key)]
        if missing:
            raise UserError(f'the config has no {" and no ".join(missing)}')
        import_modules_from_strings(**cfg.get('custom_imports', {'imports': []}))
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        content = read_checkpoint(checkpoint)
        with named_config_errors('model'):
            self.model = MODELS.build(cfg.model)
        fill_model(self.model, weights_for(self.model, content, str(checkpoint)), str(checkpoint))
        self.model.to(place).eval()
        dataset = cfg.test_dataloader.dataset
        meta = dataset_meta(content) or {'classes': class_names(dataset)}
        self.classes = tuple(meta['classes'])
        # The image is read here and there is no ground truth, so the loading steps are left out.
        steps = [t for t in dataset.pipeline if not t['type'].rpartition('.')[2].startswith('Load')]
        with named_config_errors('test_dataloader.dataset.pipeline'):
            self._pipeline = Compose(steps)
        self._palette = palette_of(meta)

    def __call__(self, image: str | Path | np.ndarray) -> Result:
        """Return the result for one image: detections, a label map or classes.

        Args:
            image: path of a file, or ``(H, W, 3)`` uint8 in OpenCV's channel order (BGR).

        Raises:
            UserError: the file is missing or not an image, or the array has another shape or type.
        """
        return self.batch([image])[0]

    def batch(self, images: Sequence[str | Path | np.ndarray]) -> list[Result]:
        """Return the results for several images, in their order.

        Images that have the same size when the model sees them go through it together. Others run
        one after the other: to pad them to one size would change the results.

        Args:
            images: as for a call of the Inferencer, of any sizes.

        Raises:
            UserError: as for a call of the Inferencer, about the first bad image.
        """
        return [self._result(sample) for sample in self._predict([*map(read_image, images)])]

    def draw(
        self, image: str | Path | np.ndarray, target: str | Path, score_thr: float = 0.3
    ) -> Result:
        """Return the result for one image, and write a picture of it to ``target``.

        Detections with a score of at least ``score_thr`` are drawn with names and scores. Label
        maps are shown in colours beside the image, with a legend. For a classifier the most likely
        classes stand below the image.

        Args:
            image: as for a call of the Inferencer.
            target: path of the picture.
            score_thr: the least score of the detections to draw.

        Raises:
            UserError: the image cannot be used, or the picture cannot be written.
        """
        pixels = read_image(image)
        result = self(pixels)
        write_image(self.picture(pixels, result, score_thr), target)
        return result

    def picture(self, pixels: np.ndarray, result: Result, score_thr: float = 0.3) -> np.ndarray:
        """Return the picture that :meth:`draw` writes, as ``(h, w, 3)`` uint8 BGR.

        Args:
            pixels: the image, ``(H, W, 3)`` uint8 BGR.
            result: of this image.
            score_thr: the least score of the detections to draw.
        """
        if isinstance(result, Detections):
            return self.overlay(pixels, result, score_thr)
        rgb = mmcv.bgr2rgb(pixels)
        if isinstance(result, Classification):
            picture = compose([Panel('image', rgb)], result.legend(self._palette))
        else:
            panels = [
                Panel('image', rgb),
                Panel('prediction', paint(rgb, result.labels, self._palette)),
            ]
            picture = compose(panels, legend_of([result.labels], self.classes, self._palette))
        return mmcv.rgb2bgr(picture)

    def overlay(self, pixels: np.ndarray, result: Result, score_thr: float = 0.3) -> np.ndarray:
        """Return the image with its result drawn on it, as the frames of a video show it.

        Shape: ``(H, W, 3)`` uint8 BGR -> the same.
        """
        rgb = draw_result(mmcv.bgr2rgb(pixels), result, self._palette, score_thr)
        return mmcv.rgb2bgr(rgb)

    @torch.inference_mode()
    def _predict(self, images: Sequence[np.ndarray]) -> list[Any]:
        """Return the data samples of images, in their order."""
        groups: dict[torch.Size, list[tuple[int, Any]]] = {}
        for place, pixels in enumerate(images):
            data = self._prepared(pixels)
            groups.setdefault(data['inputs'].shape, []).append((place, data))
        samples: dict[int, Any] = {}
        for group in groups.values():
            batch = dict(
                inputs=[data['inputs'] for _, data in group],
                data_samples=[data['data_samples'] for _, data in group],
            )
            for (place, _), sample in zip(group, self.model.test_step(batch), strict=True):
                samples[place] = sample.cpu()
        return [samples[place] for place in range(len(images))]

    def _prepared(self, pixels: np.ndarray) -> Mapping[str, Any]:
        """Return an image as the pipeline of the test gives it to the model."""
        shape = pixels.shape[:2]
        image = dict(img=pixels, img_shape=shape, ori_shape=shape, img_path=None, img_id=0)
        try:
            data = self._pipeline(image)
        except cv2.error as error:
            size = f'{shape[1]} x {shape[0]}'
            raise UserError(f'an image of {size} cannot be resized for the model') from error
        with named_config_errors('test_dataloader.dataset.pipeline'):
            return dict(inputs=data['inputs'], data_samples=data['data_samples'])

    def _result(self, sample: Any) -> Result:
        if 'pred_score' in sample:
            scores = sample.pred_score.numpy()
            return Classification(scores, self.classes, tuple(sample.ori_shape))
        if 'pred_sem_seg' in sample:
            kind = np.uint8 if len(self.classes) <= 256 else np.uint16
            labels = sample.pred_sem_seg.data.numpy().reshape(sample.ori_shape).astype(kind)
            return Segmentation(labels, self.classes)
        instances = sample.pred_instances
        return Detections(
            boxes=instances.bboxes.numpy(),
            scores=instances.scores.numpy(),
            labels=instances.labels.numpy(),
            masks=instances.masks.numpy() if 'masks' in instances else None,
            classes=self.classes,
            shape=tuple(sample.ori_shape),
        )


def _device(name: str | None) -> torch.device:
    name = name or default_device()
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'device {name!r} cannot be used: {reason}') from error
    return device
