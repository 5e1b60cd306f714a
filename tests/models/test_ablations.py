"""Every ablation of the papers has an ImageNet config that trains."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

from rapidnet_mm.analysis.papers import ROWS
from rapidnet_mm.backbones.layers import DeformableConv

FOLDER = Path(__file__).parents[2] / 'configs/imagenet'
# Config, the row of papers.py that it is, and what of the network differs.
ABLATIONS = {
    'rapidnet_ti_pointwise': 'RapidNet-Ti: pointwise',
    'rapidnet_ti_conv3x3': 'RapidNet-Ti: 3x3',
    'rapidnet_ti_sldc': 'RapidNet-Ti: SLDC',
    'rapidnet_ti_sldc_cpe': 'RapidNet-Ti: SLDC, CPE',
    'rapidnet_ti_sldc_cpe_lkffn': 'RapidNet-Ti: SLDC, CPE, large kernels',
    'rapidnet_ti_dilations34': 'RapidNet-Ti: dilations 3 and 4',
    'rapidnet_ti_5x5': 'RapidNet-Ti: one branch 5x5',
    'rapidnet_ti_deformable': 'RapidNet-Ti: one deformable branch',
    'rexnet_100_relu6': 'ReXNet x1.0 with ReLU6',
    'rexnet_100_leaky_relu': 'ReXNet x1.0 with LeakyReLU',
    'rexnet_100_softplus': 'ReXNet x1.0 with Softplus',
    'rexnet_100_elu': 'ReXNet x1.0 with ELU',
}
NODISTILL = ('rapidnet_ti_in1k_nodistill', 'mobilevig_ti_in1k_nodistill')
CONFIGS = [*(f'{name}_in1k' for name in ABLATIONS), *NODISTILL]


def load(name):
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('name', CONFIGS)
def test_a_training_step_changes_every_parameter(name):
    torch.manual_seed(0)
    model = load(name).model
    if model.type == 'DistilledClassifier':  # its teacher is a file that tests do not have
        assert model.teacher
        model.teacher, model.head.distilled = None, False
    model = MODELS.build(model).train()
    images = torch.randn(2, 3, 64, 64)
    samples = [DataSample().set_gt_label(label) for label in (3, 999)]
    loss = model.loss(images, samples)['loss']
    loss.backward()
    assert loss.isfinite()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize('name', ABLATIONS)
def test_the_config_builds_the_network_of_the_published_row(name):
    (row,) = [row for row in ROWS if row.model == ABLATIONS[name]]
    backbone = load(f'{name}_in1k').model.backbone.to_dict()
    with torch.device('meta'):
        ours, published = (MODELS.build({**cfg, 'out_indices': backbone['out_indices']})
                           for cfg in (backbone, dict(row.build)))  # fmt: skip
    # All that a layer is: kernels, dilations, activations.
    assert str(ours) == str(published)


def test_all_of_the_recipe_but_the_network_is_that_of_the_full_model():
    for name in ABLATIONS:
        ours, full = load(f'{name}_in1k'), load(f'{name[: name.index("_", 9)]}_in1k')
        assert ours.model.backbone != full.model.backbone
        ours.model.backbone = full.model.backbone
        assert ours.to_dict() == full.to_dict(), name


def test_the_deformable_branch_has_no_dilation_and_stands_beside_one_dilated():
    backbone = load('rapidnet_ti_deformable_in1k').model.backbone
    with torch.device('meta'):
        block = MODELS.build(backbone).stages[3][-1].mixer.branch
    plain, deformable = (branch.conv for branch in block.branches)
    assert plain.dilation == (2, 2)
    assert isinstance(deformable, DeformableConv)
    assert (deformable.kernel_size, deformable.dilation) == ((3, 3), (1, 1))
