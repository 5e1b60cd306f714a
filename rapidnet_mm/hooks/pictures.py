"""Pictures of what models predict, beside what is right: label maps, and classes of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class LabelPicturesHook(Hook):
    """Leaves a picture of every test image: image, ground truth, prediction, and a legend.

    Args:
        out_dir: the folder; a picture has the name of its image, as ``.jpg``.
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
        from ..images import read_image, write_image  # which need the hooks
        from ..pictures import Panel, compose, legend_of, paint, palette_of

        meta = runner.test_dataloader.dataset.metainfo
        palette = palette_of(meta)
        for sample in outputs:
            image = read_image(sample.img_path)[..., ::-1]
            maps = {
                title: sample.get(key).data.cpu().numpy().astype(np.int64).reshape(image.shape[:2])
                for title, key in (('ground truth', 'gt_sem_seg'), ('prediction', 'pred_sem_seg'))
                if key in sample
            }
            panels = [Panel('image', image)]
            panels += [Panel(title, paint(image, m, palette)) for title, m in maps.items()]
            legend = legend_of([*maps.values()], meta['classes'], palette)
            name = Path(sample.img_path).with_suffix('.jpg').name
            write_image(compose(panels, legend)[..., ::-1], self.out_dir / name)


@HOOKS.register_module()
class ClassPicturesHook(Hook):
    """Leaves a picture of every test image: the image, its class, and the most likely ones.

    Args:
        out_dir: the folder; pictures have the names of class folder and image, as ``.jpg``.
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
        from ..images import read_image, write_image  # which need the hooks
        from ..pictures import Panel, compose, palette_of
        from ..results import Classification

        meta = runner.test_dataloader.dataset.metainfo
        classes, palette = meta['classes'], palette_of(meta)
        for sample in outputs:
            image = read_image(sample.img_path)[..., ::-1]
            scores = sample.pred_score.cpu().numpy()
            found = Classification(scores, classes, image.shape[:2])
            colours = [palette[label] for label in found.labels]
            legend = list(zip(found.legend(), colours, strict=True))
            (label,) = sample.gt_label.tolist()
            picture = compose([Panel(f'is {classes[label]}', image)], legend)
            source = Path(sample.img_path)
            target = self.out_dir / source.parent.name / source.with_suffix('.jpg').name
            write_image(picture[..., ::-1], target)
