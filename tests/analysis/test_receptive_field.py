"""Receptive fields: computed ones equal formulas and what random networks react to."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from rapidnet_mm import UserError
from rapidnet_mm.analysis.receptive_field import (
    effective_fields,
    effective_side,
    switch_blocks_on,
    theoretical_fields,
)
from rapidnet_mm.backbones.rapidnet import ARCHS, RapidNet
from rapidnet_mm.engine.config import build_model, load_config

CONFIGS = {
    'RapidNet': dict(type='RapidNet', arch='ti'),
    'ReXNet': dict(type='ReXNet'),
    'ReXNetLite': dict(type='ReXNetLite'),
    'ReXNetPlain': dict(type='ReXNetPlain'),
    'VGNet': dict(type='VGNet', arch='g_1_0mp'),
    'ResNet': dict(type='mmdet.ResNet', depth=18),
}


def backbone(config):
    cfg = load_config('configs/maskrcnn_rapidnet_ti_shapes.py')
    cfg.model.backbone = config
    torch.manual_seed(0)
    model = build_model(cfg, backbone_only=True, device='cpu')
    model.eval()
    return model


def by_formula(arch, dilation):
    """Sides in pixels: each layer adds (kernel - 1) * dilation * the stride before it."""
    field, stride, fields = 1 + 2 * 1 + 2 * 2, 4, []  # two 3x3 of stride 2
    depths = zip(arch.local_depths, arch.dilated_depths, strict=True)
    for stage, (local, dilated) in enumerate(depths):
        if stage:
            field, stride = field + 2 * stride, 2 * stride
        field += local * 2 * stride
        field += dilated * (6 + 2 * dilation + 6) * stride  # 7x7 encoding, branch, 7x7 of the FFN
        fields.append(field)
    return fields


@pytest.mark.parametrize(
    'arch', ['ti', pytest.param('b', marks=[pytest.mark.slow, pytest.mark.exhaustive])]
)
def test_rapidnet_fields_equal_the_formula(arch):
    fields = theoretical_fields(RapidNet(arch=arch).eval())
    sides = by_formula(ARCHS[arch], dilation=3)
    assert [field.theoretical for field in fields] == [(side, side) for side in sides]
    assert [field.stride for field in fields] == [4, 8, 16, 32]
    assert not any(field.gated for field in fields)


@pytest.mark.parametrize('name', sorted(CONFIGS))
def test_a_random_network_reacts_to_just_these_pixels(name):
    """Outputs up to stride 8, in float64: layers may cut some pixels off, but not in all images."""
    model = backbone(CONFIGS[name])
    fields = theoretical_fields(model)[:2]
    switch_blocks_on(model)
    images = [torch.randn(3, 192, 160, dtype=torch.float64) for _ in range(3)]
    gradients = effective_fields(model.double(), images)
    for field, gradient in zip(fields, gradients, strict=False):
        if field.gated:
            continue
        rows, columns = (np.flatnonzero(gradient.sum(axis)) for axis in (1, 0))
        seen = (int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1)
        assert seen == field.theoretical


def test_gates_are_noted_and_left_out():
    gated = [field.gated for field in theoretical_fields(backbone(CONFIGS['ReXNet']))]
    assert gated[-1]
    lite = theoretical_fields(backbone(CONFIGS['ReXNetLite']))
    assert not any(field.gated for field in lite)


@pytest.mark.slow
def test_a_static_graph_sees_the_whole_image():
    fields = theoretical_fields(backbone(dict(type='MobileViG', arch='ti')))
    assert fields[-1].theoretical == (None, None)
    assert fields[-1].text == 'whole image'
    assert None not in fields[0].theoretical


def test_dilation_widens_the_effective_field():
    """The claim of RapidNet's Figure 2, at the same number of branches."""
    sides = []
    for dilations in ((2, 3), (1, 1)):
        torch.manual_seed(0)
        branches = [dict(dilation=dilation) for dilation in dilations]
        model = RapidNet(arch='ti', branches=branches, out_indices=(2,)).eval()
        assert switch_blocks_on(model)
        (gradient,) = effective_fields(model, [torch.randn(3, 384, 384)])
        sides.append(effective_side(gradient))
    assert sides[0] > 1.3 * sides[1]


def test_the_effective_side_holds_the_share():
    y, x = np.mgrid[-50:51, -50:51]
    inside = (np.abs(y) <= 10) & (np.abs(x) <= 10)
    gradient = np.where(inside, 1.0, 0.0)
    assert effective_side(gradient, 1.0) == 21
    assert effective_side(gradient, 0.5) == 15  # 15 * 15 is the first square above half of 21 * 21
    assert effective_side(np.zeros((5, 5))) == 0


def test_attention_is_refused():
    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.MultiheadAttention(4, 1)

        def forward(self, x):
            return (x,)

    with pytest.raises(UserError, match='attention'):
        theoretical_fields(Attention())


@pytest.mark.slow
def test_the_command_prints_fields_and_writes_a_picture(tmp_path):
    config = 'configs/maskrcnn_rapidnet_ti_shapes.py'
    options = ['--size', '64', '--count', '1', '--json', '--out', str(tmp_path / 'fields.png')]
    command = [sys.executable, '-m', 'rapidnet_mm', 'receptive-field', config, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)['maskrcnn_rapidnet_ti_shapes']
    assert [output['theoretical'][0] for output in outputs] == by_formula(ARCHS['ti'], 3)
    assert Image.open(tmp_path / 'fields.png').width > 600
    wrong = subprocess.run(
        [*command, '--checkpoint', 'a', 'b'], capture_output=True, text=True, timeout=200
    )
    assert wrong.returncode == 2
    assert '2 files for 1 configs' in wrong.stderr
