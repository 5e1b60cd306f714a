"""Weights and inputs by formula, so that published implementations can be compared without theirs.

Every tensor depends on its published name and shape alone. The numbers in ``tests/recorded`` were
recorded from the published implementations with these weights and this input, in float64.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from rapidnet_mm.analysis.papers import Figure
from rapidnet_mm.backbones import MobileViG, TappedBackbone, VGNet
from rapidnet_mm.models.classifiers import HiddenClassifier, LinearClassifier, TwoClassifiers
from rapidnet_mm.weights.names import CLASSIFIER
from rapidnet_mm.weights.translate import to_ours

DATA = Path(__file__).parent / 'recorded'


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


def equals_printed(count, printed):
    """Whether a count is the printed one, to the digits that are printed: '5.64 M', '997,358'."""
    figure = Figure(printed)
    return abs(count - figure.value) <= figure.allowed


def recorded(name):
    """Numbers recorded from a published implementation."""
    return json.loads((DATA / name).read_text())


def published_state(model, table):
    """A state dict as the published implementation writes it, filled by formula."""
    names = {table.to_published(key): value.shape for key, value in model.state_dict().items()}
    assert None not in names, 'a parameter of ours is missing in the name table'
    return {name: fill(name, tuple(shape)) for name, shape in names.items()}


def logits(classifier, state, x):
    """Of one of our classifiers with the head of a published file, from the backbone's last map."""
    head = to_ours(state).head.values()
    classifier.double().eval()
    classifier.load_state_dict({name.removeprefix(CLASSIFIER): value for name, value in head})
    return classifier(x)


REXNET_CLASSIFIERS = {'ReXNet': LinearClassifier, 'ReXNetLite': HiddenClassifier}


def rexnet_outputs(family, state, image):
    """Every map that was recorded of a ReXNet, and the logits, from its published weights."""
    config = dict(type=family, out_indices=(0, 1, 2, 3, 4))
    model = TappedBackbone(config, taps=['stages.3.0.expand']).double().eval()
    model.backbone.load_state_dict(to_ours(state)[0])
    names = ('block2', 'block4', 'block10', 'block15', 'penultimate_s32')
    maps = dict(zip(names, model.backbone(image), strict=True))
    return maps | {
        'expand_s16': model(image)[0],
        'logits': logits(REXNET_CLASSIFIERS[family](1280), state, maps['penultimate_s32']),
    }


def mobilevig_outputs(arch, state, image):
    """Every map that was recorded of a MobileViG, and the logits, from its published weights."""
    model = MobileViG(arch).double().eval()
    model.load_state_dict(to_ours(state)[0])
    maps = {f'stage{index}': output for index, output in enumerate(model(image))}
    return maps | {'logits': logits(TwoClassifiers(256), state, maps['stage3'])}


def vgnet_outputs(arch, state, image, version='paper'):
    """Every stage of a VGNet and the logits, from its published weights."""
    model = VGNet(arch, version=version).double().eval()
    model.load_state_dict(to_ours(state).state)
    with torch.no_grad():
        maps = model(image)
    return {f'stage{index}': output for index, output in enumerate(maps, 1)} | {
        'logits': logits(LinearClassifier(maps[-1].shape[1]), state, maps[-1])
    }


def assert_equals_recorded(output, expected, rtol=1e-9):
    """One map against its recorded shape, mean, spread and samples."""
    assert list(output.shape) == expected['shape']
    flat = output.detach().double().flatten()
    atol = rtol * expected['absmax']
    assert abs(flat.mean().item() - expected['mean']) < atol
    assert abs(flat.std().item() - expected['std']) < atol
    for index, value in expected['samples'].items():
        assert abs(flat[int(index)].item() - value) < atol
