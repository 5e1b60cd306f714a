"""A hook that tests a model in its inference form and times both forms."""

from __future__ import annotations

import copy

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ...deploy.fuse import to_inference
from ...engine.runner import unwrapped
from .prediction import FUSED, PLAIN
from .timing import Speed, bind, in_turns

TEST_PASSES = 5  # how often each form is timed before the test


class InferenceForm(Hook):
    """Tests a model in its inference form, and logs how fast both forms are."""

    def before_test_epoch(self, runner: Runner) -> None:
        """Replace the model by its inference form, after the hooks that change weights."""
        self._trained = unwrapped(runner.model)
        self._trained.eval()
        fused = to_inference(self._trained)
        loader = runner.test_dataloader
        data = loader.collate_fn([loader.dataset[0]])

        def predict(model: nn.Module) -> None:
            _replace_network(runner, model)
            with torch.inference_mode():
                runner.model.test_step(copy.deepcopy(data))  # test_step changes its input

        calls = [bind(predict, model) for model in (self._trained, fused)]
        plain, faster = (Speed(s, 1).median * 1000 for s in in_turns(calls, TEST_PASSES))
        runner.logger.info(
            f'one test image, processing included: {PLAIN} {plain:.1f} ms, {FUSED} {faster:.1f} '
            f'ms, {plain / faster:.2f} times as fast (median of {TEST_PASSES}, in turns)'
        )
        _replace_network(runner, fused)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:  # noqa: ARG002
        """Put the trained model back."""
        _replace_network(runner, self._trained)


def _replace_network(runner: Runner, model: nn.Module) -> None:
    """Exchange the network inside the wrappers that distribute it or merge its predictions."""
    wrapper, inner = None, runner.model
    while inner is not unwrapped(inner):
        wrapper, inner = inner, inner.module
    if wrapper is None:
        runner.model = model
    else:
        wrapper.module = model
