"""Pictures of predictions beside the ground truth: of boxes, label maps and classified images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, VISUALIZERS

from ...display.drawing import Panel, compose, legend_of, paint, palette_of
from ...display.images import picture_name, read_image, write_image
from ...display.results import Classification
from ...errors import UserError
from ...files import is_foreign, same_name


class _PicturesHook(Hook):
    """Writes a picture of every test image, with the name of the image.

    If two images have the same name, the pictures go to folders like those of the images.

    Args:
        out_dir: the folder of the pictures.
    """

    priority = 'VERY_LOW'

    def __init__(self, out_dir: str | Path):
        self.out_dir = Path(out_dir)
        self._names: dict[str, Path] = {}

    def before_test(self, runner: Any) -> None:
        """Choose the names of the pictures.

        Raises:
            UserError: a picture would replace a file that no command of ours has written.
        """
        dataset = runner.test_dataloader.dataset
        infos = map(dataset.get_data_info, range(len(dataset)))
        self._names = self._names_of(dict.fromkeys(info['img_path'] for info in infos))
        pictures = [self.out_dir / name for name in self._names.values()]
        if foreign := next(filter(is_foreign, pictures), None):
            raise UserError(
                f'--show-dir {self.out_dir}: {foreign.relative_to(self.out_dir)} is there already '
                'and this command has not written it; choose another folder'
            )

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
            name = self._names.get(sample.img_path) or self._name(Path(sample.img_path))
            write_image(picture[..., ::-1], self.out_dir / name)

    def _names_of(self, sources: Iterable[str]) -> dict[str, Path]:
        """Return the paths of the pictures of all images, relative to the folder."""
        paths = {source: Path(source) for source in sources}
        names = {source: self._name(path) for source, path in paths.items()}
        if same_name(names.values(), self.out_dir) is None:
            return names
        root = os.path.commonpath([path.parent for path in paths.values()])
        names = {source: path.relative_to(root) for source, path in paths.items()}
        names = {source: name.with_name(f'{name.name}.jpg') for source, name in names.items()}
        if twice := same_name(names.values(), self.out_dir):
            raise UserError(f'--show-dir {self.out_dir}: two images would have the picture {twice}')
        return names

    def _drawn(self, image: np.ndarray, sample: Any, meta: Mapping[str, Any]) -> np.ndarray:
        """Return the picture of an image with its prediction, both RGB."""
        raise NotImplementedError

    def _name(self, source: Path) -> Path:
        """Return the path of the picture of an image, relative to the folder."""
        return Path(source.name).with_suffix('.jpg')


@HOOKS.register_module()
class DetectionPicturesHook(_PicturesHook):
    """Writes a picture of every test image: ground truth on the left, prediction on the right.

    Args:
        out_dir: the folder; a picture has the name of its image.
        score_thr: the least score of the detections to draw.
    """

    def __init__(self, out_dir: str | Path, score_thr: float = 0.3):
        super().__init__(out_dir)
        self.score_thr = score_thr
        self._visualizer: Any = None

    def before_test(self, runner: Any) -> None:
        """Choose the names, and build the visualizer."""
        super().before_test(runner)
        # The runner's own visualizer would also write each picture to the logs.
        config = {**runner.cfg.visualizer, 'vis_backends': None, 'name': f'in {self.out_dir}'}
        self._visualizer = VISUALIZERS.build(config)
        self._visualizer.dataset_meta = runner.test_dataloader.dataset.metainfo

    def _drawn(self, image: np.ndarray, sample: Any, meta: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG002
        self._visualizer.add_datasample('image', image, sample, pred_score_thr=self.score_thr)
        return self._visualizer.get_image()

    def _name(self, source: Path) -> Path:
        return picture_name(Path(source.name))


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
        return Path(source.parent.name, source.name).with_suffix('.jpg')
