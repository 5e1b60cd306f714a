import pytest
import timm
import torch
from torch import nn

from rapidnet_mm import UserError
from rapidnet_mm.analysis import papers
from rapidnet_mm.backbones import ReXNet, ReXNetLite, ReXNetPlain, rexnet
from rapidnet_mm.backbones.rexnet import LITE_WIDTHS, WIDTHS, LinearBottleneck, SqueezeExcite
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.names import REXNET, REXNET_LITE, REXNET_TIMM
from rapidnet_mm.weights.translate import to_ours
from tests.messages import assert_says, refusal
from tests.reference import (
    assert_equals_recorded,
    equals_printed,
    fill,
    published_state,
    recorded,
    reference_input,
    rexnet_outputs,
)
from tests.training import random_statistics, train_one_step

LAST = (4,)  # out_indices that ask for the last convolution
CLASSES = 1000


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def linear(inputs, outputs):
    return inputs * outputs + outputs


@pytest.mark.parametrize(
    ('family', 'table'), [(ReXNet, REXNET), (ReXNetLite, REXNET_LITE)], ids=['ReXNet', 'ReXNetLite']
)
def test_every_map_and_the_logits_equal_the_published_implementation(family, table):
    expected = recorded('rexnet_outputs.json')[family.__name__]
    state = published_state(family(out_indices=LAST), table)
    state |= {name: fill(name, tuple(shape)) for name, shape in expected['head'].items()}
    outputs = rexnet_outputs(family.__name__, state, reference_input())
    assert set(outputs) == set(expected['outputs'])
    for name, output in outputs.items():
        # float64: what is left is the order of summation
        assert_equals_recorded(output, expected['outputs'][name], rtol=1e-9)


