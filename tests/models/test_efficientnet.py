import pytest
import timm
import torch
from mmengine.registry import MODELS
from safetensors.torch import save_file
from torch import nn

from rapidnet_mm import UserError
from rapidnet_mm.backbones import TappedBackbone
from rapidnet_mm.models import TFEfficientNet
from rapidnet_mm.models.efficientnet import ARCHS
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.translate import to_ours
from tests.checkpoints import fill_from
from tests.messages import assert_says, refusal
from tests.training import random_statistics

# Of the published classifiers, with 1000 classes: 5.3, 7.8 and 9.2 M in Table 2.
PARAMETERS = {'b0': 5_288_548, 'b1': 7_794_184, 'b2': 9_109_994}
ALL = (0, 1, 2, 3, 4)
TAPS = ['layers.5.0.expand_conv', 'layers.6']


@pytest.fixture(scope='module')
def published():
    """timm's models as after a training."""
    return {a: random_statistics(timm.create_model(f'tf_efficientnet_{a}')).eval() for a in ARCHS}


@pytest.fixture(params=['pth', 'safetensors'])
def file(request, published, tmp_path):
    """What timm publishes of EfficientNet-B1: a bare state dict with the classifier."""
    path, state = tmp_path / f'tf_efficientnet_b1.{request.param}', published['b1'].state_dict()
    if request.param == 'pth':
        torch.save(state, path)
    else:
        save_file(state, path, {'format': 'pt'})
    return str(path)


def pretrained(path, **arguments):
    init_cfg = dict(type='Pretrained', checkpoint=path, **arguments)
    return dict(type='TFEfficientNet', arch='b1', init_cfg=init_cfg)


def assert_filled(backbone, published):
    state = to_ours(published.state_dict())[0]
    for key, value in backbone.state_dict().items():
        assert value.equal(state[key]), key


class Detector(nn.Module):
    """The outline of a detector: a tapped backbone and something beside it."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = TappedBackbone(backbone, TAPS)
        self.head = nn.Conv2d(1280, 3, 1)


# odd and even sizes at every stride: TensorFlow pads by what is missing, and first at the end
@pytest.mark.parametrize('size', [(64, 96), (97, 75), (61, 130)])
@pytest.mark.parametrize('arch', ARCHS)
def test_every_stage_equals_timm(arch, size, published):
    theirs = published[arch]
    ours = TFEfficientNet(arch, out_indices=ALL).eval()
    ours.load_state_dict(to_ours(theirs.state_dict())[0])
    torch.manual_seed(0)
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        last, maps = theirs.forward_intermediates(image, indices=[1, 2, 3, 4])
        outputs = ours(image)
    for output, expected in zip(outputs, [*maps, last], strict=True):
        # float32: the rounding of up to 40 layers
        torch.testing.assert_close(
            output, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item()
        )


@pytest.mark.parametrize('arch', ARCHS)
def test_parameters_equal_the_published_models(arch, published):
    with torch.device('meta'):
        model = TFEfficientNet(arch, out_indices=(4,))
    head = model.out_channels[0] * 1000 + 1000
    count = sum(p.numel() for p in model.parameters()) + head
    assert count == PARAMETERS[arch]
    assert count == sum(p.numel() for p in published[arch].parameters())


@pytest.mark.parametrize('arch', ARCHS)
def test_norms_are_those_of_tensorflow(arch):
    norms = [m for m in TFEfficientNet(arch).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


@pytest.mark.parametrize('indices', [ALL, (0, 1, 2, 3), (4,)])
def test_a_published_file_goes_in_as_it_is(indices, published, file):
    backbone = MODELS.build({**pretrained(file), 'out_indices': indices})
    backbone.init_weights()
    assert_filled(backbone, published['b1'])
    assert load_pretrained(backbone, file).complete


def test_a_published_file_goes_into_a_tapped_backbone_of_a_detector(published, file):
    detector = Detector({**pretrained(file), 'out_indices': (4,)})
    detector.backbone.init_weights()
    assert_filled(detector.backbone.backbone, published['b1'])


@pytest.mark.slow
def test_a_detector_that_was_saved_fills_another_and_its_backbone(published, file, tmp_path):
    source = Detector({**pretrained(file), 'out_indices': (4,)})
    source.backbone.init_weights()
    target = Detector(dict(type='TFEfficientNet', arch='b1', out_indices=(4,)))
    assert fill_from(target, {'state_dict': source.state_dict()}, 'file').complete
    assert_filled(target.backbone.backbone, published['b1'])
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'detector.pth')
    for backbone in (target.backbone, TFEfficientNet('b1'), TFEfficientNet('b1', out_indices=ALL)):
        for parameter in backbone.parameters():
            nn.init.zeros_(parameter)
        assert load_pretrained(backbone, str(tmp_path / 'detector.pth')).complete
        assert_filled(getattr(backbone, 'backbone', backbone), published['b1'])


def test_a_partial_file_is_refused(published, tmp_path):
    gap = 'blocks.4.1.se.conv_reduce.bias'
    state = {k: v for k, v in published['b1'].state_dict().items() if k != gap}
    path = str(tmp_path / 'partial.pth')
    torch.save(state, path)
    line = refusal(MODELS.build(pretrained(path)).init_weights)
    assert_says(line, path, '1 missing (layers.4.5.se.conv1.conv.bias)', 'allow_partial=True')
    MODELS.build(pretrained(path, allow_partial=True)).init_weights()


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['b0', 'b2'])
def test_a_file_of_another_variant_is_named(arch, file):
    line = refusal(load_pretrained, TFEfficientNet(arch, out_indices=(4,)), file)
    assert_says(line, "is a TFEfficientNet arch='b1'", f"the config has arch='{arch}'")


def test_an_unknown_variant_is_refused_with_those_that_exist():
    with pytest.raises(UserError, match=r"no arch 'b9'; choose one of \['b0', 'b1', 'b2'\]"):
        TFEfficientNet('b9')


def test_another_norm_keeps_the_epsilon_of_the_published_models():
    for norm_cfg in (dict(type='SyncBN'), dict(type='BN', momentum=0.01)):
        assert TFEfficientNet('b0', norm_cfg=norm_cfg).layers[0].bn.eps == 1e-3
    assert TFEfficientNet('b0', norm_cfg=dict(type='BN', eps=1e-5)).layers[0].bn.eps == 1e-5
