"""The authors' later VGNet: a second implementation from its description, counts, names, files."""

import pytest
import torch
from torch.nn import functional as F

from rapidnet_mm.backbones import VGNet
from rapidnet_mm.backbones.vgnet import ARCHS_V2, VERSIONS
from rapidnet_mm.models.classifiers import LinearClassifier
from rapidnet_mm.weights.contract import fixed_tensors
from rapidnet_mm.weights.load import load_pretrained
from rapidnet_mm.weights.names import NAME_TABLES
from rapidnet_mm.weights.translate import to_ours
from tests.messages import assert_says, refusal
from tests.reference import fill, published_state, reference_input
from tests.training import random_statistics

# Learned parameters of whole classifiers, and fixed kernels, as counted of the published code.
COUNTS = {
    'g_1_0mp': (1_000_256, 3_780),
    'g_1_0mp_se': (1_146_088, 3_780),
    'g_1_5mp': (1_506_056, 4_320),
    'g_1_5mp_se': (1_705_712, 4_320),
    'g_2_0mp': (2_010_412, 5_832),
    'g_2_0mp_se': (2_348_728, 5_832),
    'g_2_5mp': (2_497_040, 6_336),
    'g_2_5mp_se': (2_926_568, 6_336),
    'g_5_0mp': (4_996_980, 7_128),
    'g_5_0mp_se': (5_894_196, 7_128),
    'c_1_0mp': (1_004_036, 0),
}
# The float32 numbers of the published kernel, to the bit.
CORNER, EDGE, CENTRE = map(float.fromhex, ('0x1.33aa52p-4', '0x1.fb411ep-4', '0x1.a22918p-3'))
SMOOTHING = [[CORNER, EDGE, CORNER], [EDGE, CENTRE, EDGE], [CORNER, EDGE, CORNER]]
MADE_BEFORE = 0.07511360943317413  # the corner that an older commit of the authors computes


def table_of(arch, version='v2'):
    kind = 'VGNet v2' if version == 'v2' else 'VGNet'
    size = '-5.0MP' if '5_0mp' in arch else ''
    return NAME_TABLES[f'{kind}{size}{" with SE" if arch.endswith("se") else ""}']


def published_file(model, path, keep_fixed=True):
    table = table_of(model.arch, model.version)
    fixed = () if keep_fixed else fixed_tensors(model)
    state = {table.to_published(k): v for k, v in model.state_dict().items() if k not in fixed}
    state['classifier.1.weight' if model.version == 'v2' else 'classifier.weight'] = torch.ones(3)
    torch.save(state, path)
    return str(path)


class Described:
    """The network as its description says it, on a state dict under published names."""

    def __init__(self, state, arch):
        self.state, self.size, self.use_se = state, ARCHS_V2[arch].size, arch.endswith('_se')

    def __call__(self, x):
        x = self.norm(F.silu(self.conv(x, 'features.stem.0', stride=2)), 'features.stem.2')
        for index, (width, depth) in enumerate(
            zip(self.size.channels, self.size.depths, strict=True), 1
        ):
            stage = f'features.stage{index}'
            left, right = self.downsampled(x, f'{stage}.0', width)
            for block in (f'{stage}.{number}' for number in range(1, depth)):
                new = torch.cat([left, self.conv(right, f'{block}.half3x3')], 1)
                left, right = right, self.pointwise(new, block)
            x = torch.cat([left, right], 1)
            if index == 4:
                tail = f'{stage}.{depth + 1}'
                x = self.conv(self.conv(x, f'{tail}.0'), f'{tail}.1.0')
                x = self.norm(F.silu(x), f'{tail}.1.2')
            yield x

    def conv(self, x, name, stride=1):
        weight = self.state[f'{name}.weight']
        groups = x.shape[1] // weight.shape[1]
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)

    def norm(self, x, name):
        parts = (self.state[f'{name}.{k}'] for k in ('running_mean', 'running_var'))
        scale = (self.state[f'{name}.{k}'] for k in ('weight', 'bias'))
        return F.batch_norm(x, *parts, *scale, eps=1e-5)

    def pointwise(self, x, block):
        place = f'{block}.conv1x1.0' if self.use_se else f'{block}.conv1x1'
        x = self.norm(F.silu(self.conv(x, f'{place}.0')), f'{place}.2')
        if not self.use_se:
            return x
        linear = {k: self.state[f'{block}.conv1x1.1.{k}'] for k in ('reduce.weight', 'reduce.bias')}
        y = F.silu(F.conv2d(x.mean((2, 3), keepdim=True), *linear.values()))
        linear = {k: self.state[f'{block}.conv1x1.1.{k}'] for k in ('expand.weight', 'expand.bias')}
        return x * F.conv2d(y, *linear.values()).sigmoid()

    def downsampled(self, x, block, width):
        channels = x.shape[1]
        x = self.conv(x, f'{block}.downsample', stride=2)
        split = 0 if channels > width else min(width // 2, channels)
        pair = x[:, channels - split :], self.pointwise(x, block)
        uneven = width > 2 * channels or channels > width
        return torch.cat(pair, 1).chunk(2, 1) if uneven else pair


@pytest.mark.parametrize('arch', ['g_1_0mp', 'g_1_0mp_se', 'g_5_0mp', 'c_1_0mp'])
def test_every_stage_is_what_the_description_says(arch):
    model = VGNet(arch, version='v2').double().eval()
    state = published_state(model, table_of(arch))
    for key, value in fixed_tensors(model).items():
        state[table_of(arch).to_published(key)] = value.double()
    model.load_state_dict(to_ours(state).state)
    with torch.no_grad():
        maps = model(reference_input((2, 3, 64, 32)))
        for ours, theirs in zip(
            maps, Described(state, arch)(reference_input((2, 3, 64, 32))), strict=True
        ):
            # float64: what is left is the order of summation
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11 * theirs.abs().max())


