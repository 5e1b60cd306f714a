"""The metrics of the model itself beside those of its average."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from torch import nn

from rapidnet_mm.engine.hooks.unaveraged import UnaveragedMetricsHook

pytestmark = pytest.mark.openmmlab


class Model(nn.Linear):
    """Answers every batch with its weight."""

    def val_step(self, batch):
        assert not self.training
        assert not torch.is_grad_enabled()
        return batch * self.weight.item()


class Mean:
    """An evaluator: the mean of what it got."""

    def __init__(self):
        self.values = []

    def process(self, data_samples, data_batch):
        assert data_batch
        self.values.append(data_samples)

    def evaluate(self, size):
        values, self.values = self.values, []
        return {'score': sum(values) / size}


def run(hooks):
    """Validate as MMEngine's loop does; the metrics that the hooks leave, and the scalars."""
    scalars, loader = {}, SimpleNamespace(dataset=[1.0, 3.0])
    loader = type('Loader', (list,), {'dataset': loader.dataset})(loader.dataset)
    loop = SimpleNamespace(dataloader=loader, evaluator=Mean())
    hub = SimpleNamespace(update_scalar=scalars.__setitem__)
    model = Model(1, 1, bias=False)
    runner = SimpleNamespace(model=model, val_loop=loop, message_hub=hub, hooks=hooks)
    nn.init.constant_(model.weight, 10.0)
    for hook in hooks:
        hook.before_run(runner)
    nn.init.constant_(model.weight, 20.0)  # the average is still 10
    for hook in hooks:
        hook.before_val_epoch(runner)
    model.eval()
    with torch.no_grad():
        for batch in loader:
            loop.evaluator.process(model.val_step(batch), batch)
    metrics = loop.evaluator.evaluate(2)
    for hook in hooks:
        hook.after_val_epoch(runner, metrics)
    assert model.weight.item() == 20.0
    return metrics, scalars


def test_both_the_average_and_the_model_itself_are_measured():
    metrics, scalars = run([EMAHook(), UnaveragedMetricsHook()])
    assert metrics == {'score': 20.0, 'model/score': 40.0}
    assert scalars == {'val/model/score': 40.0}


def test_without_an_average_nothing_is_measured_twice():
    metrics, scalars = run([UnaveragedMetricsHook()])
    assert metrics == {'score': 40.0}
    assert not scalars
