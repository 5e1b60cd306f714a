"""The picture of kernels has every depthwise layer, fixed or learned, at its place."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from rapidnet_mm import UserError
from rapidnet_mm.analysis.kernels import Layer, depthwise_layers, draw, mosaic
from rapidnet_mm.backbones.vgnet import ALTERNATING, ARCHS, GAUSSIAN, KINDS
from rapidnet_mm.commands.main import main


def vgnet(arch):
    torch.manual_seed(0)
    return MODELS.build(dict(type='VGNet', arch=arch))


@pytest.mark.parametrize('kind', KINDS)
def test_each_kind_of_vgnet_has_its_fixed_kernels(kind):
    arch = f'{kind}_1_5mp'
    layers = depthwise_layers(vgnet(arch))
    depths = ARCHS[arch].size.depths
    assert len(layers) == sum(depths) + 1  # one a block, and one in the tail
    downsampling = [layer for layer in layers if layer.name == '0.depthwise']
    others = [layer for layer in layers if layer.name != '0.depthwise']
    assert [layer.stage for layer in downsampling] == ['stage 1', 'stage 2', 'stage 3', 'stage 4']
    assert {layer.kind for layer in downsampling} == {'learned' if kind == 'c' else 'fixed'}
    assert {layer.kind for layer in others} == {'fixed' if kind in 'ef' else 'learned'}
    if kind != 'c':
        assert downsampling[2].kernels.shape == (128, 3, 3)
        assert downsampling[2].kernels[:2].equal(torch.tensor(ALTERNATING))


def test_learned_kernels_are_those_of_the_model():
    model = vgnet('g_1_0mp')
    layers = {(layer.stage, layer.name): layer for layer in depthwise_layers(model)}
    conv = model.get_submodule('stages.2.5.depthwise')
    assert layers['stage 3', '5.depthwise'].kernels.equal(conv.weight[:, 0])
    shared = model.get_submodule('stages.3.3.depthwise')
    assert layers['stage 4', '3.depthwise'].kernels.equal(shared.weight[:, 0])


def test_other_families_are_drawn_too():
    backbone = MODELS.build(dict(type='RapidNet', arch='ti'))
    sizes = {layer.kernels.shape[-1] for layer in depthwise_layers(backbone)}
    assert sizes == {3, 7}
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2))
    with pytest.raises(UserError, match='Sequential has no depthwise convolutions'):
        depthwise_layers(plain)


def test_kernels_stand_side_by_side_with_their_contrast():
    gaussian = torch.tensor(GAUSSIAN)
    large = torch.full((5, 5), -4.0)
    small = Layer('stage 1', 'a', 'learned', torch.stack([gaussian, -2 * gaussian, gaussian]))
    layers = [small, Layer('stage 1', 'b', 'learned', torch.stack([large, 0 * large]))]
    picture = mosaic(layers, rows=3, channels=2)
    assert picture.shape == (3 * 6 - 1, 2 * 6 - 1)
    shape = gaussian / gaussian.max()
    assert picture[1:4, 1:4].equal(shape)  # in the middle of 5x5
    assert picture[1:4, 7:10].equal(-shape)
    assert picture[6:11, :5].eq(-1).all()
    assert picture[6:11, 6:].eq(0).all()
    shown = ~picture.isnan()
    assert shown.sum() == 2 * 9 + 2 * 25
    assert not shown[12:].any()


def test_the_picture_has_two_panels_a_stage(monkeypatch):
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, 'savefig', lambda f, *a, **k: (figures.append(f), save(f, *a, **k)))
    content = draw(depthwise_layers(vgnet('g_1_0mp')), 'some title', channels=4)
    assert content.startswith(b'\x89PNG')
    panels = figures[0].axes[:-1]  # the last is the bar of colours
    assert [axes.get_title(loc='left') for axes in panels] == [
        f'stage {stage}: {kind}' for stage in (1, 2, 3, 4) for kind in ('fixed', 'learned')
    ]
    labels = [label.get_text() for label in panels[5].get_yticklabels()]
    assert labels == [f'{block}.depthwise (112)' for block in range(1, 13)]
    assert figures[0].get_suptitle() == 'some title'


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """What the command draws; nothing is painted."""
    calls = []

    def note(layers, title, channels):
        assert channels == 16
        calls.append((layers, title))
        return b'a picture'

    monkeypatch.setattr('rapidnet_mm.analysis.kernels.draw', note)
    monkeypatch.chdir(tmp_path)
    return calls


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(['kernels', *arguments])
    return end.value.code or 0


def test_the_command_draws_a_checkpoint_or_says_that_it_is_not_trained(drawn, tmp_path, capsys):
    model = vgnet('g_1_0mp')
    with torch.no_grad():
        model.stages[1][2].depthwise.weight.fill_(0.25)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'trained.pth')
    assert run('vgnetg_1_0mp_in1k', 'trained.pth', '--out', 'new/one.png') == 0
    assert run('vgnetg_1_0mp_in1k') == 0
    (trained, title), (random, other_title) = drawn
    names = [(layer.stage, layer.name) for layer in trained]
    place = names.index(('stage 2', '2.depthwise'))
    assert trained[place].kernels.eq(0.25).all()
    assert 'trained.pth' in title
    assert 'NOT TRAINED' not in title
    assert not random[place].kernels.eq(0.25).any()
    assert 'NOT TRAINED' in other_title
    assert (tmp_path / 'new/one.png').read_bytes() == b'a picture'
    assert (tmp_path / 'kernels.png').is_file()
    assert '4 fixed and 23 learned' in capsys.readouterr().out


def test_what_cannot_be_drawn_is_one_line(drawn, tmp_path, capsys):
    torch.save(vgnet('c_1_0mp').state_dict(), tmp_path / 'other.pth')
    for arguments, part in [
        (('vgnetg_1_0mp_in1k', 'other.pth'), 'other.pth'),
        (('vgnetg_1_0mp_in1k', 'missing.pth'), 'missing.pth'),
        (('vgnetg_1_0mp_in1k', '--out', '.'), '--out'),
        (('maskrcnn_r50_coco',), 'ResNet has no depthwise convolutions'),
    ]:
        assert run(*arguments) == 2
        message = capsys.readouterr().err
        assert part in message
        assert message.count('\n') == 1
    assert not drawn
