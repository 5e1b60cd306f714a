"""Tables of parameter names: those of published implementations, and ours.

To add a family, add its table to ``NAME_TABLES`` at the end of this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CLASSIFIER = 'head.classifier.'  # the prefix of the head in our whole classifiers


class NameTable:
    """Translates the parameter names of one published implementation to ours and back.

    Args:
        pairs: prefixes (published, ours). ``#`` stands for a number, the same on both sides.
        dropped: published prefixes that a backbone drops on purpose: heads of classifiers.
        heads: prefixes (published, ours) of these heads in whole classifiers. Ours are names in
            the heads of :mod:`rapidnet_mm.models.classifiers`.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        dropped: tuple[str, ...] = (),
        heads: Iterable[tuple[str, str]] = (),
    ):
        pairs, heads = list(pairs), [(theirs, CLASSIFIER + ours) for theirs, ours in heads]
        self.dropped = dropped
        self._head_to_ours = [_rule(published, ours) for published, ours in heads]
        self._head_to_published = [_rule(ours, published) for published, ours in heads]
        self._to_ours = [_rule(published, ours) for published, ours in pairs]
        self._to_published = [_rule(ours, published) for published, ours in pairs]

    def to_ours(self, key: str) -> str | None:
        """Return our name of a published key; None if it is not in the table."""
        return _translate(key, self._to_ours)

    def to_published(self, key: str) -> str | None:
        """Return the published name of our key; None if it is not in the table."""
        return _translate(key, self._to_published)

    def head_to_ours(self, key: str) -> str | None:
        """Return our name, in a whole classifier, of a published key of its head; else None."""
        return _translate(key, self._head_to_ours)

    def head_to_published(self, key: str) -> str | None:
        """Return the published name of our key of a whole classifier's head; else None."""
        return _translate(key, self._head_to_published)

    def share(self, keys: Iterable[str]) -> float:
        """Return which share of the keys is in the table, 0 to 1. Dropped keys do not count."""
        kept = [key for key in keys if not key.startswith(self.dropped)]
        return sum(self.to_ours(key) is not None for key in kept) / max(len(kept), 1)

    def recognises(self, keys: Iterable[str]) -> bool:
        """Whether all keys, except the dropped ones, are in the table."""
        return self.share(keys) == 1


def _rule(source: str, target: str) -> tuple[re.Pattern[str], str]:
    """Return pattern and replacement for a pair of prefixes; ``#`` becomes a group."""
    groups = iter(range(1, 10))
    target = re.sub('#', lambda _: rf'\g<{next(groups)}>', target)
    return re.compile('^' + re.escape(source).replace(r'\#', r'(\d+)') + r'(?=\.|$)'), target


