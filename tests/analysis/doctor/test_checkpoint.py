"""What is wrong with a checkpoint, and how much of a model it fills."""

import pytest
import torch

from rapidnet_mm.analysis.doctor.checkpoint import checkpoint_report, tensor_findings
from rapidnet_mm.analysis.doctor.finding import BREAKS, ODD, SPOILS
from rapidnet_mm.engine.config import build_model, load_config
from tests.training import random_statistics


@pytest.fixture(scope='module')
def classifier():
    """A config, and the weights of its model as after a training."""
    cfg = load_config('imagenet/rapidnet_ti_shapes')
    return cfg, random_statistics(build_model(cfg, device='cpu')).state_dict()


@pytest.mark.parametrize(
    ('ending', 'value', 'grade', 'part'),
    [
        ('layer of 4 dimensions', float('nan'), BREAKS, 'NaN'),
        ('layer of 4 dimensions', float('inf'), BREAKS, 'NaN or infinite'),
        ('layer of 4 dimensions', 0.0, SPOILS, 'only zeros'),
        ('running_var', 1e9, SPOILS, 'variance above'),
        ('running_var', -1.0, SPOILS, 'variance below 0'),
    ],
)
def test_a_bad_tensor_is_named(classifier, ending, value, grade, part):
    state = dict(classifier[1])
    assert list(tensor_findings(state, 'x.pth')) == []
    key = next(k for k, v in state.items() if k.endswith(ending) or str(v.ndim) in ending)
    state[key] = torch.full_like(state[key], value)
    (finding,) = tensor_findings(state, 'x.pth')
    assert finding.grade == grade
    assert part in finding.what
    assert key in finding.what


def test_an_untrained_model_is_named(classifier):
    state = {
        key: torch.ones_like(value) if key.endswith('running_var') else value
        for key, value in classifier[1].items()
    }
    (finding,) = tensor_findings(state, 'x.pth')
    assert 'never trained' in finding.what


def test_a_file_that_fits_has_no_findings(classifier, tmp_path):
    cfg, state = classifier
    path = str(tmp_path / 'x.pth')
    torch.save({'state_dict': state, 'meta': {}}, path)
    facts, found = checkpoint_report(path, [cfg])
    assert found == []
    assert 'tensors loaded' in facts['fills rapidnet_ti_shapes']


def test_a_backbone_alone_is_odd_and_another_variant_breaks(classifier, tmp_path):
    cfg, state = classifier
    path = str(tmp_path / 'x.pth')
    backbone = {key: value for key, value in state.items() if key.startswith('backbone.')}
    torch.save({'state_dict': backbone}, path)
    (finding,) = checkpoint_report(path, [cfg])[1]
    assert finding.grade == ODD
    (finding,) = checkpoint_report(path, [load_config('imagenet/rapidnet_s_in1k')])[1]
    assert finding.grade == BREAKS


def test_a_file_that_is_cut_off_is_named(classifier, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(classifier[1], path)
    path.write_bytes(path.read_bytes()[:-1000])
    (finding,) = checkpoint_report(str(path))[1]
    assert finding.grade == BREAKS
    assert 'damaged' in finding.what


def test_other_classes_are_named(classifier, tmp_path):
    cfg, state = classifier
    cfg = cfg.copy()
    cfg.train_dataloader.dataset.metainfo = dict(classes=('ant', 'bee', 'cat', 'dog', 'emu'))
    path = str(tmp_path / 'x.pth')
    meta = {'dataset_meta': {'classes': ('emu', 'dog', 'cat', 'bee', 'ant')}}
    torch.save({'state_dict': state, 'meta': meta}, path)
    (finding,) = checkpoint_report(path, [cfg])[1]
    assert 'emu' in finding.what
