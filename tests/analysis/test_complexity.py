import json
import runpy
import sys
from decimal import Decimal

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

import rapidnet_mm.models  # noqa: F401
from rapidnet_mm import UserError, config_file
from rapidnet_mm.analysis import complexity
from rapidnet_mm.analysis import papers as published
from rapidnet_mm.analysis.compare import Comparison, compare, count, flops_on
from rapidnet_mm.analysis.complexity import Count, default_shape, measure
from rapidnet_mm.analysis.papers import ROWS
from rapidnet_mm.analysis.row import Basis, Figure
from rapidnet_mm.analysis.zoo import metafiles
from rapidnet_mm.backbones.vgnet import FixedDepthwise
from rapidnet_mm.engine.config import build_model, load_config
from tests.tools import REPOSITORY, succeeded, tool

SHAPE = (65, 97)
BACKBONES = [
    dict(type='RapidNet', arch='ti'),
    dict(type='ReXNet', width_mult=1.0, out_indices=(0, 1, 2, 3, 4)),
    dict(type='ReXNetLite', width_mult=1.3),
    dict(type='ReXNetPlain'),
    dict(type='VGNet', arch='f_1_0mp_se'),
    dict(type='TFEfficientNet', arch='b1'),
    dict(type='ResNet', depth=18, frozen_stages=1),
]
SEGMENTER = dict(
    type='EncoderDecoder',
    backbone=dict(type='RapidNet', arch='ti'),
    neck=dict(type='FPN', in_channels=[32, 64, 112, 224], out_channels=64, num_outs=4),
    decode_head=dict(
        type='FPNHead',
        in_channels=[64] * 4,
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=32,
        num_classes=19,
    ),
    auxiliary_head=dict(
        type='FCNHead', in_channels=64, in_index=2, channels=16, num_convs=1, num_classes=19
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)


@pytest.fixture(scope='module')
def mask_rcnn():
    return load_config(config_file('maskrcnn_rexnet_090_coco'))


@pytest.fixture(scope='module')
def models():
    return metafiles.load()


def by_formula(model, shape):
    """Parameters, and FLOPs of convolutions and linear layers, by their formula."""
    flops = 0

    def add(module, args, output):
        nonlocal flops
        if isinstance(module, nn.ConvTranspose2d):
            flops += args[0].numel() * module.weight[0].numel()
        else:
            flops += output.numel() * module.weight[0].numel()

    layers = (nn.Conv2d, nn.Linear, nn.ConvTranspose2d, FixedDepthwise)
    for module in model.modules():
        if isinstance(module, layers):
            module.register_forward_hook(add)
    model.eval()
    model(torch.empty(1, 3, *shape, device='meta'))
    return sum(p.numel() for p in model.parameters()), flops


def test_a_small_network_counts_as_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Flatten(),
        nn.Linear(8 * 3 * 5, 4),
    )
    found = measure(model, (6, 10))
    conv = Count(*[3 * 8 * 9 + 8] * 2, 3 * 8 * 9 * 15)
    depthwise = Count(*[8 * 9] * 2, 8 * 9 * 15)
    linear = Count(*[120 * 4 + 4] * 2, 120 * 4)
    assert found.parts == ['0', '1', '3', '5']
    assert found.modules['0'] == conv
    assert found.modules['1'] == Count(16, 16, 0)
    assert found.modules['3'] == depthwise
    assert found.modules['5'] == linear
    assert found.total == Count(*map(sum, zip(conv, depthwise, linear, (16, 16, 0), strict=True)))


@pytest.mark.parametrize('config', BACKBONES, ids=lambda config: config['type'])
def test_backbones_count_as_by_the_formula(config):
    cfg = Config(dict(default_scope='mmdet', model=dict(backbone=config)))
    found = measure(build_model(cfg, backbone_only=True), SHAPE)
    model = build_model(cfg, backbone_only=True)
    assert (found.total.params, found.total.flops) == by_formula(model, SHAPE)
    assert found.total.flops == sum(found.modules[part].flops for part in found.parts) > 0
    maps = model(torch.empty(1, 3, *SHAPE, device='meta'))
    assert found.maps == {'backbone': [tuple(m.shape[1:]) for m in maps]}


