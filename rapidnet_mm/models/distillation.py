"""Hard distillation, as RapidNet and MobileViG were trained (DeiT, arXiv 2012.12877, Section 3).

The student's first classifier learns the labels, its second what a frozen teacher takes the same
augmented image for; both losses count half.
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
from ..weights.load import coverage_of
from ..weights.read import read_checkpoint

SHARE = 0.5  # of the teacher's loss in the whole
FETCH = (
    'python -c "import timm, torch; torch.save(timm.create_model({name!r}, pretrained=True)'
    '.state_dict(), {file!r})"'
)


class Teacher:
    """A trained classifier that is only asked: frozen, in evaluation mode, and never saved.

    It is no module, so that nothing that walks over a model (optimizer, EMA, checkpoint,
    DistributedDataParallel, ``train()``) finds it.

    Args:
        model: name of a timm model, or what builds a module from ``(N, 3, H, W)`` to logits.
        checkpoint: file of its weights, ``.pth`` or ``.safetensors``, under the module's names.
    """

    def __init__(self, model: str | Callable[[], nn.Module], checkpoint: str):
        self.model = model
        self.checkpoint = str(checkpoint)
        self.name = f'teacher {model if isinstance(model, str) else model.__name__}'
        self.network: nn.Module | None = None

    def __deepcopy__(self, memo: dict) -> Teacher:
        return self  # averaged models and the like need no teacher of their own

    def load(self) -> None:
        """Read the weights, if that has not been done.

        Raises:
            UserError: timm or the file is missing, or the file is not of this model.
        """
        if self.network is not None:
            return
        file = self.checkpoint
        if '://' not in file and not Path(file).expanduser().is_file():
            raise UserError(f'{self.name}: its weights {file} do not exist; {self._advice()}')
        network = self.model() if callable(self.model) else _from_timm(self.model)
        state = state_of(read_checkpoint(file), file)
        coverage = coverage_of(network, state)
        if not coverage.complete or coverage.unused:
            raise UserError(f'{self.name} from {file}: {coverage}; {self._advice()}')
        network.load_state_dict(state, strict=False)  # but for counters that old files lack
        print_log(f'{self.name} from {file}: {coverage}', logger='current')
        self.network = network.requires_grad_(False).eval()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits ``(N, classes)`` of normalised RGB images ``(N, 3, H, W)``."""
        self.load()
        if next(self.network.parameters()).device != images.device:
            self.network.to(images.device)
        return self.network(images)

    def _advice(self) -> str:
        fetch = ''
        if isinstance(self.model, str):
            folder = Path(self.checkpoint).parent
            first = '' if folder.is_dir() else f'mkdir -p {folder} && '
            fetch = FETCH.format(name=self.model, file=self.checkpoint)
            fetch = f'fetch them with {first}{fetch}, '
        return (
            f'{fetch}name another file in model.teacher.checkpoint, or train without a teacher: '
            '--cfg-options model.teacher=None model.head.distilled=False'
        )


def _from_timm(name: str) -> nn.Module:
    if importlib.util.find_spec('timm') is None:
        raise UserError(f'teacher {name} needs timm, which is not installed: pip install timm')
    import timm

    if not timm.is_model(name):
        raise UserError(f'teacher {name}: timm {timm.__version__} has no model of that name')
    return timm.create_model(name)


@MODELS.register_module()
class DistilledClassifier(ImageClassifier):
    """MMPretrain's ImageClassifier, taught by labels and by a teacher.

    Half of the loss is the head's own of its first classifier, with mixed and smoothed labels where
    the config has them. The other half is the cross entropy of the second classifier with the class
    that the teacher finds most likely in the same image.

    Args:
        backbone: config of the backbone.
        head: config of a head with two classifiers, ``TwoClassifierHead``.
        teacher: arguments of :class:`Teacher`, which reads its file when a training begins; testing
            needs none. It sees what the student sees: ImageNet's mean and deviation suit both. None
            trains by labels alone, as ImageClassifier does.
        neck: config of what lies between, if anything does.
        train_cfg: as MMPretrain has it: augmentations of whole batches.
        data_preprocessor: as MMPretrain has it.
        init_cfg: how to start.

    Raises:
        UserError: the head has no second classifier, or the teacher is not described.
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
        self.teacher = None if teacher is None else _described(teacher)
        second = getattr(getattr(self.head, 'classifier', None), 'distilled', None)
        if self.teacher and second is None:
            raise UserError(
                'DistilledClassifier: a teacher needs a head with a second classifier, '
                "head=dict(type='TwoClassifierHead', distilled=True, ...)"
            )

    def init_weights(self) -> None:
        """Initialise, and have the teacher read its weights: what it lacks is said now.

        Raises:
            UserError: see :meth:`Teacher.load`.
        """
        if self.teacher:
            self.teacher.load()
        super().init_weights()

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Both losses, each with its share; see the class.

        Raises:
            UserError: the teacher knows another number of classes than the head.
        """
        if self.teacher is None:
            return super().loss(inputs, data_samples)
        answers = self.teacher(inputs)
        label, distilled = self.head.classifier.both(self.extract_feat(inputs)[-1])
        if answers.shape != distilled.shape:
            raise UserError(
                f'{self.teacher.name} knows {answers.shape[1]} classes, but model.head.num_classes '
                f'is {distilled.shape[1]}'
            )
        own = self.head._get_loss(label, data_samples)['loss']
        return {
            'loss_label': (1 - SHARE) * own,
            'loss_teacher': SHARE * F.cross_entropy(distilled, answers.argmax(1)),
        }


def _described(teacher: Any) -> Teacher:
    if not isinstance(teacher, Mapping) or set(teacher) != {'model', 'checkpoint'}:
        raise UserError(
            f'DistilledClassifier: teacher={teacher!r} must be None or '
            "dict(model='regnety_160.deit_in1k', checkpoint=FILE)"
        )
    return Teacher(**teacher)
