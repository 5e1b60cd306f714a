"""Published parameters and FLOPs (multiply-adds), each with the model to build and compare.

A row is data. A new family adds its rows, and a class for its classifier if it needs one. What the
authors print is kept apart from what their code counts: :mod:`.row`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..backbones.mobilevig import ARCHS as MOBILEVIG_ARCHS
from ..backbones.rapidnet import ARCHS
from .row import Basis, Figure, Row

LINEAR = dict(type='LinearClassifier')


def _two_classifiers(hidden_channels: int) -> dict[str, Any]:
    return dict(type='TwoClassifiers', hidden_channels=hidden_channels)


RAPIDNET_PAPER = 'RapidNet (arXiv 2412.10995)'
REXNET_PAPER = 'ReXNet (arXiv 2007.00992)'

# RapidNet: parameters and G at 224 with both classifiers, each as printed and as counted; G at 512
# without classifiers, as counted. What is printed of the larger models is not recorded here.
RAPIDNET = {
    'ti': (('6.6 M', '6,627,840'), ('0.6 G', '0.617 G'), '3.22 G'),
    's': (('', '9,213,088'), ('', '0.897 G'), '4.68 G'),
    'm': (('', '17,304,496'), ('', '1.597 G'), '8.34 G'),
    'b': (('', '30,556,496'), ('', '3.354 G'), '17.52 G'),
}
# ReXNet (Table A1): parameters and G at 224, each as printed and as counted.
REXNET = {
    0.9: (('4.1M', '4,091,257'), ('0.35B', '0.348 G')),
    1.0: (('4.8M', '4,796,873'), ('0.40B', '0.398 G')),
    1.1: (('5.6M', '5.64 M'), ('0.48B', '0.481 G')),
    1.2: (('6.6M', '6.57 M'), ('0.57B', '0.567 G')),
    1.3: (('7.6M', '7,557,091'), ('0.66B', '0.662 G')),
    1.4: (('8.6M', '8.61 M'), ('0.76B', '0.762 G')),
    1.5: (('9.7M', '9,728,593'), ('0.86B', '0.876 G')),
    2.0: (('16M', '16,366,620'), ('1.5B', '1.529 G')),
    2.2: (('19M', '19,485,308'), ('1.8B', '1.843 G')),
    3.0: (('34M', '34,708,792'), ('3.4B', '3.396 G')),
}
REXNET_ACTIVATIONS = ('ReLU6', 'LeakyReLU', 'Softplus', 'ELU')  # in place of SiLU, Table A2
# The plain network, as printed and as derived: the paper describes it, but has no code for it.
REXNET_PLAIN = (('3.4M', '3,399,240'), ('0.56B', '0.565 G'))
# Printed in the README of the authors' code.
REXNET_LITE = {
    1.0: (('4.7M', '4,740,056'), ('0.41B', '0.407 G')),
    1.3: (('6.8M', '6,747,960'), ('0.65B', '0.646 G')),
    1.5: (('8.3M', '8,332,296'), ('0.84B', '0.836 G')),
    2.0: (('13M', '12,966,200'), ('1.5B', '1.498 G')),
}
# RapidNet-Ti's ablations (Tables 4 to 6): what is changed, parameters and G at 224, where printed.
# The first three have neither positional encodings nor large kernels in the feed-forward networks.
# The paper does not say which of the two branches has the 5x5 kernel, or its dilation. The
# deformable kernel has no dilation. The counts show that there are two branches, and that one of
# them has such a kernel. They do not show whether the other one has dilation 2 or 3.
PLAIN = dict(use_cpe=False, large_kernel_ffn=False)
LEVEL_2, LEVEL_3, LEVEL_4 = (dict(dilation=dilation) for dilation in (2, 3, 4))
ONE_5X5 = (LEVEL_2, dict(LEVEL_3, kernel_size=5))
ONE_DEFORMABLE = (LEVEL_2, dict(deformable=True))
RAPIDNET_ABLATIONS = {
    'pointwise': (dict(mixer='pointwise', **PLAIN), '', '0.4 G'),
    '3x3': (dict(mixer='conv3x3', **PLAIN), '', '0.5 G'),
    'SLDC': (dict(mixer='sldc', **PLAIN), '', '0.5 G'),
    'SLDC, CPE': (dict(mixer='sldc', large_kernel_ffn=False), '', '0.5 G'),
    'SLDC, CPE, large kernels': (dict(mixer='sldc'), '', '0.5 G'),
    'MLDC, CPE, large kernels': ({}, '6.6 M', '0.6 G'),
    'dilations 3 and 4': (dict(branches=(LEVEL_3, LEVEL_4)), '6.6 M', ''),
    'one branch 5x5': (dict(branches=ONE_5X5), '8.6 M', ''),
    'one deformable branch': (
        dict(branches=ONE_DEFORMABLE),
        '6.7 M',
        '',
    ),
}
# MobileViG: parameters and G at 224 with both classifiers, as counted. RapidNet's paper prints G.
MOBILEVIG = {'ti': ('5,271,074', ('0.7 G', '0.662 G')), 's': ('7,276,538', ('', '0.984 G'))}
# VGNet: learned parameters, without fixed kernels, as printed and as counted.
VGNET = {
    'g_1_0mp': ('VGNetG-1.0MP', ('0.99M', '997,358')),
    'g_1_0mp_se': ('VGNetG-1.0MP with SE', ('1.14M', '1,143,190')),
    'g_1_5mp': ('VGNetG-1.5MP', ('', '1,502,024')),
    'g_2_0mp': ('VGNetG-2.0MP', ('', '2,006,380')),
    'g_2_5mp': ('VGNetG-2.5MP', ('', '2,492,756')),
    'c_1_5mp': ('VGNetC-1.5MP', ('', '1,506,344')),
    'f_1_5mp': ('VGNetF-1.5MP, edges and Gaussians', ('', '1,485,896')),
    'e_1_5mp': ('VGNetF-1.5MP, edges', ('', '1,485,896')),
}
# VGNet version 2: parameters as printed and as counted. The printed FLOPs are 1 to 2 % above ours;
# the authors do not say what they count.
VGNET_V2 = {
    'g_1_0mp': ('1.000M', '1,000,256'),
    'g_1_0mp_se': ('1.146M', '1,146,088'),
    'g_1_5mp': ('1.506M', '1,506,056'),
    'g_1_5mp_se': ('1.706M', '1,705,712'),
    'g_2_0mp': ('2.01M', '2,010,412'),
    'g_2_0mp_se': ('2.349M', '2,348,728'),
    'g_2_5mp': ('2.497M', '2,497,040'),
    'g_2_5mp_se': ('2.927M', '2,926,568'),
}
# SSDLite at 320: parameters and G, each as printed and as computed. The paper does not describe the
# head. One head gives all twelve numbers; ours has to match it to the last computed digit.
SSDLITE = {
    'efficientnet_b0': ('6.2 M', '6.15 M', '0.97 G', '0.972 G'),
    'rexnet_090': ('5.0 M', '4.99 M', '0.88 G', '0.888 G'),
    'efficientnet_b1': ('8.7 M', '8.65 M', '1.35 G', '1.347 G'),
    'rexnet_100': ('5.7 M', '5.68 M', '1.01 G', '1.008 G'),
    'efficientnet_b2': ('10.0 M', '9.95 M', '1.55 G', '1.544 G'),
    'rexnet_130': ('8.4 M', '8.43 M', '1.60 G', '1.601 G'),
}
# With a feature pyramid, at 1200x800: parameters and FLOPs as printed, and the tolerance of the
# FLOPs. The Mask R-CNN rows repeat the FLOPs of Faster R-CNN, which do not include the mask head.
FASTER_RCNN = {
    'efficientnet_b0': ('21.0M', '123.0B', '0.3 G'),
    'rexnet_090': ('20.1M', '123.0B', '0.2 G'),
    'rexnet_100': ('20.7M', '124.1B', '0.2 G'),
    'rexnet_220': ('33.0M', '153.8B', '0.2 G'),
    'r50': ('41.8M', '202.2B', '0.8 G'),
}
MASK_RCNN = {
    'efficientnet_b0': ('23.7M', '123.0B', '0.3 G'),
    'rexnet_090': ('22.8M', '123.0B', '0.2 G'),
    'rexnet_100': ('23.3M', '124.1B', '0.2 G'),
    'rexnet_220': ('35.6M', '153.8B', '0.2 G'),
    'r50': ('44.2M', '207B', '0.8 G'),
}
FPN_FLOPS = """\
The FLOPs that ReXNet's authors print for detectors with a feature pyramid are those of 800x1280,
the default of MMDetection's counter, without a mask head. The remaining difference is 0.1 B for
ReXNet and 0.6 to 0.7 B for ResNet-50. Biases, activations and normalisation, which that counter
includes, are as large. ResNet-50's 202.2 B are those of the variant with the stride in the first
1x1 convolution (style=caffe), its 207 B those of the usual variant. EfficientNet-B0's FLOPs are
0.2 B below ours, and we cannot explain this."""
DEFAULT_SHAPE = (800, 1280)  # the default of MMDetection's counter
BASES = {
    'fasterrcnn': Basis(DEFAULT_SHAPE),
    'maskrcnn': Basis(DEFAULT_SHAPE, without=('roi_head.mask_head',)),
    'fasterrcnn_r50': Basis(DEFAULT_SHAPE, options={'model.backbone.style': 'caffe'}),
}
# Printed without the frozen stem and first stage.
LEARNABLE_ONLY = {'maskrcnn_r50_coco'}


def _counted(numbers: tuple[str, str]) -> Figure:
    printed, counted = numbers
    return Figure(printed, counted=counted)


def _rapidnet() -> Iterator[Row]:
    for arch, (params, flops, _) in RAPIDNET.items():
        yield Row(
            source=f'{RAPIDNET_PAPER}, ImageNet, both classifiers',
            model=f'RapidNet-{arch.title()}',
            build=dict(type='RapidNet', arch=arch),
            shape=(224, 224),
            params=_counted(params),
            flops=_counted(flops),
            head=_two_classifiers(ARCHS[arch].head_channels),
        )
    for arch, (_, _, flops) in RAPIDNET.items():
        yield Row(
            source=f'{RAPIDNET_PAPER}, backbone',
            model=f'RapidNet-{arch.title()}',
            build=dict(type='RapidNet', arch=arch),
            shape=(512, 512),
            flops=Figure(counted=flops),
        )


def _ablations() -> Iterator[Row]:
    source = f'{RAPIDNET_PAPER}, ablations'
    head = _two_classifiers(ARCHS['ti'].head_channels)
    for name, (changes, params, flops) in RAPIDNET_ABLATIONS.items():
        yield Row(
            source,
            model=f'RapidNet-Ti: {name}',
            build=dict(type='RapidNet', arch='ti', **changes),
            shape=(224, 224),
            params=Figure(params) if params else None,
            flops=Figure(flops) if flops else None,
            head=head,
        )
    for name, backbone, flops, distilled in (
        ('RapidNet-Ti: not distilled', dict(type='RapidNet', arch='ti'), '0.6 G', False),
        ('MobileViG-Ti: distilled', dict(type='MobileViG', arch='ti'), '0.7 G', True),
        ('MobileViG-Ti: not distilled', dict(type='MobileViG', arch='ti'), '0.7 G', False),
    ):
        yield Row(
            source,
            model=name,
            build=backbone,
            shape=(224, 224),
            flops=Figure(flops),
            head={**head, 'distilled': distilled},
        )


def _rexnet() -> Iterator[Row]:
    def row(model: str, params: Figure, flops: Figure, head: Mapping, **backbone: object) -> Row:
        return Row(f'{REXNET_PAPER}, ImageNet', model, backbone, (224, 224), params, flops, head)

    for width, numbers in REXNET.items():
        backbone = dict(type='ReXNet', width_mult=width, out_indices=(4,))
        yield row(f'ReXNet x{width}', *map(_counted, numbers), LINEAR, **backbone)
    for name in REXNET_ACTIVATIONS:
        backbone = dict(type='ReXNet', act_cfg=dict(type=name), out_indices=(4,))
        numbers = Figure('4.8M'), Figure('0.40B')
        yield row(f'ReXNet x1.0 with {name}', *numbers, LINEAR, **backbone)
    numbers = (Figure(*both) for both in REXNET_PLAIN)
    yield row('ReXNet (plain)', *numbers, LINEAR, type='ReXNetPlain')
    for width, numbers in REXNET_LITE.items():
        backbone = dict(type='ReXNetLite', width_mult=width, out_indices=(4,))
        head = dict(type='HiddenClassifier')
        yield row(f'ReXNet-lite x{width}', *map(_counted, numbers), head, **backbone)


def _mobilevig() -> Iterator[Row]:
    for arch, (params, flops) in MOBILEVIG.items():
        yield Row(
            source='MobileViG (arXiv 2307.00395), ImageNet, both classifiers',
            model=f'MobileViG-{arch.title()}',
            build=dict(type='MobileViG', arch=arch),
            shape=(224, 224),
            params=Figure(counted=params),
            flops=_counted(flops),
            head=_two_classifiers(MOBILEVIG_ARCHS[arch].head_channels),
        )


def _vgnet() -> Iterator[Row]:
    for arch, (name, params) in VGNET.items():
        yield Row(
            source='VGNet (arXiv 2207.10318), ImageNet',
            model=name,
            build=dict(type='VGNet', arch=arch),
            shape=(224, 224),
            params=_counted(params),
            head=LINEAR,
        )


def _vgnet_v2() -> Iterator[Row]:
    for arch, (printed, counted) in VGNET_V2.items():
        size = arch[2:5].replace('_', '.')
        attention = ' with SE' if arch.endswith('_se') else ''
        yield Row(
            source="VGNet, the authors' later network, ImageNet",
            model=f'VGNetG-{size}MP{attention}, version 2',
            build=dict(type='VGNet', arch=arch, version='v2'),
            shape=(224, 224),
            params=Figure(printed, counted=counted),
            head=LINEAR,
        )


def _detectors() -> Iterator[Row]:
    for name, (params, exact_params, flops, exact_macs) in SSDLITE.items():
        yield Row(
            source=f'{REXNET_PAPER}, SSDLite',
            model=(config := f'ssdlite_{name}_coco'),
            build=config,
            shape=(320, 320),
            params=Figure(params, exact_params),
            flops=Figure(flops, exact_macs),
        )
    for detector, table in (('fasterrcnn', FASTER_RCNN), ('maskrcnn', MASK_RCNN)):
        for name, (params, flops, tolerance) in table.items():
            yield Row(
                source=f'{REXNET_PAPER}, FPN detectors',
                model=(config := f'{detector}_{name}_coco'),
                build=config,
                shape=(800, 1200),
                # More than rounding, because the paper does not describe every layer of its heads.
                params=Figure(params, tolerance='0.1 M'),
                flops=Figure(flops, tolerance=tolerance),
                learnable=config in LEARNABLE_ONLY,
                basis=BASES.get(f'{detector}_{name}', BASES[detector]),
            )


ROWS = (
    *_rapidnet(),
    *_rexnet(),
    *_detectors(),
    *_mobilevig(),
    *_ablations(),
    *_vgnet(),
    *_vgnet_v2(),
)