def test_what_is_frozen_is_not_learnable():
    init_default_scope('mmengine')
    with torch.device('meta'):
        free = measure(MODELS.build(dict(type='RapidNet', arch='ti')), SHAPE)
        frozen = measure(MODELS.build(dict(type='RapidNet', arch='ti', frozen_stages=2)), SHAPE)
    still = sum(free.modules[name].params for name in ('stem', 'stages.0', 'stages.1'))
    assert free.total.learnable == free.total.params == frozen.total.params
    assert frozen.total.learnable == free.total.params - still


def test_counting_leaves_the_model_as_it_was_and_any_device_gives_the_same():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = measure(model, SHAPE)
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert found == measure(model.to('meta'), SHAPE)


def test_a_two_stage_detector_is_counted_head_by_head(mask_rcnn):
    found = measure(build_model(mask_rcnn), (96, 160))
    assert found.regions == {'roi_head.bbox_head': 1000, 'roi_head.mask_head': 100}
    assert found.parts == ['backbone', 'neck', 'rpn_head', *found.regions]
    for index in range(3):
        assert sum(found.modules[part][index] for part in found.parts) == found.total[index]
    box = 256 * 7 * 7 * 1024 + 1024 * 1024 + 1024 * (81 + 4 * 80)
    assert found.modules['roi_head.bbox_head'].flops == 1000 * box
    mask = 4 * 256 * 256 * 9 * 14 * 14 + 256 * 256 * 4 * 14 * 14 + 256 * 80 * 28 * 28
    assert found.modules['roi_head.mask_head'].flops == 100 * mask
    cells = sum(h * w for h, w in ((24, 40), (12, 20), (6, 10), (3, 5), (2, 3)))
    assert found.modules['rpn_head'].flops == cells * (256 * 256 * 9 + 256 * 15)
    assert [m[1:] for m in found.maps['backbone']] == [m[1:] for m in found.maps['neck'][:4]]
    assert found.unused == []


def test_regions_are_what_the_config_lets_through(mask_rcnn):
    cfg = mask_rcnn.copy()
    cfg.merge_from_dict({'model.test_cfg.rpn.max_per_img': 300})
    full, less = (measure(build_model(c), (64, 64)) for c in (mask_rcnn, cfg))
    head = 'roi_head.bbox_head'
    assert 10 * less.modules[head].flops == 3 * full.modules[head].flops
    assert (
        full.total.flops - less.total.flops == full.modules[head].flops - less.modules[head].flops
    )


def test_a_one_stage_detector_counts_as_by_the_formula():
    cfg = load_config(config_file('ssdlite_rexnet_plain_coco'))
    found = measure(build_model(cfg), (320, 320))
    model = build_model(cfg)
    assert (found.total.params, found.total.flops) == by_formula(model, (320, 320))
    assert found.parts == ['backbone', 'neck', 'bbox_head']
    assert found.total.flops == sum(found.modules[part].flops for part in found.parts)


def test_a_segmenter_is_counted_without_the_head_that_only_trains():
    cfg = Config(dict(default_scope='mmseg', model=SEGMENTER))
    found = measure(build_model(cfg), (64, 96))
    assert found.unused == ['auxiliary_head']
    assert found.modules['auxiliary_head'].flops == 0 < found.modules['auxiliary_head'].params
    assert found.modules['decode_head'].flops > 0
    assert found.total.flops == sum(found.modules[part].flops for part in found.parts)
    assert 'not part of prediction: auxiliary_head' in found.to_text()
    assert measure(build_model(cfg), (128, 192)).total.flops == 4 * found.total.flops


@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        ('ssdlite_rexnet_100_coco', (320, 320)),
        ('fasterrcnn_rexnet_100_coco', (800, 1200)),
        ('maskrcnn_rapidnet_m_coco', (800, 1333)),
    ],
)
def test_the_shape_is_what_the_config_tests_at(name, shape):
    assert default_shape(load_config(config_file(name)))[0] == shape


def test_the_shape_of_a_segmenter_is_its_crop():
    resize = dict(type='RandomResize', scale=(2048, 512))
    pipeline = [resize, dict(type='mmseg.RandomCrop', crop_size=(512, 1024))]
    repeated = dict(type='RepeatDataset', dataset=dict(pipeline=pipeline))
    cfg = Config(dict(model=SEGMENTER, train_dataloader=dict(dataset=repeated)))
    assert default_shape(cfg) == ((512, 1024), 'the crop of the training pipeline')


def test_a_shape_that_the_config_does_not_say_is_asked_for():
    with pytest.raises(UserError, match='give --shape H W'):
        default_shape(Config(dict(model=SEGMENTER)))