@pytest.mark.parametrize('arch', COUNTS)
def test_learned_parameters_and_fixed_kernels_are_as_published(arch):
    with torch.device('meta'):
        model = VGNet(arch, version='v2')
        head = LinearClassifier(model.out_channels[-1])
    learned, fixed = COUNTS[arch]
    assert sum(p.numel() for part in (model, head) for p in part.parameters()) == learned
    assert sum(value.numel() for value in fixed_tensors(model).values()) == fixed


def test_every_published_arch_is_there_and_no_other():
    assert VERSIONS['v2'].keys() == COUNTS.keys()
    line = refusal(lambda: VGNet('f_1_0mp', version='v2'))
    assert_says(line, "VGNet of version='v2' has no arch 'f_1_0mp'", "'g_5_0mp_se'", "'c_1_0mp'")
    assert_says(refusal(lambda: VGNet(version='v3')), "no version 'v3'", "['paper', 'v2']")


def test_all_channels_have_the_published_kernel_to_the_bit():
    kernels = fixed_tensors(VGNet('g_1_0mp', version='v2'))
    assert sorted(kernels) == [f'stages.{stage}.0.depthwise.weight' for stage in range(4)]
    for weight in kernels.values():
        assert weight.dtype == torch.float32
        assert weight.double().tolist() == [[SMOOTHING]] * len(weight)


@pytest.mark.parametrize('arch', COUNTS)
def test_published_names_round_trip_and_name_their_table(arch):
    with torch.device('meta'):
        ours = VGNet(arch, version='v2').state_dict()
    table = table_of(arch)
    published = {table.to_published(key): value for key, value in ours.items()}
    depth = ARCHS_V2[arch].size.depths[-1]
    assert published[f'features.stage4.{depth + 1}.0.weight'].shape[1:] == (1, 3, 3)
    assert not [key for key in published if '.mux' in key]
    head = {'classifier.1.weight': torch.ones(2, 3), 'classifier.1.bias': torch.ones(2)}
    weights = to_ours(published | head)
    assert NAME_TABLES[weights.family] is table
    assert weights.state.keys() == ours.keys()
    assert {name for name, _ in weights.head.values()} == {
        'head.classifier.fc.weight',
        'head.classifier.fc.bias',
    }


@pytest.mark.parametrize('keep_fixed', [True, False])
@pytest.mark.parametrize(('arch', 'other'), [('g_1_0mp', 'g_1_0mp'), ('g_5_0mp_se', 'g_1_0mp')])
def test_a_file_of_one_version_given_to_the_other_is_named(arch, other, keep_fixed, tmp_path):
    for version, wrong in (('v2', 'paper'), ('paper', 'v2')):
        path = published_file(VGNet(arch, version=version), tmp_path / 'file.pth', keep_fixed)
        line = refusal(load_pretrained, VGNet(other, version=wrong), path)
        end = ", version='v2'"
        has, wants = (end if v == 'v2' else '' for v in (version, wrong))
        assert_says(
            line, f"is a VGNet arch='{arch}'{has}, but the config has arch='{other}'{wants}"
        )
        assert line.endswith(f"arch='{other}'{wants}")
        assert load_pretrained(VGNet(arch, version=version), path).complete


def test_a_file_may_have_the_kernel_of_an_older_commit(tmp_path):
    source = random_statistics(VGNet('g_1_0mp', version='v2'))
    state = {table_of('g_1_0mp').to_published(k): v for k, v in source.state_dict().items()}
    for name, weight in state.items():
        if name.endswith('downsample.weight'):
            weight[:, :, ::2, ::2] = MADE_BEFORE
    torch.save(state, tmp_path / 'file.pth')
    target = VGNet('g_1_0mp', version='v2')
    assert load_pretrained(target, str(tmp_path / 'file.pth')).complete
    for key, value in source.state_dict().items():
        expected = fixed_tensors(target).get(key, value)
        assert target.state_dict()[key].equal(expected), key


def test_the_tail_has_kernels_of_its_own_for_every_channel():
    model = VGNet('g_1_0mp', version='v2')
    tail = model.stages[3][3].depthwise
    torch.nn.init.zeros_(tail.weight)
    with torch.no_grad():
        tail.weight[7] = fill('tail', (1, 3, 3))
    output = tail(torch.ones(1, 368, 4, 5))
    assert output[0].flatten(1).any(1).nonzero().flatten().tolist() == [7]
