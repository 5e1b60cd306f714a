"""Compare with what was recorded from published implementations: oracle.py FOLDER.

FOLDER/reference/*.json     keys and outputs of published backbones, FOLDER/reference/fill.py
FOLDER/reference/mmcv_ops.npz   inputs and outputs of mmcv's compiled operators
FOLDER/data/coco_eval_oracle    detections with their published AP
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch

from rapidnet_mm.backbones import RapidNet
from rapidnet_mm.checkpoints import to_ours
from rapidnet_mm.evaluation.coco import coco_api, evaluate

MODELS = {'rapidnet_ti': lambda: RapidNet('ti'), 'rapidnet_m': lambda: RapidNet('m')}
COCO_NUMBERS = 'AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl'.split(' ')


def check_backbones(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location('fill', folder / 'fill.py')
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    for name, build in MODELS.items():
        path = folder / f'{name}.json'
        expected = json.loads(path.read_text())
        state = {k: torch.from_numpy(np.asarray(v)) for k, v in fill.state_dict(path).items()}
        model = build().double().eval()
        model.load_state_dict(to_ours(state)[0])
        worst = 0.0
        for index, output in enumerate(model(torch.from_numpy(fill.reference_input()))):
            stage = expected['outputs'][f'stage{index}']
            assert list(output.shape) == stage['shape'], (name, index)
            flat = output.detach().flatten()
            for place, value in stage['samples'].items():
                worst = max(worst, abs(flat[int(place)].item() - value) / stage['absmax'])
        assert worst < 1e-9, (name, worst)
        print(f'{name}: every stage within {worst:.1e} of the published implementation')


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