@pytest.mark.slow
@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row.model}-{row.shape[0]}')
def test_what_is_published_is_what_we_build_and_what_the_zoo_says(row, models):
    result = compare(row)
    assert row.params or row.flops
    assert result.params.within, result.params.difference
    assert result.flops.within, result.flops.difference
    entries = [entry for entry in models.entries if entry.row == row]
    assert entries, f'no metafile has {row.model} at {row.shape}'
    for entry in entries:
        key = 'Learnable Parameters' if row.learnable else 'Parameters'
        counts = entry.counts.get(key), entry.counts.get('FLOPs')
        flops = count(row).flops if row.basis else result.flops.ours
        assert counts == (result.params.ours, flops), f'{entry}: run rapidnet zoo'
        comparable = entry.counts.get('Comparable FLOPs', result.flops.ours)
        assert comparable == result.flops.ours, f'{entry}: run rapidnet zoo'


@pytest.mark.parametrize(
    ('figure', 'value', 'allowed'),
    [
        (Figure('4,091,257'), 4_091_257, 0),
        (Figure('5.64 M'), 5_640_000, 5_000),
        (Figure('0.348 G'), 348_000_000, 500_000),
        (Figure('10.0 M', '9.95 M'), 9_950_000, 5_000),
        (Figure('44.2 M', tolerance='0.1 M'), 44_200_000, 100_000),
        (Figure('0.86B', counted='0.876 G'), 876_000_000, 500_000),
        (Figure('3.4M', '3,399,240'), 3_399_240, 0),
        (Figure('123.0B', tolerance='0.2 G'), 123_000_000_000, 200_000_000),
    ],
)
def test_the_tolerance_is_what_rounding_hides(figure, value, allowed):
    assert (figure.value, figure.allowed) == (value, allowed)
    assert Comparison(figure, value + allowed).within
    assert Comparison(figure, value - allowed).within
    assert not Comparison(figure, value + allowed + 1).within
    assert not Comparison(figure, value - allowed - 1).within
    assert Comparison(figure, value + 7).difference == Decimal(7)


# What the authors print is the number that we compare with, rounded, except these.
NOT_ROUNDED = {
    ('ReXNet x1.5', '0.86B', '0.876 G'),
    ('ReXNet x3.0', '34M', '34,708,792'),
    ('ReXNet-lite x1.3', '6.8M', '6,747,960'),
    ('ssdlite_rexnet_090_coco', '0.88 G', '0.888 G'),
    ('ssdlite_efficientnet_b2_coco', '1.55 G', '1.544 G'),
    ('VGNetG-1.0MP', '0.99M', '997,358'),
}


def test_what_is_printed_is_the_reference_rounded_but_for_six():
    both = (
        (row.model, figure)
        for row in ROWS
        for figure in (row.params, row.flops)
        if figure and figure.printed and figure.kind != 'printed'
    )
    off = set()
    for model, figure in both:
        printed = Figure(figure.printed)
        if abs(printed.value - figure.value) > printed.allowed + figure.allowed:
            off.add((model, figure.printed, figure.reference))
    assert off == NOT_ROUNDED


def test_the_readme_says_how_many_models_are_compared():
    assert f'- {len(ROWS)} published models are compared' in (REPOSITORY / 'README.md').read_text()


def test_a_number_says_of_which_kind_it_is():
    figure = Figure('0.86B', counted='0.876 G')
    assert (figure.kind, figure.reference) == ('counted', '0.876 G')
    assert figure.text == '0.86B printed, 0.876 G counted'
    assert Figure('3.4M', '3,399,240').kind == 'derived'
    assert Figure('0.4 G').kind == 'printed'


def test_flops_are_compared_on_the_basis_on_which_they_were_printed():
    row = next(row for row in ROWS if row.model == 'maskrcnn_rexnet_090_coco')
    faster = next(row for row in ROWS if row.model == 'fasterrcnn_rexnet_090_coco')
    flops = flops_on(row.build, row.basis)
    assert flops == flops_on(faster.build, faster.basis)  # without the mask head, as printed
    small = flops_on(faster.build, Basis((400, 640)))
    heads = 1000 * (256 * 49 * 1024 + 1024 * 1024 + 1024 * (81 + 4 * 80))
    assert flops - heads == pytest.approx(4 * (small - heads), rel=0.01)
    assert abs(flops - 123e9) < 0.15e9 < abs(count(faster).flops - 123e9)


