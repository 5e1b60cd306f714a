"""Compare with what was recorded from published implementations: oracle.py FOLDER.

FOLDER/reference/*.json     keys and outputs of published backbones, FOLDER/reference/fill.py
FOLDER/reference/mmcv_ops.npz   inputs and outputs of mmcv's compiled operators
FOLDER/data/coco_eval_oracle    detections with their published AP
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn

from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.engine.config import load_config
from rapidnet_mm.engine.metrics.coco import coco_api, evaluate
from rapidnet_mm.models.classifiers import TwoClassifiers
from rapidnet_mm.weights.load import fill_model, weights_for
from rapidnet_mm.weights.release import write_checked
from rapidnet_mm.weights.translate import to_ours

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.reference import logits, mobilevig_outputs, rexnet_outputs, vgnet_outputs

REPOSITORY = Path(__file__).parents[1]


def rapidnet_outputs(arch: str, state: dict, image: torch.Tensor) -> dict:
    model = RapidNet(arch).double().eval()
    model.load_state_dict(to_ours(state)[0])
    maps = model(image)
    return {f'stage{index}': output for index, output in enumerate(maps)} | {
        'logits': logits(TwoClassifiers(maps[-1].shape[1]), state, maps[-1])
    }


VGNETS = ('g_1_0mp', 'g_1_0mp_se', 'g_1_5mp', 'c_1_5mp', 'f_1_5mp', 'e_1_5mp')
VGNETS_V2 = ('g_1_0mp', 'g_1_0mp_se', 'g_1_5mp', 'c_1_0mp')  # the authors' later network
# What gives the recorded maps by name, from published weights and an image.
BACKBONES = {
    'rapidnet_ti': partial(rapidnet_outputs, 'ti'),
    'rapidnet_m': partial(rapidnet_outputs, 'm'),
    'rexnet_100': partial(rexnet_outputs, 'ReXNet'),
    'rexnet_lite_100': partial(rexnet_outputs, 'ReXNetLite'),
    'mobilevig_ti': partial(mobilevig_outputs, 'ti'),
    **{f'vgnet{arch}': partial(vgnet_outputs, arch) for arch in VGNETS},
    **{f'vgnet_head_{arch}': partial(vgnet_outputs, arch, version='v2') for arch in VGNETS_V2},
}
RAPIDNET_MAPS = {f'stage{index}': f'stages.{index}' for index in range(4)}
REXNET_MAPS = {
    'block2': 'stages.0',
    'block4': 'stages.1',
    'block10': 'stages.2',
    'block15': 'stages.3',
    'expand_s16': 'stages.3.0.expand',
    'penultimate_s32': 'stages.4',
}
VGNET_MAPS = {f'stage{index + 1}': f'stages.{index}' for index in range(4)}
# Whole models that such weights go into, and where inside their backbones the recorded maps are.
WHOLE = {
    'rapidnet_ti': (['maskrcnn_rapidnet_ti_coco', 'semfpn_rapidnet_ti_ade20k'], RAPIDNET_MAPS),
    'rapidnet_m': (['maskrcnn_rapidnet_m_coco', 'semfpn_rapidnet_m_ade20k'], RAPIDNET_MAPS),
    'rexnet_100': (
        ['maskrcnn_rexnet_100_coco', 'semfpn_rexnet_100_ade20k', 'ssdlite_rexnet_100_coco'],
        REXNET_MAPS,
    ),
    'rexnet_lite_100': (['ssdlite_rexnet_lite_100_coco'], REXNET_MAPS),
    'mobilevig_ti': (['maskrcnn_mobilevig_ti_coco'], RAPIDNET_MAPS),
    **{
        f'vgnet{arch}': (
            [
                f'maskrcnn_vgnet{arch}_coco',
                f'semfpn_vgnet{arch}_ade20k',
                f'ssdlite_vgnet{arch}_coco',
            ],
            VGNET_MAPS,
        )
        for arch in ('g_1_0mp', 'g_1_5mp')
    },
}
# Whole classifiers that they fill, by their configs in configs/imagenet.
CLASSIFIERS = {
    'rapidnet_ti': 'rapidnet_ti_in1k',
    'rapidnet_m': 'rapidnet_m_in1k',
    'rexnet_100': 'rexnet_100_in1k',
    'rexnet_lite_100': 'rexnet_lite_100_in1k',
    'mobilevig_ti': 'mobilevig_ti_in1k',
    **{f'vgnet{arch}': f'vgnet{arch}_in1k' for arch in VGNETS},
    **{f'vgnet_head_{arch}': f'vgnet{arch}_v2_in1k' for arch in VGNETS_V2},
}
# In float64 and as fill.py writes it, in float32, where the weights themselves are rounded.
FILES = {'double.pth': 1e-9, 'double.safetensors': 1e-9, 'single.pth': 1e-5}
COCO_NUMBERS = 'AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl'.split(' ')


def load_fill(folder: Path):
    spec = importlib.util.spec_from_file_location('fill', folder / 'fill.py')
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    return fill


def filled(fill, path: Path) -> dict:
    return {k: torch.from_numpy(np.asarray(v)) for k, v in fill.state_dict(path).items()}


def check_backbones(folder: Path) -> None:
    fill = load_fill(folder)
    for name, run in BACKBONES.items():
        path = folder / f'{name}.json'
        expected = json.loads(path.read_text())['outputs']
        state = filled(fill, path)
        outputs = run(state, torch.from_numpy(fill.reference_input()))
        assert set(outputs) == set(expected), (name, set(expected) ^ set(outputs))
        worst = max(difference(outputs[tap], expected[tap]) for tap in outputs)
        assert worst < 1e-9, (name, worst)
        print(f'{name}: {len(outputs)} maps within {worst:.1e} of the published implementation')


def check_whole_models(folder: Path) -> None:
    """Published files into the backbones of detectors and segmenters, by init_cfg."""
    MMLogger.get_current_instance().setLevel('WARNING')  # it lists every parameter
    fill = load_fill(folder)
    image = torch.from_numpy(fill.reference_input())
    for name, (configs, places) in WHOLE.items():
        path = folder / f'{name}.json'
        expected = json.loads(path.read_text())['outputs']
        with tempfile.TemporaryDirectory() as files:
            torch.save({'model': filled(fill, path)}, f'{files}/double.pth')
            write_checked(filled(fill, path), f'{files}/double.safetensors')
            script = [sys.executable, str(folder / 'fill.py'), str(path), f'{files}/single.pth']
            subprocess.run(script, check=True)
            for config in configs:
                backbone = built(config).backbone
                for file, tolerance in FILES.items():
                    maps = maps_with(backbone, f'{files}/{file}', places, image)
                    worst = max(difference(maps[tap], expected[tap]) for tap in maps)
                    assert worst < tolerance, (config, file, worst)
                    print(f'{config} from {name}, {file}: {len(maps)} maps within {worst:.1e}')


def check_classifiers(folder: Path) -> None:
    """Published files into whole classifiers, heads and all."""
    fill = load_fill(folder)
    image = torch.from_numpy(fill.reference_input())
    for name, config in CLASSIFIERS.items():
        path = folder / f'{name}.json'
        expected = json.loads(path.read_text())['outputs']['logits']
        model = built(f'imagenet/{config}')
        weights = weights_for(model, {'model': filled(fill, path)}, path.name)
        coverage = fill_model(model, weights, path.name)
        assert coverage.complete, coverage
        assert not coverage.unused, coverage
        with torch.no_grad():
            worst = difference(model(image), expected)
        assert worst < 1e-9, (config, worst)
        print(f'{config} from {name}: {coverage}, logits within {worst:.1e}')


def built(config: str) -> nn.Module:
    cfg = load_config(REPOSITORY / f'configs/{config}.py')
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model).double().eval()


def maps_with(backbone: nn.Module, file: str, places: dict, image: torch.Tensor) -> dict:
    inner = backbone.inner_backbone()  # SSDLite's backbone is wrapped in another
    inner.init_cfg = dict(type='Pretrained', checkpoint=file)
    inner._is_init = False
    inner.init_weights()
    maps, modules = {}, dict(inner.named_modules())
    hooks = []
    for tap, place in places.items():
        if place not in modules:  # the last convolution, which only SSDLite has
            continue
        module = modules[place][-1] if place.count('.') == 1 else modules[place]

        def keep(module, args, output, tap=tap):  # noqa: ARG001
            maps[tap] = output

        hooks.append(module.register_forward_hook(keep))
    with torch.no_grad():
        backbone(image)
    for hook in hooks:
        hook.remove()
    return maps


def difference(output: torch.Tensor, expected: dict) -> float:
    """Of the samples, relative to the largest number of the map."""
    assert list(output.shape) == expected['shape']
    flat = output.detach().flatten()
    pairs = [(flat[int(place)].item(), value) for place, value in expected['samples'].items()]
    return max(abs(ours - theirs) for ours, theirs in pairs) / expected['absmax']


def check_operators(path: Path) -> None:
    from mmcv.ops import nms, roi_align

    expected = {key: torch.from_numpy(value) for key, value in np.load(path).items()}
    for size in (7, 14):
        for ratio in (0, 2):
            image = expected['x'].clone().requires_grad_()
            output = roi_align(image, expected['rois'], (size, size), 0.25, ratio, 'avg', True)
            output.square().sum().backward()
            assert output.equal(expected[f'roi_align_{size}_{ratio}'])
            assert image.grad.equal(expected[f'roi_align_grad_{size}_{ratio}'])
    for threshold in (0.3, 0.5, 0.7):
        found, kept = nms(expected['boxes'], expected['scores'], threshold)
        assert kept.equal(expected[f'nms_keep_{threshold}'])
        assert found.equal(expected[f'nms_dets_{threshold}'])
    print('mmcv operators: RoIAlign, its gradient and NMS equal to the bit')


def check_coco(folder: Path) -> None:
    expected = json.loads((folder / 'expected.json').read_text())
    for backend in ('faster_coco_eval', 'pycocotools'):
        for kind, numbers in expected.items():
            truth = coco_api(backend).COCO(str(folder / 'instances_val2014_100.json'))
            found = json.loads(
                (folder / f'instances_val2014_fake{kind}100_results.json').read_text()
            )
            stats = evaluate(truth, found, kind, backend).stats
            pairs = zip(COCO_NUMBERS, stats[:12], strict=True)
            worst = max(abs(numbers[name] - value) for name, value in pairs)
            assert worst < 1e-6, (backend, kind, worst)
            print(f'{backend} {kind}: twelve numbers within {worst:.1e} of the published ones')


def main() -> None:
    folder = Path(sys.argv[1])
    if (folder / 'reference').is_dir():
        check_backbones(folder / 'reference')
        check_whole_models(folder / 'reference')
        check_classifiers(folder / 'reference')
        check_operators(folder / 'reference/mmcv_ops.npz')
    if (folder / 'data/coco_eval_oracle').is_dir():
        check_coco(folder / 'data/coco_eval_oracle')


if __name__ == '__main__':
    main()
