"""What a model really sees: images after augmentation, normalisation and padding, with labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch.utils.data import DataLoader

from ..data.checks.check_config import check_data
from ..display.sheets import View
from ..engine.config import build_model
from ..engine.config_errors import named_config_errors
from ..engine.exact.draws import exact_config, prepare
from ..engine.exact.states import seeded
from ..engine.hooks.bad_images import BadImagesHook
from ..engine.runner import CheckedRunner
from ..errors import UserError

MOST_NAMES = 3  # of the classes of a mixed image
PASSES = 100  # over the data, in which an image has to come again


class Place(NamedTuple):
    """Where an image is drawn: its batch, and its place there."""

    epoch: int
    number: int  # of the batch in its epoch
    batch: tuple[int, ...]
    place: int


class Browser:
    """Draws images as a training, a validation or a test draws them.

    Args:
        cfg: as :func:`load_config` returns it.
        split: 'train', 'val' or 'test'.
        seed: of the training.

    Raises:
        UserError: the config has no such data, or they have a fault.
    """

    def __init__(self, cfg: Config, split: str = 'train', seed: int = 0):
        key = f'{split}_dataloader'
        if not cfg.get(key):
            raise UserError(f'the config has no {key}')
        check_data(cfg, (split,))
        self.training, self.seed = split == 'train', seed
        self.preprocessor = build_model(cfg, device='cpu').data_preprocessor
        # This process loads the images. They are the same as those that workers load.
        config = {**cfg[key], 'num_workers': 0, 'persistent_workers': False}
        config.pop('prefetch_factor', None)
        if self.training:
            config = exact_config(config, seed)
        self.loader: DataLoader = CheckedRunner.build_dataloader(config, seed=seed)
        if self.training:
            prepare(self.loader, seed)
            BadImagesHook().before_train(SimpleNamespace(train_dataloader=self.loader))
        self.dataset = self.loader.dataset
        if not len(self.dataset) or not self.loader.batch_sampler:
            raise UserError(f'{key} has no batches of images')
        self.where = f'{key}.dataset.pipeline'
        pipeline = getattr(self.dataset, 'pipeline', None)
        # Labels that are loaded after a resize stay as they were in the file.
        steps = [type(step).__name__ for step in getattr(pipeline, 'transforms', ())]
        first = next((k for k, name in enumerate(steps) if not name.startswith('Load')), 0)
        self.labels_are_original = any('Annotations' in name for name in steps[first:])

    @property
    def meta(self) -> dict[str, Any]:
        """Classes and palette of the data set."""
        return dict(self.dataset.metainfo)

    def views(
        self, number: int, epochs: int = 1, on_view: Callable[[], Any] = lambda: None
    ) -> list[list[View]]:
        """Return the first ``number`` images that are drawn, each as its first ``epochs`` draws.

        Args:
            number: of images.
            epochs: draws of each image.
            on_view: called after each view.
        """
        chosen: dict[Any, list[View]] = {}
        loaded: tuple[Any, Any] = (None, None)
        for place in self._places():
            index = int(place.batch[place.place])
            # With one draw, every draw counts: some samplers draw an image several times.
            key = index if epochs > 1 else (place.epoch, place.number, place.place)
            if key not in chosen and len(chosen) == number:
                if all(len(views) == epochs for views in chosen.values()):
                    break
                continue
            views = chosen.setdefault(key, [])
            if len(views) == epochs:
                continue
            if loaded[0] != place[:2]:
                loaded = place[:2], self._load(place)
            views.append(self._view(*loaded[1], place))
            on_view()
            if len(chosen) == number and all(len(views) == epochs for views in chosen.values()):
                break
        return list(chosen.values())

    def _places(self) -> Iterator[Place]:
        """Yield where the images come, without loading them."""
        batches = self.loader.batch_sampler
        sampler = getattr(batches, 'sampler', None) or self.loader.sampler
        drawn = 0
        for epoch in range(PASSES if self.training else 1):
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            for number, batch in enumerate(batches):
                for place in range(len(batch)):
                    yield Place(epoch, number, tuple(batch), place)
                drawn += len(batch)
                if drawn > PASSES * len(self.dataset):  # some samplers never end
                    return

    def _load(self, place: Place) -> tuple[torch.Tensor, Sequence[Any]]:
        """Return inputs and data samples of a batch as the model gets them."""
        with named_config_errors(self.where):
            data = self.loader.collate_fn([self.dataset[index] for index in place.batch])
        with (
            named_config_errors('model.data_preprocessor'),
            seeded(self.seed, place.epoch, place.number),
        ):
            data = self.preprocessor(data, self.training)
        if not isinstance(data.get('inputs'), torch.Tensor):
            raise UserError('the model takes no plain batch of images; it cannot be browsed')
        return data['inputs'], data['data_samples']

    def _view(self, inputs: torch.Tensor, samples: Sequence[Any], place: Place) -> View:
        """Return one image of a batch."""
        image = self._plain(inputs[place.place])
        sample = samples[place.place]
        height, width = image.shape[:2]
        size = sample.metainfo.get('img_shape', (height, width))[:2]
        size = min(size[0], height), min(size[1], width)
        view = View(image, size, self._caption(sample, image, size, place))
        classes = self.meta.get('classes') or ()
        if 'gt_instances' in sample:
            self._add_objects(view, sample, classes)
        elif 'gt_sem_seg' in sample:
            view.labels = self._label_map(sample, image.shape[:2], size)
        elif 'gt_score' in sample or 'gt_label' in sample:
            view.caption.append(_class_text(sample, classes))
        return view

    def _plain(self, tensor: torch.Tensor) -> np.ndarray:
        """Return an input of the model without the normalisation, RGB."""
        maker = self.preprocessor
        tensor = tensor.detach().float()
        if getattr(maker, '_enable_normalize', False):
            tensor = tensor * maker.std + maker.mean
        pixels = tensor.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        if pixels.shape[2] == 1:
            pixels = pixels.repeat(3, 2)
        # Images are loaded as BGR.
        is_rgb = getattr(maker, '_channel_conversion', False) or getattr(maker, 'to_rgb', False)
        return np.ascontiguousarray(pixels if is_rgb else pixels[..., ::-1])

    def _caption(
        self, sample: Any, image: np.ndarray, size: tuple[int, int], place: Place
    ) -> list[str]:
        meta = sample.metainfo
        original = meta.get('ori_shape')
        text = f'{size[1]} x {size[0]}'
        if original is not None and tuple(original[:2]) != size:
            text += f' from {original[1]} x {original[0]}'
        if meta.get('flip'):
            text += ', flipped'
        name = Path(str(meta.get('img_path') or f'image {int(place.batch[place.place])}'))
        epoch = f'epoch {place.epoch + 1}, ' if self.training else ''
        lines = [name.name, f'{epoch}batch {place.number + 1}', text]
        if image.shape[:2] != size:
            lines.append(f'padded to {image.shape[1]} x {image.shape[0]}')
        return lines

    def _add_objects(self, view: View, sample: Any, classes: Sequence[str]) -> None:
        boxes, masks = [], []
        for instances, ignored in (
            (sample.gt_instances, False),
            (sample.get('ignored_instances'), True),
        ):
            if instances is None or not len(instances):
                continue
            boxes.append(_as_array(instances.bboxes))
            labels = instances.labels.tolist()
            view.classes += [-1 if ignored else label for label in labels]
            names = [classes[k] if 0 <= k < len(classes) else str(k) for k in labels]
            view.texts += [f'{name}, ignored' if ignored else name for name in names]
            if 'masks' in instances:
                masks += [*instances.masks.to_ndarray()]
        view.boxes = np.concatenate(boxes) if boxes else np.zeros((0, 4))
        factor = sample.metainfo.get('scale_factor')
        if self.labels_are_original and factor is not None:
            view.boxes = view.boxes * np.array([*factor, *factor])[:4]
        if masks:
            view.masks = np.stack(
                [self._placed(m, view.image.shape[:2], view.size) for m in masks]
            ).astype(bool)

    def _label_map(self, sample: Any, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        return self._placed(sample.gt_sem_seg.data.squeeze(0).numpy(), shape, size, fill=255)

    def _placed(
        self, labels: np.ndarray, shape: tuple[int, int], size: tuple[int, int], fill: int = 0
    ) -> np.ndarray:
        """Return a map at the size of the model's input, padded like it."""
        if labels.shape == shape:
            return labels
        if self.labels_are_original:
            labels = cv2.resize(
                labels.astype(np.int32), size[::-1], interpolation=cv2.INTER_NEAREST
            )
        placed = np.full(shape, fill, np.int64)
        height, width = min(labels.shape[0], shape[0]), min(labels.shape[1], shape[1])
        placed[:height, :width] = labels[:height, :width]
        return placed


def _as_array(boxes: Any) -> np.ndarray:
    """Return boxes, a tensor or MMDetection's class around one, as x1, y1, x2, y2."""
    return np.asarray(getattr(boxes, 'tensor', boxes), np.float32).reshape(-1, 4)


def _class_text(sample: Any, classes: Sequence[str]) -> str:
    """Return the class of an image; of a mixed one, the shares of its classes."""

    def name(label: int) -> str:
        return classes[label] if 0 <= label < len(classes) else f'class {label}'

    if 'gt_score' in sample:
        shares = sample.gt_score.float()
        best = shares.argsort(descending=True, stable=True)[:MOST_NAMES].tolist()
        parts = [(name(k), shares[k].item()) for k in best if shares[k] > 0]
        if len(parts) > 1:
            return ' + '.join(f'{share:.2f} {text}' for text, share in parts)
        return parts[0][0] if parts else 'no class'
    return ', '.join(name(label) for label in sample.gt_label.tolist())