def in_process(monkeypatch, *args):
    """Run the tool here, where things can be replaced, and return its exit status."""
    monkeypatch.setattr(sys, 'argv', ['complexity.py', *map(str, args)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(REPOSITORY / 'tools/complexity.py'), run_name='__main__')
    return end.value.code


def test_a_row_that_is_off_is_marked_and_is_the_exit_status(monkeypatch, capsys):
    plain = next(row for row in ROWS if row.model == 'ReXNet (plain)')
    wrong = plain._replace(params=Figure('3,399,241'))
    monkeypatch.setattr(published, 'ROWS', (plain, wrong))
    assert in_process(monkeypatch, '--table') == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if 'ReXNet (plain)' in line]
    assert ['OFF' in line for line in lines] == [False, True]
    assert in_process(monkeypatch, '--table', '--json') == 1
    result = json.loads(capsys.readouterr().out)
    assert result['off'] == 1
    assert [row['params']['difference'] for row in result['rows']] == [0, -1]
    monkeypatch.setattr(published, 'ROWS', (plain,))
    assert in_process(monkeypatch, '--table') == 0


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ([], 'give either a config or --table'),
        (['x.py', '--table'], 'give either a config or --table'),
        (['--table', '--backbone'], '--table goes with --json only'),
        (['nowhere.py'], 'config nowhere.py does not exist'),
        (['EMPTY'], 'the config has no model'),
        (['SSD', '--shape', '0', '320'], 'shape 0 320: height and width must be at least 1'),
        (['SSD', '--depth', '0'], '--depth 0 must be at least 1'),
        (['SSD', '--cfg-options', 'model.nek.in_channels=3'], 'nearest is model.neck'),
        (
            ['SSD', '--cfg-options', 'model.backbone.out_indices=(1,3)'],
            'SingleStageDetector cannot',
        ),
        (['SSD', '--cfg-options', 'model.backbone.type=ReXNetPlan'], 'ReXNetPlan'),
    ],
)
def test_bad_input_is_refused_in_one_line(args, message, monkeypatch, capsys, tmp_path):
    empty = tmp_path / 'empty.py'
    empty.write_text('a = 1')
    paths = {'EMPTY': empty, 'SSD': config_file('ssdlite_rexnet_plain_coco')}
    monkeypatch.chdir(tmp_path)
    assert in_process(monkeypatch, *(paths.get(arg, arg) for arg in args)) == 2
    output = capsys.readouterr()
    (line,) = [line for line in output.err.splitlines() if line.startswith('error: ')]
    assert message in line
    assert output.out == ''


def test_the_tool_prints_parts_and_maps_and_says_what_it_left_out(monkeypatch, capsys):
    config = config_file('maskrcnn_rapidnet_ti_shapes')
    assert in_process(monkeypatch, config, '--shape', '96', '160') == 0
    output = capsys.readouterr().out
    assert 'MaskRCNN, input 96x160' in output
    for part in ('backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head'):
        assert f'| {part} ' in output
    assert 'post-processing (NMS, RoIAlign, decoding)' in output
    assert 'assumed: ' in output
    assert complexity.COUNTED in output


@pytest.mark.slow
def test_the_tool_prints_json_and_nothing_else(tmp_path):
    config = config_file('ssdlite_rexnet_plain_coco')
    done = tool('complexity.py', config, '--json', '--per-module', '--depth', '2', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    assert whole['shape'] == [320, 320]
    assert whole['maps']['neck'][0] == [576, 20, 20]
    assert {name.count('.') for name in whole['modules']} == {0, 1}
    done = tool('complexity.py', config, '--json', '--backbone', cwd=tmp_path)
    backbone = json.loads(done.stdout)
    assert backbone['model'] == 'ReXNetPlain'
    assert backbone['params'] == whole['parts']['backbone']['params'] < whole['params']
    assert backbone['flops'] == whole['parts']['backbone']['flops'] < whole['flops']
    assert 'modules' not in backbone


@pytest.mark.slow
def test_the_table_has_every_row(tmp_path):
    output = succeeded(tool('complexity.py', '--table', cwd=tmp_path))
    assert f'{len(ROWS)} of {len(ROWS)} rows are within their tolerance' in output
    for row in ROWS:
        assert f'| {row.model}' in output
        for figure in filter(None, (row.params, row.flops)):
            assert figure.text in output