def _translate(key: str, rules: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, target in rules:
        if pattern.match(key):
            return pattern.sub(target, key)
    return None


def _block(published: str, ours: str) -> tuple[str, str]:
    """Return a pair of prefixes in a numbered block of a numbered stage of RapidNet."""
    return f'backbone.#.#.{published}', f'stages.#.#.{ours}'


# The head of RapidNet and MobileViG: pooling, 1x1 convolution, BatchNorm, two classifiers.
TWO_HEADS = [
    ('prediction.1', 'hidden.fc'),
    ('prediction.2', 'hidden.norm'),
    ('head', 'label'),
    ('dist_head', 'distilled'),
]
TWO_HEADS_DROPPED = ('prediction.', 'head.', 'dist_head.')
RAPIDNET = NameTable(
    [
        ('stem.stem.0', 'stem.0.conv'),
        ('stem.stem.1', 'stem.0.norm'),
        ('stem.stem.3', 'stem.1.conv'),
        ('stem.stem.4', 'stem.1.norm'),
        _block('conv.0', 'conv'),
        _block('conv.1', 'norm'),
        _block('layer_scale_1', 'mixer.scale'),
        _block('layer_scale_2', 'ffn.scale'),
        _block('dws.pw1', 'mixer.branch.expand.conv'),
        _block('dws.norm1', 'mixer.branch.expand.norm'),
        _block('dws.dw', 'mixer.branch.depthwise.conv'),
        _block('dws.norm2', 'mixer.branch.depthwise.norm'),
        _block('dws.pw2', 'mixer.branch.project.conv'),
        _block('dws.norm3', 'mixer.branch.project.norm'),
        _block('mixer.cpe.pe', 'mixer.branch.encoding.conv'),
        _block('mixer.fc1.0', 'mixer.branch.fc1.conv'),
        _block('mixer.fc1.1', 'mixer.branch.fc1.norm'),
        _block('mixer.graph_conv.nn.0', 'mixer.branch.branches.0.conv'),
        _block('mixer.graph_conv.nn.1', 'mixer.branch.branches.0.norm'),
        _block('mixer.graph_conv.nn_2.0', 'mixer.branch.branches.1.conv'),
        _block('mixer.graph_conv.nn_2.1', 'mixer.branch.branches.1.norm'),
        _block('mixer.fc2.0', 'mixer.branch.fc2.conv'),
        _block('mixer.fc2.1', 'mixer.branch.fc2.norm'),
        _block('ffn.conv.conv', 'ffn.branch.depthwise.conv'),
        _block('ffn.norm1', 'ffn.branch.depthwise.norm'),
        _block('ffn.fc1', 'ffn.branch.expand.conv'),
        _block('ffn.norm2', 'ffn.branch.expand.norm'),
        _block('ffn.fc2', 'ffn.branch.project.conv'),
        _block('ffn.norm3', 'ffn.branch.project.norm'),
    ],
    dropped=TWO_HEADS_DROPPED,
    heads=TWO_HEADS,
)


# Where our stages have ReXNet's blocks 1 to 15; block 0 is in the stem.
_REXNET_PLACES = ['stem.1'] + [
    f'stages.{stage}.{block}' for stage, depth in enumerate((2, 2, 6, 5)) for block in range(depth)
]


def _rexnet(use_se: bool) -> NameTable:
    """Return the table of the authors' names: one numbered Sequential.

    They are in the authors' rexnetv1.py (with squeeze-and-excitation) and rexnetv1_lite.py.
    """
    pairs = [
        ('features.0', 'stem.0.conv'),
        ('features.1', 'stem.0.norm'),
        ('features.19', 'stages.4.0.conv'),
        ('features.20', 'stages.4.0.norm'),
    ]
    for block, place in enumerate(_REXNET_PLACES):
        source, index = f'features.{block + 3}.out', 0
        if block > 0:
            pairs += _conv_norm(source, 0, f'{place}.expand')
            index = 3  # after the activation
        pairs += _conv_norm(source, index, f'{place}.depthwise')
        index += 2
        if use_se and block > 2:
            pairs += [
                (f'{source}.{index}.fc.0', f'{place}.se.reduce'),
                (f'{source}.{index}.fc.1', f'{place}.se.norm'),
                (f'{source}.{index}.fc.3', f'{place}.se.expand'),
            ]
            index += 1
        pairs += _conv_norm(source, index + 1, f'{place}.project')  # after ReLU6
    linear = [('output.1', 'fc')]
    hidden = [('output.0', 'hidden.fc'), ('output.1', 'hidden.norm'), ('output.4', 'fc')]
    return NameTable(pairs, dropped=('output.',), heads=linear if use_se else hidden)


def _conv_norm(source: str, index: int, ours: str) -> list[tuple[str, str]]:
    """Return the pairs of a convolution and the normalisation that follows in a Sequential."""
    return [(f'{source}.{index}', f'{ours}.conv'), (f'{source}.{index + 1}', f'{ours}.norm')]


def _rexnet_timm() -> NameTable:
    """Return the table of timm's names for ReXNet."""
    pairs = [
        ('stem.conv', 'stem.0.conv'),
        ('stem.bn', 'stem.0.norm'),
        ('features.16.conv', 'stages.4.0.conv'),
        ('features.16.bn', 'stages.4.0.norm'),
    ]
    for block, place in enumerate(_REXNET_PLACES):
        for theirs, ours in (('exp', 'expand'), ('dw', 'depthwise'), ('pwl', 'project')):
            pairs += [
                (f'features.{block}.conv_{theirs}.conv', f'{place}.{ours}.conv'),
                (f'features.{block}.conv_{theirs}.bn', f'{place}.{ours}.norm'),
            ]
        for theirs, ours in (('fc1', 'reduce'), ('bn', 'norm'), ('fc2', 'expand')):
            pairs.append((f'features.{block}.se.{theirs}', f'{place}.se.{ours}'))
    return NameTable(pairs, dropped=('head.',), heads=[('head.fc', 'fc')])


def _efficientnet_timm(depths: tuple[int, ...]) -> NameTable:
    """Return the table of timm's names: seven stages, which are five in MMPretrain."""
    pairs = [
        ('conv_stem', 'layers.0.conv'),
        ('bn1', 'layers.0.bn'),
        ('conv_head', 'layers.6.conv'),
        ('bn2', 'layers.6.bn'),
    ]
    layer, place = 0, 0
    for stage, depth in enumerate(depths):
        if stage not in (4, 6):  # these keep the stride; MMPretrain joins them to the stage before
            layer, place = layer + 1, 0
        for block in range(depth):
            theirs, ours = f'blocks.{stage}.{block}', f'layers.{layer}.{place}'
            parts = ['depthwise', 'linear'] if stage == 0 else ['expand', 'depthwise', 'linear']
            convs = ['conv_dw', 'conv_pw'] if stage == 0 else ['conv_pw', 'conv_dw', 'conv_pwl']
            for index, (part, conv) in enumerate(zip(parts, convs, strict=True), 1):
                pairs.append((f'{theirs}.{conv}', f'{ours}.{part}_conv.conv'))
                pairs.append((f'{theirs}.bn{index}', f'{ours}.{part}_conv.bn'))
            pairs.append((f'{theirs}.se.conv_reduce', f'{ours}.se.conv1.conv'))
            pairs.append((f'{theirs}.se.conv_expand', f'{ours}.se.conv2.conv'))
            place += 1
    return NameTable(pairs, dropped=('classifier.',))


def _mobilevig(local_depths: tuple[int, ...], graph_depth: int) -> NameTable:
    """Return the table of the authors' names.

    They keep local blocks and downsampling in one list, graph blocks in another.
    """
    pairs = [*_conv_norm('stem.stem', 0, 'stem.0'), *_conv_norm('stem.stem', 3, 'stem.1')]
    index = 0
    for stage, depth in enumerate((*local_depths, 0)):
        for block in range(depth + (stage > 0)):
            source, place = f'local_backbone.{index}', f'stages.{stage}.{block}'
            index += 1
            if stage > 0 and block == 0:
                pairs += _conv_norm(f'{source}.conv', 0, place)
                continue
            pairs.append((f'{source}.layer_scale_2', f'{place}.mixer.scale'))
            for part, conv, norm in (
                ('expand', 'fc1', 'norm1'),
                ('depthwise', 'mid', 'mid_norm'),
                ('project', 'fc2', 'norm2'),
            ):
                pairs.append((f'{source}.mlp.{conv}', f'{place}.mixer.branch.{part}.conv'))
                pairs.append((f'{source}.mlp.{norm}', f'{place}.mixer.branch.{part}.norm'))
    for block in range(graph_depth):
        for theirs, ours in (
            ('0.fc1', 'mixer.branch.fc1'),
            ('0.graph_conv.nn', 'mixer.branch.graph.mix'),
            ('0.fc2', 'mixer.branch.fc2'),
            ('1.fc1', 'ffn.branch.expand'),
            ('1.fc2', 'ffn.branch.project'),
        ):
            place = f'stages.3.{block + 1}.{ours}'  # after the downsampling
            pairs += _conv_norm(f'backbone.{block}.{theirs}', 0, place)
    return NameTable(pairs, dropped=TWO_HEADS_DROPPED, heads=TWO_HEADS)


def _vgnet(
    all_fixed: bool = False, use_se: bool = False, is_v2: bool = False, last_depth: int = 2
) -> NameTable:
    """Return the table of the authors' names (cv-models).

    Their stages count from 1, and attention is inside the Sequential of the 1x1 convolution.

    Args:
        all_fixed: kinds F and E of the paper.
        use_se: with attention.
        is_v2: version 2, which has other names in the tail and the classifier.
        last_depth: number of blocks in the last stage.
    """
    index = last_depth + 1  # index of the tail, after the layer that joins two halves
    tail, ours = f'features.stage4.{index}', f'stages.3.{index}'
    kernels = 'depthwise.conv' if all_fixed else 'depthwise'
    last = 2 if all_fixed else 1  # fixed kernels have a normalisation, which comes between
    pairs = [('features.stem.0', 'stem.conv'), ('features.stem.2', 'stem.norm')]
    if is_v2:
        pairs.append((f'{tail}.0.weight', f'{ours}.{kernels}.weight'))
    else:
        pairs.append((f'{tail}.0' if all_fixed else f'{tail}.0.mux', f'{ours}.{kernels}'))
    pairs += [
        (f'{tail}.{last}.0', f'{ours}.pointwise.conv'),
        (f'{tail}.{last}.2', f'{ours}.pointwise.norm'),
    ]
    if all_fixed:
        pairs.append((f'{tail}.1', f'{ours}.depthwise.norm'))
    # These are whole names where another variant has a longer name with the same beginning.
    conv = 'conv1x1.0' if use_se else 'conv1x1'
    half = 'half3x3.0' if all_fixed else 'half3x3'
    for stage in range(4):
        source, ours = f'features.stage{stage + 1}', f'stages.{stage}'
        pairs += [
            (f'{source}.0.downsample', f'{ours}.0.depthwise'),
            (f'{source}.#.{half}.weight', f'{ours}.#.{kernels}.weight'),
            (f'{source}.#.half3x3.1', f'{ours}.#.depthwise.norm'),
            (f'{source}.#.{conv}.0.weight', f'{ours}.#.pointwise.conv.weight'),
            (f'{source}.#.{conv}.2', f'{ours}.#.pointwise.norm'),
        ]
        if use_se:
            pairs.append((f'{source}.#.conv1x1.1', f'{ours}.#.pointwise.se'))
    head = 'classifier.1' if is_v2 else 'classifier'
    return NameTable(pairs, dropped=('classifier.',), heads=[(head, 'fc')])


def _vgnets() -> dict[str, NameTable]:
    """Return the tables of all sizes, kinds and versions. 5.0MP has a deeper last stage."""
    tables = {}
    for size, last_depth in (('', 2), ('-5.0MP', 5)):
        for use_se in (False, True):
            end = f'{size} with SE' if use_se else size
            common = dict(use_se=use_se, last_depth=last_depth)
            tables[f'VGNet{end}'] = _vgnet(**common)
            tables[f'VGNetF{end}'] = _vgnet(all_fixed=True, **common)
            tables[f'VGNet v2{end}'] = _vgnet(is_v2=True, **common)
    return tables


REXNET = _rexnet(use_se=True)
REXNET_LITE = _rexnet(use_se=False)
REXNET_TIMM = _rexnet_timm()
# The smaller network comes first, because all its names are also names of the larger ones.
EFFICIENTNET_B0 = _efficientnet_timm((1, 2, 2, 3, 3, 4, 1))
EFFICIENTNET_B1_B2 = _efficientnet_timm((2, 3, 3, 4, 4, 5, 2))
MOBILEVIG_TI = _mobilevig((2, 2, 6), 2)
MOBILEVIG_S = _mobilevig((3, 3, 9), 3)
NAME_TABLES = {
    'RapidNet': RAPIDNET,
    'ReXNet': REXNET,
    'ReXNet-lite': REXNET_LITE,
    'ReXNet (timm)': REXNET_TIMM,
    'EfficientNet-B0': EFFICIENTNET_B0,
    'EfficientNet-B1, -B2': EFFICIENTNET_B1_B2,
    'MobileViG-Ti': MOBILEVIG_TI,
    'MobileViG-S': MOBILEVIG_S,
    **_vgnets(),
}
