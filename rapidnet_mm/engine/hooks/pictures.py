"""Pictures of predictions beside the ground truth: of label maps, and of classified images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...display.drawing import Panel, compose, legend_of, paint, palette_of
from ...display.images import read_image, write_image
from ...display.results import Classification


class _PicturesHook(Hook):
    """Writes a picture of every test image.

    Args:
        out_dir: the folder of the pictures.
    """

    priority = 'VERY_LOW'

    def __init__(self, out_dir: str | Path):
        self.out_dir = Path(out_dir)

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,  # noqa: ARG002
        data_batch: Any = None,  # noqa: ARG002
        outputs: Sequence[Any] = (),
    ) -> None:
        """Draw one batch."""
        meta = runner.test_dataloader.dataset.metainfo
        for sample in outputs:
            picture = self._drawn(read_image(sample.img_path)[..., ::-1], sample, meta)
            name = self._name(Path(sample.img_path)).with_suffix('.jpg')
            write_image(picture[..., ::-1], self.out_dir / name)

    def _drawn(self, image: np.ndarray, sample: Any, meta: Mapping[str, Any]) -> np.ndarray:
        """Return the picture of an image with its prediction, both RGB."""
        raise NotImplementedError

    def _name(self, source: Path) -> Path:
        """Return where in the folder the picture of a file goes, with any suffix."""
        return Path(source.name)


@HOOKS.register_module()
class LabelPicturesHook(_PicturesHook):
    """Writes a picture of every test image: image, ground truth, prediction, and a legend.

    Args:
        out_dir: the folder; a picture has the name of its image, as ``.jpg``.
    """

    def _drawn(self, image: np.ndarray, sample: Any, meta: Mapping[str, Any]) -> np.ndarray:
        palette = palette_of(meta)
        maps = {
            title: sample.get(key).data.cpu().numpy().astype(np.int64).reshape(image.shape[:2])
            for title, key in (('ground truth', 'gt_sem_seg'), ('prediction', 'pred_sem_seg'))
            if key in sample
        }
        panels = [Panel('image', image)]
        panels += [Panel(title, paint(image, m, palette)) for title, m in maps.items()]
        return compose(panels, legend_of([*maps.values()], meta['classes'], palette))


@HOOKS.register_module()
class ClassPicturesHook(_PicturesHook):
    """Writes a picture of every test image: the image, its class, and the most likely classes.

    Args:
        out_dir: the folder; pictures have the names of class folder and image, as ``.jpg``.
    """

    def _drawn(self, image: np.ndarray, sample: Any, meta: Mapping[str, Any]) -> np.ndarray:
        classes = meta['classes']
        result = Classification(sample.pred_score.cpu().numpy(), classes, image.shape[:2])
        (label,) = sample.gt_label.tolist()
        return compose([Panel(f'is {classes[label]}', image)], result.legend(palette_of(meta)))

    def _name(self, source: Path) -> Path:
        return Path(source.parent.name, source.name)
