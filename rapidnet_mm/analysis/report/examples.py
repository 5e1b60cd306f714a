"""The worst and the best images of a test, with the ground truth beside the prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ...display.drawing import Panel, compose, legend_of, paint, palette_of
from ...display.images import read_image, write_image
from ...display.overlay import draw_objects
from ...errors import UserError
from .errors import mask_of
from .matches import Evaluation
from .page import Pictures, Text, clean
from .record import label_map

COUNT = 6
TITLE = 24  # px: the pictures are shown at about a third of their size
SIDES = 400, 560  # px: the longer side of a picture's image, smallest and largest
Ranked = Sequence[tuple[float, int, str]]  # quality, index of the image, what it is in words


def example_blocks(
    ranked: Ranked,
    images: Sequence[Mapping[str, Any]],
    draw: Callable[[int, np.ndarray], np.ndarray],
    folder: Path,
    start: str,
    small: bool = False,
) -> list[Any]:
    """Write the pictures of the worst and the best images, and return the blocks with them.

    Args:
        ranked: the images that can be judged; the order does not matter.
        images: of the record.
        draw: makes the picture of an image, RGB, from its index and its pixels.
        folder: of the page.
        start: the folder of the pictures, relative to the page.
        small: whether the pictures need little room.
    """
    order = sorted(ranked, key=lambda entry: entry[:2])
    if not order:
        return [Text('There is no image with ground truth or predictions.')]
    count = min(COUNT, (len(order) + 1) // 2)
    groups = {'worst': order[:count], 'best': order[::-1][: min(count, len(order) - count)]}
    blocks: list[Any] = []
    for title, group in groups.items():
        pictures = []
        for place, (_, index, words) in enumerate(group, 1):
            path = images[index]['path']
            file = f'{start}/{title}_{place}.jpg'
            caption = clean(f'{Path(path).name}: {words}')
            try:
                pixels = np.ascontiguousarray(read_image(path)[..., ::-1])
            except UserError as error:
                blocks.append(Text(str(error), warning=True))
                continue
            write_image(draw(index, pixels)[..., ::-1], folder / file)
            pictures.append((file, caption))
        if pictures:
            blocks.append(Pictures(pictures, f'The {title}', small))
    return blocks


def scale_of(pixels: np.ndarray) -> float:
    """Return by how much an image is enlarged for its picture."""
    longest = max(pixels.shape[:2])
    return float(np.clip(longest, *SIDES) / longest)


def _resized(pixels: np.ndarray, scale: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


class DetectionPictures:
    """Draws the objects of an image beside the detections of at least a score.

    Args:
        evaluation: of the test.
        palette: the colours of the classes, None for our own.
        score_thr: the least score of the detections to draw.
    """

    def __init__(self, evaluation: Evaluation, palette: Any, score_thr: float):
        self.evaluation, self.score_thr = evaluation, score_thr
        self.palette = palette_of({'classes': evaluation.classes, 'palette': palette})
        self.truth: dict[int, list[dict]] = {}
        for entry in evaluation.truth['annotations']:
            self.truth.setdefault(entry['image_id'], []).append(entry)

    def __call__(self, index: int, pixels: np.ndarray) -> np.ndarray:
        """Return the picture of an image."""
        image, scale = self.evaluation.images[index], scale_of(pixels)
        small = _resized(pixels, scale)
        objects = [
            (entry['bbox'], entry['category_id'] - 1, '', self._truth_mask(entry, index))
            for entry in self.truth.get(index + 1, [])
        ]
        objects = [([x, y, x + w, y + h], *rest) for (x, y, w, h), *rest in objects]
        guesses = [
            (box, label, f' {score:.2f}', self._mask(image, place))
            for place, (box, label, score) in enumerate(
                zip(image['boxes'], image['labels'], image['scores'], strict=True)
            )
            if score >= self.score_thr
        ]
        panels = [
            Panel(title, self._drawn(small, entries, scale))
            for title, entries in (('ground truth', objects), ('prediction', guesses[::-1]))
        ]
        return compose(panels, [], TITLE)

    def _drawn(self, pixels: np.ndarray, entries: Sequence[tuple], scale: float) -> np.ndarray:
        size = pixels.shape[1::-1]
        masks = [
            cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool)
            for *_, mask in entries
            if mask is not None
        ]
        return draw_objects(
            pixels,
            np.array([box for box, *_ in entries], float).reshape(-1, 4) * scale,
            [clean(self.evaluation.classes[label]) + text for _, label, text, _ in entries],
            [self.palette[label] for _, label, *_ in entries],
            masks if len(masks) == len(entries) else (),
        )

    def _truth_mask(self, entry: Mapping[str, Any], index: int) -> np.ndarray | None:
        if self.evaluation.kind != 'segm' or not entry.get('segmentation'):
            return None
        return coco_mask.decode(mask_of(entry, self.evaluation.truth['images'][index]))

    def _mask(self, image: Mapping[str, Any], place: int) -> np.ndarray | None:
        if self.evaluation.kind != 'segm':
            return None
        counts = image['masks'][place].encode()
        return coco_mask.decode({'size': image['mask_size'], 'counts': counts})


def label_pictures(record: Mapping[str, Any]) -> Callable[[int, np.ndarray], np.ndarray]:
    """Return what draws an image, its label map, the predicted one, and where they differ."""
    classes = [clean(name) for name in record['classes']]
    palette = palette_of({'classes': classes, 'palette': record.get('palette')})

    def draw(index: int, pixels: np.ndarray) -> np.ndarray:
        maps = {name: label_map(png) for name, png in record['images'][index]['maps'].items()}
        scale = scale_of(pixels)
        small = _resized(pixels, scale)
        size = small.shape[1::-1]
        resized = {
            name: cv2.resize(m.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST)
            for name, m in maps.items()
        }
        panels = [Panel('image', small)]
        titles = {'truth': 'ground truth', 'prediction': 'prediction'}
        panels += [
            Panel(titles[n], paint(small, m.astype(np.int64), palette)) for n, m in resized.items()
        ]
        legend = legend_of([m.astype(np.int64) for m in resized.values()], classes, palette)
        return compose(panels, legend, TITLE)

    return draw


def class_pictures(record: Mapping[str, Any]) -> Callable[[int, np.ndarray], np.ndarray]:
    """Return what draws an image with its class and the most likely classes."""
    classes = [clean(name) for name in record['classes']]
    palette = palette_of({'classes': classes, 'palette': record.get('palette')})

    def draw(index: int, pixels: np.ndarray) -> np.ndarray:
        image = record['images'][index]
        legend = [
            (f'{classes[label]} {score:.2f}', palette[label])
            for label, score in zip(image['best'], image['scores'], strict=True)
        ]
        small = _resized(pixels, scale_of(pixels))
        return compose([Panel(f'is {classes[image["label"]]}', small)], legend)

    return draw