@pytest.mark.parametrize('width', [1.0, 1.3, 1.5, 2.0, 3.0])
def test_every_block_equals_timm(width):
    theirs = random_statistics(timm.create_model(f'rexnet_{width * 100:.0f}')).double().eval()
    ours = ReXNet(width, out_indices=(0, 1, 2, 3, 4)).double().eval()
    ours.load_state_dict(to_ours(theirs.state_dict())[0])
    image = torch.randn(2, 3, 65, 96, dtype=torch.float64)
    x, maps = theirs.stem(image), []
    for block in theirs.features:
        x = block(x)
        maps.append(x)
    for output, index in zip(ours(image), (2, 4, 10, 15, 16), strict=True):
        # float64: what is left is the order of summation
        torch.testing.assert_close(output, maps[index], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize('width', WIDTHS)
def test_parameters_equal_the_paper(width):
    with torch.device('meta'):
        model = ReXNet(width, out_indices=LAST)
    count = parameters(model) + linear(*model.out_channels, CLASSES)
    assert equals_printed(count, papers.REXNET[width][0][1])


@pytest.mark.parametrize('width', LITE_WIDTHS)
def test_parameters_of_lite_equal_the_published_code(width):
    with torch.device('meta'):
        model = ReXNetLite(width, out_indices=LAST)
    hidden = 1024
    head = linear(*model.out_channels, hidden) + 2 * hidden + linear(hidden, CLASSES)
    assert equals_printed(parameters(model) + head, papers.REXNET_LITE[width][0][1])


def test_parameters_of_plain_equal_the_paper():
    count = parameters(ReXNetPlain()) + linear(1024, CLASSES)
    assert equals_printed(count, papers.REXNET_PLAIN[0][1])


def test_widths_grow_linearly_from_block_to_block():
    def channels(model):
        blocks = [model.stem[1], *(block for stage in model.stages for block in stage)]
        return [block.project.conv.out_channels for block in blocks]

    assert channels(ReXNet(1.0)) == [
        *(16, 27, 38, 50, 61, 72, 84, 95),
        *(106, 117, 128, 140, 151, 162, 174, 185),
    ]
    assert ReXNet(0.9).stem[0].conv.out_channels == 32  # and the first block, as at 1.0
    assert channels(ReXNet(0.9))[0] == 16
    assert ReXNet(2.0).stem[0].conv.out_channels == 64
    assert all(width % 8 == 0 for width in channels(ReXNetLite(1.3)))
    assert ReXNetLite(0.7, out_indices=LAST).out_channels == (1280,)  # never fewer


def test_plain_is_thirteen_separable_blocks_without_shortcut_or_attention():
    model = ReXNetPlain()
    depthwise = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(depthwise) == 13
    assert [m.stride[0] for m in depthwise] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    assert model.out_channels == (192, 288, 576, 1024)
    kinds = {type(m).__name__ for m in model.modules()}
    assert {'ReLU', 'SiLU'} <= kinds
    assert not {'SqueezeExcite', 'LinearBottleneck', 'ReLU6'} & kinds


@pytest.mark.parametrize('family', [ReXNet, ReXNetLite, ReXNetPlain])
@pytest.mark.parametrize('name', ['ReLU6', 'LeakyReLU', 'Softplus', 'ELU', 'SiLU'])
def test_every_activation_of_table_a2_can_be_chosen(family, name):
    model = family(act_cfg=dict(type=name)).eval()
    chosen = model.stages[3][-1].expand.act if family is not ReXNetPlain else None
    chosen = chosen or model.stages[3][-1].pointwise.act
    assert type(chosen).__name__ == name
    assert all(m.isfinite().all() for m in model(torch.randn(1, 3, 64, 96)))


@pytest.mark.parametrize('family', [ReXNet, ReXNetLite, ReXNetPlain])
def test_an_activation_that_does_not_exist_is_refused_with_those_that_do(family):
    line = refusal(lambda: family(act_cfg=dict(type='Swoosh')))
    assert_says(line, "no type 'Swoosh'", 'ELU', 'LeakyReLU', 'ReLU6', 'SiLU', 'Softplus')
    assert_says(refusal(lambda: family(act_cfg={})), 'no type None')
    assert_says(refusal(lambda: family(act_cfg='ReLU6')), "act_cfg='ReLU6' must be a dict")
    wrong = dict(type='LeakyReLU', slope=0.1)
    assert_says(refusal(lambda: family(act_cfg=wrong)), 'LeakyReLU has no argument slope')


def test_arguments_of_an_activation_reach_it():
    model = ReXNet(act_cfg=dict(type='LeakyReLU', negative_slope=0.3))
    assert model.stem[0].act.negative_slope == 0.3


@pytest.mark.parametrize('family', [ReXNet, ReXNetLite])
@pytest.mark.parametrize(
    'width', [0, -1, 1e-9, 1e9, 'abc', None, True, float('inf'), float('nan'), [1.0]], ids=str
)
def test_impossible_widths_are_refused_in_one_line(family, width):
    line = refusal(family, width)
    assert line.startswith(f'{family.__name__}: width_mult={width!r} must be a number')


@pytest.mark.parametrize('family', [ReXNet, ReXNetLite])
def test_an_unknown_norm_is_refused_with_those_that_exist(family):
    line = refusal(lambda: family(norm_cfg=dict(type='BatchNorm')))
    assert_says(line, "no type 'BatchNorm'", 'SyncBN')


def bottleneck(in_channels, out_channels, stride=1, drop_path=0.0):
    return random_statistics(
        LinearBottleneck(
            in_channels,
            out_channels,
            expansion=6,
            stride=stride,
            use_se=True,
            drop_path=drop_path,
            act=nn.SiLU,
            norm_cfg=dict(type='BN'),
        )
    ).eval()


@pytest.mark.parametrize(('outs', 'stride', 'added'), [(7, 1, 5), (5, 1, 5), (4, 1, 0), (7, 2, 0)])
def test_the_input_is_added_to_the_first_output_channels_only(outs, stride, added):
    block, image = bottleneck(5, outs, stride), torch.randn(2, 5, 6, 9)
    whole = block(image)
    block.shortcut = 0
    rest = block(image)
    if added:
        torch.testing.assert_close(whole[:, :added] - rest[:, :added], image)
    assert whole[:, added:].equal(rest[:, added:])


def test_a_dropped_branch_leaves_the_input():
    torch.manual_seed(0)
    block, image = bottleneck(5, 7, drop_path=1 - 1e-9), torch.randn(2, 5, 6, 9)
    block.drop_path.train()
    assert block(image)[:, :5].equal(image)
    assert not block(image)[:, 5:].any()


@pytest.mark.parametrize(('outs', 'stride'), [(4, 1), (7, 2)])
def test_nothing_is_dropped_where_there_is_no_shortcut(outs, stride):
    block, image = bottleneck(5, outs, stride, drop_path=0.999), torch.randn(2, 5, 6, 9)
    expected = block(image)
    block.drop_path.train()
    assert block(image).equal(expected)


def test_drop_rates_grow_linearly_from_nothing():
    model = ReXNet(drop_path_rate=0.3)
    rates = [m.rate for m in model.modules() if hasattr(m, 'rate')]
    assert rates == pytest.approx([0.3 * i / 15 for i in range(16)])


def attention_statistics(model):
    return {k for k in model.state_dict() if '.se.norm.' in k and k.endswith(STATISTICS)}


STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


@pytest.mark.parametrize('synced', [False, True])
def test_one_image_per_gpu_trains_everything_but_the_statistics_of_the_attention(synced):
    model = random_statistics(ReXNet())
    if synced:  # in one process, as on one GPU
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    kept = attention_statistics(model)
    assert len(kept) == 3 * 13
    assert train_one_step(model, images=1) == set(model.state_dict()) - kept
    assert train_one_step(model, images=2) == set(model.state_dict())


def test_one_image_is_normalised_by_the_running_statistics():
    attention = random_statistics(SqueezeExcite(24, dict(type='BN')))
    image = torch.randn(1, 24, 5, 7)
    torch.testing.assert_close(attention.train()(image), attention.eval()(image))
    # two images are normalised by their own mean: evaluation gives something else
    pair = torch.randn(2, 24, 5, 7)
    assert not attention.train()(pair).allclose(attention.eval()(pair))


@pytest.mark.parametrize(('processes', 'across'), [(None, False), (1, False), (4, True)])
def test_one_image_per_gpu_is_normalised_across_the_gpus_there_are(monkeypatch, processes, across):
    attention = nn.SyncBatchNorm.convert_sync_batchnorm(SqueezeExcite(24, dict(type='BN'))).train()
    monkeypatch.setattr(rexnet.dist, 'is_initialized', lambda: processes is not None)
    monkeypatch.setattr(rexnet.dist, 'get_world_size', lambda: processes)
    seen = []  # what SyncBatchNorm, which needs GPUs, is asked to normalise
    monkeypatch.setattr(attention.norm, 'forward', lambda y: seen.append(y.shape) or y)
    attention(torch.randn(1, 24, 5, 7))
    assert seen == [(1, 2, 1, 1)] * across


def test_batch_norm_without_synchronisation_does_not_look_at_other_gpus(monkeypatch):
    attention = SqueezeExcite(24, dict(type='BN')).train()
    monkeypatch.setattr(rexnet.dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(rexnet.dist, 'get_world_size', lambda: 4)
    attention(torch.randn(1, 24, 5, 7))  # BatchNorm itself refuses one value per channel
    assert attention.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ('family', 'table'),
    [(ReXNet, REXNET), (ReXNet, REXNET_TIMM), (ReXNetLite, REXNET_LITE)],
    ids=['authors', 'timm', 'lite'],
)
@pytest.mark.parametrize('last', [False, True])
def test_published_files_fill_every_tensor(family, table, last, tmp_path):
    source = random_statistics(family(1.3, out_indices=LAST))
    state = {table.to_published(key): value for key, value in source.state_dict().items()}
    assert None not in state
    head = {'output.1.weight': torch.zeros(9)} if table is not REXNET_TIMM else {}
    torch.save({'model': state | head}, tmp_path / 'file.pth')
    target = family(
        1.3,
        out_indices=LAST if last else (0, 3),
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'file.pth')),
    )
    target.init_weights()
    for key, value in target.state_dict().items():
        assert value.equal(source.state_dict()[key]), key


@pytest.mark.slow
@pytest.mark.parametrize(
    ('family', 'table', 'width'),
    [(ReXNet, REXNET, 1.3), (ReXNet, REXNET_TIMM, 2.0), (ReXNetLite, REXNET_LITE, 1.5)],
)
@pytest.mark.parametrize('indices', [LAST, (0, 1, 2, 3)])
def test_a_file_of_another_width_is_named(family, table, width, indices, tmp_path):
    state = family(width, out_indices=LAST).state_dict()
    path = str(tmp_path / 'file.pth')
    torch.save({table.to_published(key): value for key, value in state.items()}, path)
    line = refusal(load_pretrained, family(1.0, out_indices=indices), path)
    name = f'{family.__name__} width_mult={width}'
    assert_says(line, f'is a {name}', 'the config has width_mult=1.0')


def test_a_file_of_another_family_is_refused(tmp_path):
    path = str(tmp_path / 'file.pth')
    state = ReXNetLite().state_dict()
    torch.save({REXNET_LITE.to_published(key): value for key, value in state.items()}, path)
    with pytest.raises(UserError, match=r'tensors loaded, .* missing'):
        load_pretrained(ReXNet(), path)
