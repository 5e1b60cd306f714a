"""Hard distillation, as RapidNet and MobileViG were trained (DeiT, arXiv 2012.12877, Section 3).

A frozen teacher classifies the augmented images. The student's first classifier learns the labels,
the second learns the teacher's predictions. Each loss has half of the weight.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.registry import MODELS
from mmpretrain.models.classifiers import ImageClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UserError
from ..weights.content import state_of
from ..weights.known import entry_of
from ..weights.load import coverage_of
from ..weights.locate import local_path, locate
from ..weights.read import read_checkpoint

SHARE = 0.5  # part of the loss that comes from the teacher
WITHOUT = 'train without a teacher: --cfg-options model.teacher=None model.head.distilled=False'
FETCH = (
    'python -c "import timm, torch; torch.save(timm.create_model({name!r}, pretrained=True)'
    '.state_dict(), {file!r})"'
)


class Teacher:
    """A trained classifier that only predicts: frozen, in evaluation mode, and never saved.

    It is no nn.Module, so that code that goes through all modules does not find it: optimizer, EMA,
    checkpoint, DistributedDataParallel, ``train()``.

    Args:
        model: name of a timm model, or a function that builds a module from ``(N, 3, H, W)`` to
            logits.
        checkpoint: its weights, with the names of the module: a file, or another source for
            :func:`~rapidnet_mm.weights.locate.locate`, such as 'regnety_160'.
    """

    def __init__(self, model: str | Callable[[], nn.Module], checkpoint: str):
        self.model = model
        self.checkpoint = str(checkpoint)
        self.name = f'teacher {model if isinstance(model, str) else model.__name__}'
        self.network: nn.Module | None = None

    def __deepcopy__(self, memo: dict) -> Teacher:
        return self  # copies of the student, such as averaged models, share the teacher

    def load(self) -> None:
        """Read the weights, at the first call only.

        Raises:
            UserError: timm or the file is missing, or the file belongs to another model.
        """
        if self.network is not None:
            return
        file = self.checkpoint
        is_path = '://' not in file and entry_of(file) is None
        if is_path and not local_path(file).is_file():
            raise UserError(f'{self.name}: its weights {file} do not exist; {self._advice()}')
        try:
            locate(file)
        except UserError as error:
            raise UserError(f'{self.name}: {error}; or {WITHOUT}') from error
        network = self.model() if callable(self.model) else _from_timm(self.model)
        state = state_of(read_checkpoint(file), file)
        coverage = coverage_of(network, state)
        if not coverage.complete or coverage.unused:
            raise UserError(f'{self.name} from {file}: {coverage}; {self._advice()}')
        network.load_state_dict(state, strict=False)  # old files lack BatchNorm's counters
        print_log(f'{self.name} from {file}: {coverage}', logger='current')
        self.network = network.requires_grad_(False).eval()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` for normalised RGB images ``(N, 3, H, W)``."""
        self.load()
        if next(self.network.parameters()).device != images.device:
            self.network.to(images.device)
        return self.network(images)

    def _advice(self) -> str:
        advice = f'name another file in model.teacher.checkpoint, or {WITHOUT}'
        if not isinstance(self.model, str):
            return advice
        command = FETCH.format(name=self.model, file=self.checkpoint)
        folder = Path(self.checkpoint).parent
        if not folder.is_dir():
            command = f'mkdir -p {folder} && {command}'
        return f'fetch them with {command}, {advice}'


def _from_timm(name: str) -> nn.Module:
    if importlib.util.find_spec('timm') is None:
        raise UserError(f'teacher {name} needs timm, which is not installed: pip install timm')
    import timm

    if not timm.is_model(name):
        raise UserError(f'teacher {name}: timm {timm.__version__} has no model of that name')
    return timm.create_model(name)


@MODELS.register_module()
class DistilledClassifier(ImageClassifier):
    """MMPretrain's ImageClassifier that learns from labels and from a teacher.

    Half of the loss is the head's loss of the first classifier, on mixed and smoothed labels if the
    config has them. The other half is the cross entropy of the second classifier with the class
    that the teacher predicts for the same image.

    Example:
        >>> model = DistilledClassifier(
        ...     backbone=dict(type='RapidNet', arch='ti', out_indices=(3,)),
        ...     head=dict(type='TwoClassifierHead', in_channels=224, num_classes=5),
        ...     teacher=dict(model='regnety_160.deit_in1k', checkpoint='regnety_160.pth'),
        ... )  # the teacher's file is read by init_weights()
        >>> tuple(model(torch.rand(2, 3, 64, 96)).shape)
        (2, 5)

    Args:
        backbone: config of the backbone.
        head: config of a head with two classifiers, ``TwoClassifierHead``.
        teacher: arguments of :class:`Teacher`; it reads its file when a training begins, and
            testing does not need it. It gets the student's images, so its weights must expect
            ImageNet's mean and deviation. None trains with labels only, as ImageClassifier does.
        neck: config of the layers between backbone and head, if there are any.
        train_cfg: as in MMPretrain: augmentations of whole batches.
        data_preprocessor: as in MMPretrain.
        init_cfg: how weights start, as in MMEngine.

    Raises:
        UserError: the head has no second classifier, or ``teacher`` lacks an argument.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        teacher: Mapping[str, Any] | None,
        neck: dict | None = None,
        train_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(
            backbone,
            neck,
            head,
            train_cfg=train_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.teacher = None if teacher is None else _checked_teacher(teacher)
        second = getattr(getattr(self.head, 'classifier', None), 'distilled', None)
        if self.teacher and second is None:
            raise UserError(
                'DistilledClassifier: a teacher needs a head with a second classifier, '
                "head=dict(type='TwoClassifierHead', distilled=True, ...)"
            )

    def init_weights(self) -> None:
        """Read the weights of the teacher, then initialise: a missing file is an error at once.

        Raises:
            UserError: see :meth:`Teacher.load`.
        """
        if self.teacher:
            self.teacher.load()
        super().init_weights()

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Return both losses, scalars, each multiplied by its share, for images ``(N, 3, H, W)``.

        Raises:
            UserError: the teacher has another number of classes than the head.
        """
        if self.teacher is None:
            return super().loss(inputs, data_samples)
        predictions = self.teacher(inputs)
        label, distilled = self.head.classifier.both(self.extract_feat(inputs)[-1])
        if predictions.shape != distilled.shape:
            raise UserError(
                f'{self.teacher.name} knows {predictions.shape[1]} classes, but '
                f'model.head.num_classes is {distilled.shape[1]}'
            )
        loss = self.head._get_loss(label, data_samples)['loss']
        return {
            'loss_label': (1 - SHARE) * loss,
            'loss_teacher': SHARE * F.cross_entropy(distilled, predictions.argmax(1)),
        }


def _checked_teacher(teacher: Any) -> Teacher:
    if not isinstance(teacher, Mapping) or set(teacher) != {'model', 'checkpoint'}:
        raise UserError(
            f'DistilledClassifier: teacher={teacher!r} must be None or '
            "dict(model='regnety_160.deit_in1k', checkpoint=FILE)"
        )
    return Teacher(**teacher)
