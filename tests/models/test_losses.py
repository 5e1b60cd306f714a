import numpy as np
import pytest
import torch
from mmengine.registry import MODELS

from rapidnet_mm.models import WeightedCrossEntropy

pytestmark = pytest.mark.openmmlab


def case():
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(2, 4, 5, 6, generator=generator, requires_grad=True)
    label = torch.randint(0, 4, (2, 5, 6), generator=generator)
    label[:, 0] = 255
    return score, label


@pytest.mark.parametrize('weights', [None, [0.2, 1.0, 3.0, 0.5]])
def test_the_loss_is_the_mean_over_labelled_pixels_by_the_weight_of_their_class(weights):
    score, label = case()
    logits = score.detach().numpy().astype(np.float64).transpose(0, 2, 3, 1).reshape(-1, 4)
    total = norm = 0.0
    for row, target in zip(logits, label.ravel().tolist(), strict=True):
        if target != 255:
            share = weights[target] if weights else 1.0
            total += share * (np.log(np.exp(row).sum()) - row[target])
            norm += share
    found = WeightedCrossEntropy(weights, loss_weight=2.0)(score, label)
    assert found.item() == pytest.approx(2 * total / norm, rel=1e-6)


def test_a_batch_without_a_labelled_pixel_costs_nothing():
    score, label = case()
    loss = WeightedCrossEntropy([1.0, 2.0, 1.0, 1.0])(score, torch.full_like(label, 255))
    loss.backward()
    assert loss.item() == 0
    assert score.grad.eq(0).all()


def test_it_can_be_named_in_a_config_and_leaves_nothing_in_checkpoints():
    made = MODELS.build(dict(type='WeightedCrossEntropy', class_weight=[1.0, 2.0]))
    assert made.loss_name == 'loss_ce'
    assert not made.state_dict()
