"""What tests of trained and of training backbones share."""

import torch
from torch import nn


def random_statistics(model):
    """Scales and BatchNorm statistics as after a training: nothing is left at 0 or 1."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    for name, parameter in model.named_parameters():
        if name.endswith('scale'):
            nn.init.uniform_(parameter, 0.3, 0.6)
    return model


def train_one_step(model, images=2):
    """Names of what one step changes, of parameters and of statistics."""
    torch.manual_seed(0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    assert model.train() is model
    loss = sum(output.square().mean() for output in model(torch.randn(images, 3, 64, 96)))
    if loss.requires_grad:  # not where all stages are frozen
        loss.backward()
    optimizer.step()
    return {key for key, value in model.state_dict().items() if not value.equal(before[key])}


def assert_same_training(ours, theirs, image):
    """Gradients and statistics of a step in float64, up to the order of summation."""
    for model in (ours, theirs):
        model.train()
        sum(output.square().mean() for output in model(image)).backward()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    for (key, one), other in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        assert one.equal(other), key
