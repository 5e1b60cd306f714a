import copy

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn import functional as F

from rapidnet_mm.models.distillation import DistilledClassifier, Teacher
from rapidnet_mm.weights.known import KNOWN
from tests.messages import assert_says, refusal
from tests.server import serving

CLASSES = 4


class Small(nn.Sequential):
    """A teacher with BatchNorm and dropout, which would show if it were in training mode."""

    def __init__(self, classes=CLASSES):
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(8, classes),
        )


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save({'model': Small().state_dict()}, path)
    return str(path)


def student(weights, teacher=Small, **head):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    loss = dict(type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=CLASSES, mode='original')
    return MODELS.build(
        dict(
            type='DistilledClassifier',
            backbone=dict(type='RapidNet', arch='ti', out_indices=(3,), drop_path_rate=0.0),
            head=dict(
                type='TwoClassifierHead',
                in_channels=224,
                hidden_channels=16,
                num_classes=CLASSES,
                loss=loss,
                **head,
            ),
            data_preprocessor=dict(num_classes=CLASSES),
            train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8)]),
            teacher=None if teacher is None else dict(model=teacher, checkpoint=weights),
        )
    )


def batch():
    """Images and targets as mixing leaves them."""
    torch.manual_seed(2)
    scores = torch.softmax(torch.randn(3, CLASSES), 1)
    return torch.randn(3, 3, 64, 96), [DataSample().set_gt_score(score) for score in scores]


@pytest.fixture(scope='module')
def model(weights):
    found = student(weights)
    found.init_weights()
    return found.train()


def test_the_loss_is_half_labels_and_half_what_the_teacher_finds_most_likely(model):
    images, samples = batch()
    losses = model.loss(images, samples)
    label, distilled = model.head.classifier.both(model.extract_feat(images)[-1])
    targets = torch.stack([sample.gt_score for sample in samples]) * 0.9 + 0.1 / CLASSES
    own = -(targets * F.log_softmax(label, 1)).sum(1).mean()
    taught = F.cross_entropy(distilled, model.teacher.network(images).argmax(1))
    torch.testing.assert_close(losses['loss_label'], own / 2)
    torch.testing.assert_close(losses['loss_teacher'], taught / 2)
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, (own + taught) / 2)


def test_both_classifiers_learn_and_are_averaged_at_inference(model):
    images, samples = batch()
    model.zero_grad()
    model.parse_losses(model.loss(images, samples))[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    model.eval()
    label, distilled = model.head.classifier.both(model.extract_feat(images)[-1])
    torch.testing.assert_close(model(images), (label + distilled) / 2)
    model.train()


def test_the_teacher_is_frozen_in_evaluation_mode_and_without_gradients(model):
    network = model.teacher.network
    before = copy.deepcopy(network.state_dict())
    images, samples = batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.5)
    model.train()
    model.parse_losses(model.loss(images, samples))[0].backward()
    optimizer.step()
    assert not any(module.training for module in network.modules())
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())
    for key, value in network.state_dict().items():
        assert value.equal(before[key]), key


def test_nothing_that_walks_over_a_model_finds_the_teacher(model):
    inside = {id(p) for p in model.teacher.network.parameters()}
    assert inside.isdisjoint(map(id, model.parameters()))
    assert not [key for key in model.state_dict() if 'teacher' in key]
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1)))
    given = {id(p) for group in wrapper.param_groups for p in group['params']}
    assert given.isdisjoint(inside)
    hook = EMAHook()
    hook.before_run(type('Runner', (), dict(model=model))())
    assert not [key for key in hook.ema_model.state_dict() if 'teacher' in key]
    assert hook.ema_model.module.teacher is model.teacher  # not a second one in memory


@pytest.mark.parametrize(
    ('name', 'said'),
    [('resnet18', ('mkdir -p no && python', 'timm.create_model', 'resnet18')), (Small, ())],
)
def test_a_missing_file_is_a_line_before_training_and_testing_needs_none(name, said):
    found = student('no/teacher.pth', name)
    found.eval()(torch.randn(1, 3, 64, 96))
    line = refusal(found.init_weights)
    assert_says(line, 'teacher', 'no/teacher.pth do not exist', 'model.teacher=None', *said)


def test_a_teacher_by_name_is_looked_for_and_a_line_says_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    found = student('regnety_160', Small)
    with serving() as site:
        entry = KNOWN['regnety_160']._replace(place=f'{site.url}/teacher.pth', sha256='')
        monkeypatch.setitem(KNOWN, 'regnety_160', entry)
        line = refusal(found.init_weights)
        assert_says(line, 'teacher', 'checkpoints/', site.url, '404', 'model.teacher=None')
        torch.save({'model': Small().state_dict()}, tmp_path / 'x.pth')
        site.files['/teacher.pth'] = (tmp_path / 'x.pth').read_bytes()
        found.init_weights()
    assert found.teacher.network is not None


def test_a_file_of_another_teacher_is_a_line(tmp_path):
    torch.save(Small(7).state_dict(), tmp_path / 'x.pth')
    found = student(tmp_path / 'x.pth')
    assert_says(refusal(found.init_weights), 'x.pth', '2 of another shape')
    other = student(tmp_path / 'x.pth', lambda: Small(7))
    images, samples = batch()
    assert_says(refusal(other.loss, images, samples), 'knows 7 classes', 'num_classes is 4')


def test_a_timm_model_is_built_by_name_and_without_timm_there_is_a_line(tmp_path, monkeypatch):
    timm = pytest.importorskip('timm')
    file = tmp_path / 'teacher.pth'
    torch.save(timm.create_model('test_resnet').state_dict(), file)
    teacher = Teacher('test_resnet', file)
    assert teacher(torch.randn(1, 3, 64, 64)).shape == (1, 1000)
    assert_says(refusal(Teacher('test_resnett', file).load), 'no model of that name')
    monkeypatch.setattr('importlib.util.find_spec', lambda _: None)
    assert_says(refusal(Teacher('test_resnet', file).load), 'needs timm', 'pip install timm')


def test_without_a_teacher_labels_alone_are_learned():
    found = student('', None, distilled=False)
    losses = found.loss(*batch())
    assert set(losses) == {'loss'}
    losses['loss'].backward()
    for name, parameter in found.named_parameters():
        assert parameter.grad is not None, name


def test_what_a_teacher_needs_is_said(weights):
    assert_says(refusal(lambda: student(weights, distilled=False)), 'second classifier')
    cfg = dict(type='RapidNet', arch='ti', out_indices=(3,))
    head = dict(type='TwoClassifierHead', in_channels=224, num_classes=CLASSES)
    line = refusal(lambda: DistilledClassifier(cfg, head, teacher=dict(model='x')))
    assert_says(line, "teacher={'model': 'x'}", 'checkpoint=FILE')
