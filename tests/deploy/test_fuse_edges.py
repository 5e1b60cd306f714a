"""Folding where a small fault would go unnoticed: which norms are folded, and which must stay."""

import pytest
import torch
from mmcv.cnn.bricks.wrappers import Conv2d
from torch import nn

from rapidnet_mm.backbones.blocks import Residual
from rapidnet_mm.backbones.layers import DropPath
from rapidnet_mm.backbones.rapidnet import PositionalEncoding
from rapidnet_mm.deploy.fuse import Bounded, Folded, Fusion, to_inference
from rapidnet_mm.errors import UserError
from tests.deploy.test_fuse import IMAGE, assert_same, norms, outputs, trained

IMAGE = IMAGE.double()


class Block(nn.Module):
    """Named layers, and a forward pass of one's own."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.run = forward

    def forward(self, x):
        return [self.run(self, x)]


def fused_and_checked(model, folded, image=IMAGE):
    """The inference form, with that many norms folded and the same outputs."""
    model = trained(model, torch.float64)
    for norm in (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
        nn.init.uniform_(norm.running_mean, 0.5, 1)
    fused = to_inference(model)
    assert fused.fusion.folded['BatchNorm'] == folded
    assert len(norms(fused)) == len(norms(model)) - folded
    assert_same(outputs(fused, image), outputs(model, image), 1e-10)
    return fused


# A bound cannot take the place of this activation, so the norm can only go into its reader.
@pytest.mark.parametrize(
    'reader',
    [
        nn.Conv2d(8, 6, 1),
        Conv2d(8, 6, 1),
        nn.Conv2d(8, 6, 1, stride=2, bias=False),
        nn.Conv2d(8, 6, 1, groups=2),
        nn.Conv2d(8, 8, 1, groups=8, bias=False),
        nn.Conv2d(8, 6, 1, padding='valid'),
    ],
    ids=str,
)
def test_a_norm_goes_into_the_pointwise_convolution_behind_it(reader):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.BatchNorm2d(8), reader)
    fused = fused_and_checked(model, folded=1)
    assert not fused.fusion.left
    assert type(fused[2]) is Folded


@pytest.mark.parametrize('bias', [True, False])
def test_a_norm_goes_into_the_linear_layer_behind_it(bias):
    layers = (nn.Linear(3, 8), nn.GELU(), nn.BatchNorm1d(8), nn.Linear(8, 2, bias=bias))
    fused_and_checked(nn.Sequential(*layers), folded=1, image=IMAGE[:, :, 0, 0])


@pytest.mark.parametrize(
    'reader',
    [
        nn.Conv2d(8, 6, (1, 3)),
        nn.Conv2d(8, 6, 3),
        nn.Conv2d(8, 6, 1, padding=1),
        nn.Conv2d(8, 6, 1, padding=(0, 1)),
        nn.ConvTranspose2d(8, 6, 1),
        nn.GELU(),
    ],
    ids=str,
)
def test_a_norm_stays_before_any_other_layer(reader):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.BatchNorm2d(8), reader)
    assert list(fused_and_checked(model, folded=0).fusion.left) == ['2']


def pre_activated(self, x):
    return self.norm(self.act(self.conv(x)))


USES = {
    'beside its reader': lambda self, x: torch.cat(
        [self.reader(y := pre_activated(self, x)), y], 1
    ),
    'twice by its reader': lambda self, x: self.reader(self.reader(pre_activated(self, x))),
    'by a function': lambda self, x: self.reader(pre_activated(self, x).relu()),
    'by nothing': lambda self, x: pre_activated(self, x),
    'after two passes': lambda self, x: self.reader(self.norm(pre_activated(self, x))),
    'by a function as well': lambda self, x: (
        self.reader(y := pre_activated(self, x)) + torch.tanh(y)
    ),
}


@pytest.mark.parametrize('use', USES)
def test_a_norm_stays_where_its_output_is_not_read_by_one_layer_once(use):
    layers = dict(conv=nn.Conv2d(3, 8, 3), act=nn.GELU(), norm=nn.BatchNorm2d(8))
    fused_and_checked(Block(USES[use], **layers, reader=nn.Conv2d(8, 8, 1)), folded=0)


@pytest.mark.parametrize('place', [2, 3])
@pytest.mark.parametrize('kind', ['register_forward_hook', 'register_forward_pre_hook'])
def test_a_norm_stays_where_it_or_its_reader_is_looked_at(place, kind):
    layers = (nn.Conv2d(3, 8, 3), nn.GELU(), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 1))
    model = nn.Sequential(*layers)
    getattr(model[place], kind)(lambda *_: None)
    fused_and_checked(model, folded=0)


@pytest.mark.parametrize('place', [0, 1])
@pytest.mark.parametrize('kind', ['register_forward_hook', 'register_forward_pre_hook'])
def test_a_norm_stays_where_it_or_the_layer_before_it_is_looked_at(place, kind):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    getattr(model[place], kind)(lambda *_: None)
    fused = fused_and_checked(model, folded=0)
    assert list(fused.fusion.left) == ['1']
    assert 'hook' in fused.fusion.left['1']


SHARED = {
    'the convolution is called twice': lambda self, x: self.norm(self.conv(self.conv(x))),
    'the norm is called twice': lambda self, x: self.norm(self.norm(self.conv(x))),
    'a function comes between': lambda self, x: self.norm(self.conv(x) * 2),
    'the input comes in between': lambda self, x: self.norm(x + self.conv(x)),
}


@pytest.mark.parametrize('use', SHARED)
def test_a_norm_stays_where_it_is_not_alone_behind_one_convolution(use):
    layers = dict(conv=nn.Conv2d(3, 3, 1), norm=nn.BatchNorm2d(3))
    fused = fused_and_checked(Block(SHARED[use], **layers), folded=0)
    assert list(fused.fusion.left) == ['norm']


def test_a_block_whose_forward_is_replaced_is_left():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
    model.forward = lambda x: model[1](model[0](x)) + 1
    fused = to_inference(trained(model, torch.float64), inplace=True)
    assert list(fused.fusion.left) == ['1']
    assert 'Sequential' in fused.fusion.left['1']


def test_arguments_with_defaults_do_not_hide_a_block():
    class WithDefault(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x, twice=False):
            y = self.norm(self.conv(x))
            return [y + y] if twice else [y]

    fused_and_checked(WithDefault(), folded=1)


@pytest.mark.parametrize('negative', [0, 3])
def test_a_bound_from_above_is_only_there_for_falling_channels(negative):
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3, padding=1))
    model = trained(nn.Sequential(*layers), torch.float64)
    model[2].weight.data[:negative] *= -1
    model[2].weight.data[-1] = 0
    fused = to_inference(model)
    (bounded,) = (m for m in fused.modules() if isinstance(m, Bounded))
    assert (bounded.upper is None) == (negative == 0)
    assert bounded.lower.isfinite().flatten().tolist() == [k >= negative for k in range(8)]
    if negative:
        assert bounded.upper.isfinite().flatten().tolist() == [k < negative for k in range(8)]
    assert_same([fused(IMAGE)], [model(IMAGE)], 1e-10)


def test_a_norm_stays_behind_a_relu_that_no_convolution_comes_before():
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3, padding=1))
    fused_and_checked(model, folded=0)


def test_what_stands_for_a_norm_refuses_to_train_however_it_is_told():
    folded = Folded().eval()
    for call in (folded.train, lambda: folded.train(True), lambda: folded.train(mode=True)):
        with pytest.raises(UserError):
            call()
        assert not folded.training
    assert folded.train(False) is folded
    assert folded.eval() is folded


@pytest.mark.parametrize(
    ('left', 'text'),
    [
        (0, 'left: nothing'),
        (1, 'left: m0 (why)'),
        (3, 'left: m0 (why), m1 (why), m2 (why)'),
        (4, 'left: m0 (why), m1 (why), m2 (why), and 1 more'),
        (9, 'left: m0 (why), m1 (why), m2 (why), and 6 more'),
    ],
)
def test_what_is_left_is_named_up_to_three_and_then_counted(left, text):
    fusion = Fusion(left={f'm{k}': 'why' for k in range(left)})
    fusion.folded.update({'BatchNorm': 1, 'layer scale': 2})
    assert str(fusion) == f'folded: 1 BatchNorm, 2 layer scales; {text}'


def residual(*branch):
    block = Residual(nn.Sequential(*branch), 3, 0.0, 1.0)
    nn.init.uniform_(block.scale, 0.3, 0.6)
    return nn.Sequential(block).double().eval()


@pytest.mark.parametrize(
    ('branch', 'folded'),
    [
        ([nn.Conv2d(3, 3, 1)], True),
        ([nn.Conv2d(3, 3, 1), nn.Identity(), DropPath(0.5)], True),
        ([nn.GELU(), nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))], True),
        ([nn.Conv2d(3, 3, 1), nn.GELU()], False),
        ([nn.Identity()], False),
        ([nn.ConvTranspose2d(3, 3, 1)], False),
    ],
    ids=str,
)
def test_a_scale_goes_into_the_last_layer_of_its_branch_if_it_is_linear(branch, folded):
    model = residual(*branch)
    fused = to_inference(model)
    assert fused.fusion.folded['layer scale'] == folded
    assert (fused[0].scale is None) == folded
    assert ('0.scale' in fused.fusion.left) != folded
    assert_same([fused(IMAGE)], [model(IMAGE)], 1e-12)


def test_a_scale_stays_where_the_last_layer_of_its_branch_is_called_twice():
    block = Residual(None, 3, 0.0, 0.5)
    block.branch = Twice()
    model = nn.Sequential(block).double().eval()
    fused = to_inference(model)
    assert not fused.fusion.folded
    assert_same([fused(IMAGE)], [model(IMAGE)], 1e-12)


class Twice(nn.Module):
    """The same layer two times."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(self.conv(x))


@pytest.mark.parametrize('watched', [False, True])
def test_an_encoding_is_folded_once_and_not_where_its_kernel_is_looked_at(watched):
    model = nn.Sequential(PositionalEncoding(3)).double().eval()
    if watched:
        model[0].conv.register_forward_hook(lambda *_: None)
    kernel = model[0].conv.weight.clone()
    fused = to_inference(to_inference(model))
    assert fused[0].folded == (not watched)
    assert model[0].conv.weight.equal(kernel)
    difference = fused[0].conv.weight - kernel
    assert difference.sum().item() == pytest.approx(0 if watched else 3)
    assert_same([fused(IMAGE)], [model(IMAGE)], 1e-12)
