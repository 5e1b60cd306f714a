"""Compare with what was recorded from published implementations: oracle.py FOLDER.

FOLDER/reference/*.json     keys and outputs of published backbones, FOLDER/reference/fill.py
FOLDER/reference/mmcv_ops.npz   inputs and outputs of mmcv's compiled operators
FOLDER/data/coco_eval_oracle    detections with their published AP
"""

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.checkpoints import to_ours
from rapidnet_mm.evaluation.coco import coco_api, evaluate

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.reference import rexnet_outputs


def rapidnet_outputs(arch: str, state: dict, image: torch.Tensor) -> dict:
    model = RapidNet(arch).double().eval()
    model.load_state_dict(to_ours(state)[0])
    return {f'stage{index}': output for index, output in enumerate(model(image))}


# What gives the recorded maps by name, from published weights and an image.
MODELS = {
    'rapidnet_ti': partial(rapidnet_outputs, 'ti'),
    'rapidnet_m': partial(rapidnet_outputs, 'm'),
    'rexnet_100': partial(rexnet_outputs, 'ReXNet'),
    'rexnet_lite_100': partial(rexnet_outputs, 'ReXNetLite'),
}
COCO_NUMBERS = 'AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl'.split(' ')


def check_backbones(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location('fill', folder / 'fill.py')
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    for name, run in MODELS.items():
        path = folder / f'{name}.json'
        expected = json.loads(path.read_text())['outputs']
        state = {k: torch.from_numpy(np.asarray(v)) for k, v in fill.state_dict(path).items()}
        outputs = run(state, torch.from_numpy(fill.reference_input()))
        if name.startswith('rapidnet'):
            del expected['logits']  # its classifier is not part of the package
        assert set(outputs) == set(expected), (name, set(expected) ^ set(outputs))
        worst = max(difference(outputs[tap], expected[tap]) for tap in outputs)
        assert worst < 1e-9, (name, worst)
        print(f'{name}: {len(outputs)} maps within {worst:.1e} of the published implementation')


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
        check_operators(folder / 'reference/mmcv_ops.npz')
    if (folder / 'data/coco_eval_oracle').is_dir():
        check_coco(folder / 'data/coco_eval_oracle')


if __name__ == '__main__':
    main()
