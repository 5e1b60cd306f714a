"""The table of known weights: names, where the files are, and what is known about them.

The facts come from the authors' repositories, the hub's pages and timm. '' means not known.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlparse

HUB = 'https://huggingface.co'


class Known(NamedTuple):
    """Weights that have a name here.

    Attributes:
        model: the network.
        holds: 'classifier', 'detector' or 'segmenter'.
        config: path in ``configs``, without ``.py``, of our config that has this model or starts
            from these weights.
        place: ``hf://OWNER/REPO/FILE`` or a URL. '' if no file is published, or none is known.
        size: of the file, as the source writes it.
        sha256: of the file, or its first digits.
        licence: of the repository that has the file.
        accuracy: of this file if not said otherwise, and the source of the number.
        note: other facts that a user needs.
        others: other places of these weights.
        files: other names that the file may have in ``checkpoints``.
        only_starts: whether the config has another model, which starts from these weights.
    """

    model: str
    holds: str
    config: str
    place: str = ''
    size: str = ''
    sha256: str = ''
    licence: str = ''
    accuracy: str = ''
    note: str = ''
    others: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    only_starts: bool = False

    @property
    def can_be_fetched(self) -> bool:
        """Whether a program can fetch the file. Google Drive needs a person with a browser."""
        return bool(self.place) and urlparse(self.place).hostname != 'drive.google.com'

    @property
    def url(self) -> str:
        """The address of the file for a browser; '' if there is none."""
        owner_repo, mark, path = self.place.removeprefix('hf://').partition('/')
        if not self.place.startswith('hf://'):
            return self.place
        repo, _, file = path.partition('/')
        return f'{HUB}/{owner_repo}{mark}{repo}/resolve/main/{file}'


def _rapidnet(variant: str, size: str) -> Known:
    return Known(
        f'RapidNet-{variant}',
        'classifier',
        f'imagenet/rapidnet_{variant.lower()}_in1k',
        f'hf://SLDGroup/RapidNet/RapidNet_{variant}.pth',
        size,
        licence='Apache-2.0',
        accuracy='paper: top-1 76.3' if variant == 'Ti' else '',
    )


def _rapidnet_task(variant: str, folder: str, size: str) -> Known:
    is_detector = folder == 'Detection'
    holds, end = ('detector', 'Detection') if is_detector else ('segmenter', 'Sem_Seg')
    config = 'maskrcnn_rapidnet_{}_coco' if is_detector else 'semfpn_rapidnet_{}_ade20k'
    return Known(
        f'{"Mask R-CNN" if is_detector else "Semantic FPN"}, RapidNet-{variant}',
        holds,
        config.format(variant.lower()),
        f'hf://SLDGroup/RapidNet/{folder}/RapidNet_{variant}_{end}.pth',
        size,
        licence='Apache-2.0',
    )


def _mobilevig(variant: str, top1: str, size: str, sha256: str, config: str = '') -> Known:
    return Known(
        f'MobileViG-{variant}',
        'classifier',
        config,
        f'hf://SLDGroup/MobileViG/MobileViG_{variant}_{top1.replace(".", "_")}.pth.tar',
        size,
        sha256,
        accuracy=f'name of the file: top-1 {top1}',
        note='' if config else 'this package has no configs for this size',
    )


def _mobilevig_detector(variant: str, file: str, size: str) -> Known:
    return Known(
        f'Mask R-CNN, MobileViG-{variant}',
        'detector',
        '',
        f'hf://SLDGroup/MobileViG/Detection/{file}',
        size,
        note='this package has no configs for this size',
    )


def _rexnet(
    width: str, drive: str, accuracy: str, size: str = '', sha256: str = '', old: str = ''
) -> Known:
    release = 'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-rexnet/'
    name = f'rexnet_{width}'
    older = (f'rexnetv1_{width}-{old}.pth',) if old else ()
    return Known(
        f'ReXNet x{int(width) / 100}',
        'classifier',
        f'imagenet/{name}_in1k',
        f'hf://timm/{name}.nav_in1k/model.safetensors',
        size,
        sha256,
        'MIT',
        f'timm: top-1 / top-5 {accuracy} at 224',
        others=(_drive(drive), *(release + file for file in older)),
        files=(f'rexnetv1_{int(width) / 100}.pth', *older),
    )


def _rexnet_lite(width: str, drive: str) -> Known:
    return Known(
        f'ReXNet-lite x{int(width) / 100}',
        'classifier',
        f'imagenet/rexnet_lite_{width}_in1k',
        _drive(drive),
        licence='MIT',
        note='on Google Drive only',
        files=(f'rexnet_lite_{int(width) / 100}.pth',),
    )


def _drive(file: str) -> str:
    return f'https://drive.google.com/file/d/{file}/view'


def _efficientnet(
    variant: str, start: str, accuracy: str, size: str = '', sha256: str = ''
) -> Known:
    file = f'tf_efficientnet_{variant}_ns-{start}.pth'
    release = 'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/'
    return Known(
        f'EfficientNet-{variant.upper()}, Noisy Student',
        'classifier',
        f'ssdlite_efficientnet_{variant}_coco',
        f'hf://timm/tf_efficientnet_{variant}.ns_jft_in1k/model.safetensors',
        size,
        sha256,
        'Apache-2.0',
        f'timm: top-1 / top-5 {accuracy}',
        others=(release + file,),
        files=(file,),
        only_starts=True,
    )


VGNET_RELEASE = 'https://github.com/ffiirree/cv-models/releases/download/v0.0.2-vgnets-weights/'


def _vgnet(size: str, start: str, accuracy: str, se: str = '') -> Known:
    name = f'vgnetg_{size}{se}'
    return Known(
        f'VGNetG-{size.replace("_", ".").upper()}{" with SE" if se else ""}, version v2',
        'classifier',
        f'imagenet/{name}_v2_in1k',
        f'{VGNET_RELEASE}{name}-{start}.pth',
        sha256=start,
        licence='GPL-3.0',
        accuracy=f'authors: top-1 / top-5 {accuracy} at 224',
        note="version='v2' of VGNet: another network than the paper's",
        files=(f'{name}-{start}.pth',),
    )


def _vgnet_paper(name: str, start: str) -> Known:
    kind, size = name.removeprefix('vgnet').removesuffix('_se').split('_', 1)
    se = ' with SE' if name.endswith('_se') else ''
    return Known(
        f'VGNet{kind.upper()}-{size.replace("_", ".").upper()}{se}, version paper',
        'classifier',
        f'imagenet/{name}_in1k',
        f'{VGNET_RELEASE}{name}-{start}.pth',
        sha256=start,
        licence='GPL-3.0',
        note='of 2021; the authors no longer name this file, and it may be gone',
        files=(f'{name}-{start}.pth',),
    )


def _unpublished(model: str, config: str, note: str = 'no file of it is published') -> Known:
    return Known(model, 'classifier', config, note=note)


ABLATION = 'no file of this ablation is published'
KNOWN = {
    'rapidnet_ti': _rapidnet('Ti', '53.7 MB'),
    'rapidnet_s': _rapidnet('S', '74.7 MB'),
    'rapidnet_m': _rapidnet('M', '140 MB'),
    'rapidnet_b': _rapidnet('B', '246 MB'),
    'rapidnet_m_maskrcnn': _rapidnet_task('M', 'Detection', '435 MB'),
    'rapidnet_b_maskrcnn': _rapidnet_task('B', 'Detection', '587 MB'),
    'rapidnet_m_semfpn': _rapidnet_task('M', 'Semantic_Segmentation', '244 MB'),
    'rapidnet_b_semfpn': _rapidnet_task('B', 'Semantic_Segmentation', '396 MB'),
    'rapidnet_ti_pointwise': _unpublished(
        'RapidNet-Ti: pointwise', 'imagenet/rapidnet_ti_pointwise_in1k', ABLATION
    ),
    'rapidnet_ti_conv3x3': _unpublished(
        'RapidNet-Ti: 3x3', 'imagenet/rapidnet_ti_conv3x3_in1k', ABLATION
    ),
    'rapidnet_ti_sldc': _unpublished(
        'RapidNet-Ti: SLDC', 'imagenet/rapidnet_ti_sldc_in1k', ABLATION
    ),
    'rapidnet_ti_5x5': _unpublished(
        'RapidNet-Ti: one branch 5x5', 'imagenet/rapidnet_ti_5x5_in1k', ABLATION
    ),
    'rapidnet_ti_deformable': _unpublished(
        'RapidNet-Ti: one deformable branch', 'imagenet/rapidnet_ti_deformable_in1k', ABLATION
    ),
    'rapidnet_ti_svga': _unpublished("RapidNet-Ti: MobileViG's graph", '', ABLATION),
    'mobilevig_ti': _unpublished(
        'MobileViG-Ti',
        'imagenet/mobilevig_ti_in1k',
        f'the authors may have a file at {HUB}/SLDGroup/MobileViG, but its name is not known',
    ),
    'mobilevig_s': _mobilevig(
        'S',
        '78.2',
        '117,403,014 bytes',
        'b0230a56f9673158422d31c6c3de67caa2c3e657e60586f81545f4075d467758',
        'imagenet/mobilevig_s_in1k',
    )._replace(note='a commit of its repository deletes this file; it may be gone'),
    'mobilevig_m': _mobilevig(
        'M',
        '80.7',
        '226,322,630 bytes',
        'b6910156aed60961dd910516db82d157276b31c56634f77e7713ed34680053d5',
    ),
    'mobilevig_b': _mobilevig(
        'B',
        '82.6',
        '431,776,004 bytes',
        'a0573c3ec7414b47d27795845638a46d0822c0d3cd779eb5dece6b4ad299e05e',
    ),
    'mobilevig_m_maskrcnn': _mobilevig_detector('M', 'det_mobilevig_m_62_8.pth', '389 MB'),
    'mobilevig_b_maskrcnn': _mobilevig_detector('B', 'det_mobilevig_b_64_3.pth', '542 MB'),
    'rexnet_100': _rexnet(
        '100',
        '1xeIJ3wb83uOowU008ykYj6wDX2dsncA9',
        '77.862 / 93.890',
        '19.4 MB',
        'e26646a976ab46d57a72f528416576bad45b2f36ff72c5205fe35641b17feff4',
        '1b4dddf4',
    ),
    'rexnet_130': _rexnet(
        '130',
        '1x2ziK9Oyv66Y9NsxJxXsdjzpQF2uSJj0',
        '79.492 / 94.680',
        '30.5 MB',
        old='590d768e',
    ),
    'rexnet_150': _rexnet(
        '150',
        '1TOBGsbDhTHWBgqcRnyKIR0tHsJTOPUIG',
        '80.322 / 95.164',
        '39.2 MB',
        '6d48b717bc03f176ad8a953624f687d9279ac921e03699dc500d8b8c0192d445',
        'bd1a6aa8',
    ),
    'rexnet_200': _rexnet(
        '200', '1R1aOTKIe1Mvck86NanqcjWnlR8DY-Z4C', '81.636 / 95.672', old='8c0b7f2d'
    ),
    'rexnet_300': _rexnet(
        '300',
        '1iXAsr8gs3pRz0QyHKomdj5SGVzPWbIs2',
        '82.780 / 96.230',
        '139 MB',
        '29eb2d5a32c824b63cd0d1232077c31d592918a80d5ef40a3f188a7948ae9380',
    ),
    'rexnet_lite_100': _rexnet_lite('100', '1d9G4pLwZwkoDR2TRPCQlxiWiuC7R-Oqf'),
    'rexnet_lite_130': _rexnet_lite('130', '1NsbsdI8qAHG6HdMxmySXcrl9NdEx3s0L'),
    'rexnet_lite_150': _rexnet_lite('150', '12QzIh9A-U0PBGaLNOIr4gX2MoZEBnRjk'),
    'rexnet_lite_200': _rexnet_lite('200', '1pGdG9HWnqSAu1FajmaMJMK5JyOJaiFyW'),
    'rexnet_090': _unpublished('ReXNet x0.9', 'imagenet/rexnet_090_in1k'),
    'rexnet_110': _unpublished('ReXNet x1.1', 'imagenet/rexnet_110_in1k'),
    'rexnet_120': _unpublished('ReXNet x1.2', 'imagenet/rexnet_120_in1k'),
    'rexnet_140': _unpublished('ReXNet x1.4', 'imagenet/rexnet_140_in1k'),
    'rexnet_220': _unpublished('ReXNet x2.2', 'imagenet/rexnet_220_in1k'),
    'tf_efficientnet_b0_ns': _efficientnet('b0', 'c0e6a31c', '78.680 / 94.372 at 224', '21.4 MB'),
    'tf_efficientnet_b1_ns': _efficientnet('b1', '99dd0c41', '81.388 / 95.756 at 240'),
    'tf_efficientnet_b2_ns': _efficientnet(
        'b2',
        '00306e48',
        '82.412 / 96.238 at 260',
        '36.8 MB',
        'd441728dab04096ffe5ba9fd85d9d7b7d988b0457273e683f9aba17d8e9c58c3',
    ),
    'resnet50': Known(
        'ResNet-50 (torchvision, IMAGENET1K_V1)',
        'classifier',
        'maskrcnn_r50_coco',
        'https://download.pytorch.org/models/resnet50-0676ba61.pth',
        sha256='0676ba61',
        others=('hf://timm/resnet50.tv_in1k/model.safetensors',),
        files=('resnet50-0676ba61.pth',),
        only_starts=True,
    ),
    'regnety_160': Known(
        'RegNetY-16GF of DeiT, the teacher',
        'classifier',
        'imagenet/rapidnet_m_in1k',
        'https://dl.fbaipublicfiles.com/deit/regnety_160-a5fe301d.pth',
        sha256='a5fe301d',
        accuracy='timm: top-1 / top-5 83.000 / 96.502 at 224',
        others=('hf://timm/regnety_160.deit_in1k/model.safetensors',),
        files=('regnety_160-a5fe301d.pth',),
        only_starts=True,
    ),
    'vgnetg_1_0mp': _vgnet('1_0mp', '0f87bf6c', '68.128 / 88.312'),
    'vgnetg_1_0mp_se': _vgnet('1_0mp', '914a9c4a', '70.122 / 89.524', '_se'),
    'vgnetg_1_5mp': _vgnet('1_5mp', '1ea464de', '70.494 / 89.684'),
    'vgnetg_1_5mp_se': _vgnet('1_5mp', '6d9ebf3b', '72.422 / 90.664', '_se'),
    'vgnetg_2_0mp': _vgnet('2_0mp', '4594e276', '72.314 / 90.730'),
    'vgnetg_2_0mp_se': _vgnet('2_0mp', '132bc3af', '74.324 / 91.788', '_se'),
    'vgnetg_2_5mp': _vgnet('2_5mp', 'd38ca7ae', '73.740 / 91.516'),
    'vgnetg_2_5mp_se': _vgnet('2_5mp', 'ed87bdb1', '75.590 / 92.568', '_se'),
    'vgnetg_1_0mp_paper': _vgnet_paper('vgnetg_1_0mp', '533cb12b'),
    'vgnetg_1_0mp_se_paper': _vgnet_paper('vgnetg_1_0mp_se', '4ddbde88'),
    'vgnetg_1_5mp_paper': _vgnet_paper('vgnetg_1_5mp', 'cbaa0f5d'),
    'vgnetg_2_0mp_paper': _vgnet_paper('vgnetg_2_0mp', 'aa9fa383'),
    'vgnetg_2_5mp_paper': _vgnet_paper('vgnetg_2_5mp', '378e2472'),
    'vgnetc_1_5mp_paper': _vgnet_paper('vgnetc_1_5mp', '3711bf00'),
    'vgnetf_1_5mp_paper': _vgnet_paper('vgnetf_1_5mp', 'e7c1e174'),
    'vgnete_1_5mp_paper': _vgnet_paper('vgnete_1_5mp', 'fdc6e0e8'),
}


def entry_of(source: str) -> Known | None:
    """Return the entry of a name, such as 'rapidnet_m' or 'timm/rexnet_100.nav_in1k'.

    For a model of timm that is not in the table, the entry has only the model and the place. The
    result is None for a file, a URL, or an unknown name.
    """
    if source in KNOWN:
        return KNOWN[source]
    owner, _, model = source.partition('/')
    if owner != 'timm' or not model or '/' in model or model.endswith(('.pth', '.safetensors')):
        return None
    place = f'hf://timm/{model}/model.safetensors'
    for entry in KNOWN.values():
        if entry.place == place:
            return entry
    return Known(model, 'classifier', '', place)


def file_names(name: str, entry: Known) -> list[str]:
    """Return the names that the file of an entry may have in the folder ``checkpoints``."""
    stem = name.rpartition('/')[2]
    names = [f'{stem}.pth', f'{stem}.safetensors', *entry.files]
    published = entry.place.rpartition('/')[2]
    if published not in ('', 'view', 'model.safetensors'):
        names.append(published)
    return list(dict.fromkeys(names))
