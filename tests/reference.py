"""Weights and inputs by formula, so that published implementations can be compared without theirs.

Every tensor depends on its published name and shape alone. The numbers under ``tests/data`` were
recorded from the published implementations with these weights and this input, in float64.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from rapidnet_mm.backbones import MobileViG, TappedBackbone
from rapidnet_mm.checkpoints import to_ours

DATA = Path(__file__).parent / 'data'


def fill(key, shape):
    """The tensor that a published parameter of this name and shape gets."""
    wave = np.sin(np.arange(math.prod(shape)) * 0.7390851 + zlib.crc32(key.encode()) % 10_000)
    if key.endswith('num_batches_tracked'):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith('running_var'):
        values = 1.0 + 0.5 * wave**2
    elif key.endswith(('running_mean', 'bias')):
        values = 0.1 * wave
    elif 'layer_scale' in key:
        values = 0.5 + 0.2 * wave
    elif len(shape) == 1:
        values = 1.0 + 0.2 * wave
    else:
        values = wave * math.sqrt(2.0 / math.prod(shape[1:]))
    return torch.from_numpy(values.reshape(shape))


def reference_input(shape=(2, 3, 96, 64)):
    """The input of every reference run: (N, C, H, W), not square, float64."""
    return torch.from_numpy(
        (1.5 * np.sin(np.arange(math.prod(shape)) * 0.0131 + 0.5)).reshape(shape)
    )


def recorded(name):
    """Numbers recorded from a published implementation."""
    return json.loads((DATA / name).read_text())


def published_state(model, table):
    """A state dict as the published implementation writes it, filled by formula."""
    names = {table.to_published(key): value.shape for key, value in model.state_dict().items()}
    assert None not in names, 'a parameter of ours is missing in the name table'
    return {name: fill(name, tuple(shape)) for name, shape in names.items()}


def rexnet_outputs(family, state, image):
    """Every map that was recorded of a ReXNet, and the logits, from its published weights."""
    config = dict(type=family, out_indices=(0, 1, 2, 3, 4))
    model = TappedBackbone(config, taps=['stages.3.0.expand']).double().eval()
    model.backbone.load_state_dict(to_ours(state)[0])
    names = ('block2', 'block4', 'block10', 'block15', 'penultimate_s32')
    maps = dict(zip(names, model.backbone(image), strict=True))
    return maps | {
        'expand_s16': model(image)[0],
        'logits': _rexnet_classifier(maps['penultimate_s32'], state),
    }


def _rexnet_classifier(x, state):
    def convolved(x, name):
        return F.conv2d(x, state[f'output.{name}.weight'], state[f'output.{name}.bias'])

    x = x.mean((2, 3), keepdim=True)
    if 'output.4.weight' not in state:
        return convolved(x, 1).flatten(1)
    norm = [state[f'output.1.{part}'] for part in ('running_mean', 'running_var', 'weight', 'bias')]
    return convolved(F.relu6(F.batch_norm(convolved(x, 0), *norm)), 4).flatten(1)  # ReXNet-lite


def mobilevig_outputs(arch, state, image):
    """Every map that was recorded of a MobileViG, and the logits, from its published weights."""
    model = MobileViG(arch).double().eval()
    model.load_state_dict(to_ours(state)[0])
    maps = {f'stage{index}': output for index, output in enumerate(model(image))}
    return maps | {'logits': _two_classifiers(maps['stage3'], state)}


def _two_classifiers(x, state):
    """Pool, 1x1, BatchNorm, GELU, and the mean of the classifiers of label and distillation."""
    names = ('running_mean', 'running_var', 'weight', 'bias')
    norm = [state[f'prediction.2.{name}'] for name in names]
    x = x.mean((2, 3), keepdim=True)
    x = F.conv2d(x, state['prediction.1.weight'], state['prediction.1.bias'])
    x = F.gelu(F.batch_norm(x, *norm))
    heads = ('head', 'dist_head')
    labels = [F.conv2d(x, state[f'{name}.weight'], state[f'{name}.bias']) for name in heads]
    return sum(labels).flatten(1) / 2


def assert_equals_recorded(output, expected, rtol=1e-9):
    """One map against its recorded shape, mean, spread and samples."""
    assert list(output.shape) == expected['shape']
    flat = output.detach().double().flatten()
    atol = rtol * expected['absmax']
    assert abs(flat.mean().item() - expected['mean']) < atol
    assert abs(flat.std().item() - expected['std']) < atol
    for index, value in expected['samples'].items():
        assert abs(flat[int(index)].item() - value) < atol
