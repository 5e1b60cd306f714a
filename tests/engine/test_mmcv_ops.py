import hashlib
import importlib.util
import pickle
import subprocess
import sys
import types

import mmcv
import numpy as np
import pytest
import torch

import rapidnet_mm  # comes first: it serves the operators

# isort: split
from mmcv.ops import RoIAlign, batched_nms, nms, roi_align, sigmoid_focal_loss

from rapidnet_mm import installation
from rapidnet_mm.engine import mmcv_ops
from tests.reference import recorded

EXPECTED = recorded('mmcv_ops.json')
SERVED_BY_US = importlib.util.find_spec('mmcv._ext').origin == 'torchvision'

needs_stand_in = pytest.mark.skipif(not SERVED_BY_US, reason='this mmcv has its own operators')
on_every_device = pytest.mark.parametrize(
    'device',
    [
        'cpu',
        pytest.param(
            'cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA')
        ),
    ],
)


def wave(rows, columns, step, start):
    return np.abs(np.sin(np.arange(rows * columns) * step + start)).reshape(rows, columns)


def corners(top_left, size):
    return np.concatenate([top_left, top_left + size], axis=1).astype(np.float32)


def feature_map():
    values = np.sin(np.arange(2 * 8 * 16 * 20) * 0.371 + 0.2)
    return torch.from_numpy(values.astype(np.float32)).reshape(2, 8, 16, 20)


def regions():
    """(16, 5): image, x1, y1, x2, y2; one larger than the map, one smaller than a pixel."""
    boxes = corners(wave(16, 2, 1.31, 0.4) * [50, 40], wave(16, 2, 2.17, 0.9) * [40, 30] + 1)
    boxes[:2] = [[-10, -10, 100, 90], [5, 5, 5.2, 5.1]]
    images = np.arange(16, dtype=np.float32)[:, None] % 2
    return torch.from_numpy(np.concatenate([images, boxes], axis=1))


def candidates():
    """300 boxes (x1, y1, x2, y2), their scores, all different, and their labels."""
    boxes = corners(wave(300, 2, 0.913, 0.1) * 200, wave(300, 2, 1.713, 0.7) * 80 + 2)
    scores = wave(300, 1, 3.331, 0.3).astype(np.float32)[:, 0]
    return torch.from_numpy(boxes), torch.from_numpy(scores), torch.arange(300) * 2 % 5


def assert_same_bits(tensor, name):
    expected = EXPECTED[name]
    array = np.ascontiguousarray(tensor.detach().cpu().numpy())
    assert list(array.shape) == expected['shape']
    for index, value in expected['samples'].items():  # says how far off, where the hash cannot
        assert array.flat[int(index)].item() == value
    assert hashlib.sha256(array.tobytes()).hexdigest() == expected['sha256']


def loss_gradient(features, rois, size, sampling_ratio):
    """RoIAlign's output and the gradient of the sum of its squares."""
    features = features.clone().requires_grad_()
    output = roi_align(features, rois, size, 0.25, sampling_ratio, 'avg', True)
    output.square().sum().backward()
    return output.detach(), features.grad


def run_python(code):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=False
    )


def test_inputs_are_those_of_the_recording():
    boxes, scores, labels = candidates()
    for name, tensor in {
        'x': feature_map(),
        'rois': regions(),
        'boxes': boxes,
        'scores': scores,
        'labels': labels,
    }.items():
        assert_same_bits(tensor, name)


@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('size', [7, 14])
def test_roi_align_and_its_gradient_equal_the_compiled_ones_bit_for_bit(size, sampling_ratio):
    output, gradient = loss_gradient(feature_map(), regions(), size, sampling_ratio)
    assert_same_bits(output, f'roi_align_{size}_{sampling_ratio}')
    assert_same_bits(gradient, f'roi_align_grad_{size}_{sampling_ratio}')


@on_every_device
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align_and_its_gradient_are_the_same_on_every_device(device, sampling_ratio):
    expected = loss_gradient(feature_map(), regions(), 7, sampling_ratio)
    actual = loss_gradient(feature_map().to(device), regions().to(device), 7, sampling_ratio)
    for left, right in zip(actual, expected, strict=True):
        # float32: GPUs add in another order, and in none that is fixed for gradients
        torch.testing.assert_close(left.cpu(), right, rtol=1e-4, atol=1e-4)


@on_every_device
@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.7])
def test_nms_keeps_what_the_compiled_one_keeps(device, threshold):
    boxes, scores, _ = (tensor.to(device) for tensor in candidates())
    dets, keep = nms(boxes, scores, threshold)
    assert_same_bits(keep, f'nms_keep_{threshold}')
    assert_same_bits(dets, f'nms_dets_{threshold}')


@on_every_device
def test_batched_nms_keeps_what_the_compiled_one_keeps(device):
    boxes, scores, labels = (tensor.to(device) for tensor in candidates())
    _, keep = batched_nms(boxes, scores, labels, {'type': 'nms', 'iou_threshold': 0.5})
    assert_same_bits(keep, 'batched_nms_keep')


def greedy_nms(boxes, scores, threshold, offset):
    """The definition, one box at a time; the sizes are x2 - x1 + offset."""
    boxes, keep = boxes.double(), []
    area = (boxes[:, 2:] - boxes[:, :2] + offset).prod(1)
    for index in scores.argsort(descending=True).tolist():
        top_left = torch.maximum(boxes[index, :2], boxes[keep, :2])
        bottom_right = torch.minimum(boxes[index, 2:], boxes[keep, 2:])
        overlap = (bottom_right - top_left + offset).clamp(min=0).prod(1)
        if not (overlap / (area[index] + area[keep] - overlap) > threshold).any():
            keep.append(index)
    return keep


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_counts_the_last_pixel_where_the_offset_says_so(offset):
    boxes, scores, _ = candidates()
    boxes = (boxes / 8).round()  # small, so that a pixel matters
    _, keep = nms(boxes, scores, 0.5, offset=offset)
    assert keep.tolist() == greedy_nms(boxes, scores, 0.5, offset)
    assert greedy_nms(boxes, scores, 0.5, 0) != greedy_nms(boxes, scores, 0.5, 1)


def test_no_boxes_and_no_regions_are_fine():
    dets, keep = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5)
    assert keep.shape == (0,)
    output, gradient = loss_gradient(feature_map(), torch.zeros(0, 5), 7, 0)
    assert output.shape == (0, 8, 7, 7)
    assert not gradient.any()


@needs_stand_in
@on_every_device
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_roi_align_of_half_precision_is_computed_in_float32_and_rounded_once(device, dtype):
    features = feature_map().to(device, dtype).requires_grad_()
    exact = features.detach().float().requires_grad_()
    layer = RoIAlign((7, 5), spatial_scale=0.25)
    rois = regions().to(device)  # stay float32, as a detector's do
    with torch.autocast(device, dtype):
        output = layer(features, rois)
        output.backward(torch.ones_like(output))
    expected = layer(exact, rois)
    expected.backward(torch.ones_like(expected))
    assert output.dtype == features.grad.dtype == dtype
    # one unit in the last place: a GPU may add gradients in another order, the CPU does not
    tolerance = torch.finfo(dtype).eps if device == 'cuda' else 0
    for left, right in ((output, expected), (features.grad, exact.grad)):
        torch.testing.assert_close(left, right.to(dtype), rtol=tolerance, atol=tolerance)


@on_every_device
def test_gradients_reach_the_layers_below_under_bfloat16_autocast(device):
    conv = torch.nn.Conv2d(8, 4, 3, padding=1).to(device)
    with torch.autocast(device, torch.bfloat16):
        output = RoIAlign(7, 0.25)(conv(feature_map().to(device)), regions().to(device))
        loss = output.float().square().mean()
    loss.backward()
    assert output.dtype == torch.bfloat16
    assert conv.weight.grad.isfinite().all()
    assert conv.weight.grad.any()


@needs_stand_in
@on_every_device
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_nms_of_half_precision_keeps_what_float32_keeps(device, dtype):
    boxes, scores, _ = (tensor.to(device) for tensor in candidates())
    boxes = boxes.to(dtype)  # not the scores: autocast mixes dtypes, and half would make ties
    with torch.autocast(device, dtype):
        _, keep = nms(boxes, scores, 0.5)
    assert keep.equal(nms(boxes.float(), scores, 0.5)[1])


@needs_stand_in
def test_an_operator_that_torchvision_lacks_says_its_name_and_the_way_out_when_called():
    with pytest.raises(NotImplementedError, match=r"'sigmoid_focal_loss_forward'.*MMCV_WITH_OPS"):
        sigmoid_focal_loss(torch.zeros(3, 4), torch.zeros(3, dtype=torch.long))
    with pytest.raises(NotImplementedError, match=r"pool_mode='max'"):
        roi_align(feature_map(), regions(), 7, 0.25, 0, 'max', True)


@needs_stand_in
def test_python_s_own_questions_to_the_module_get_a_plain_no():
    module = sys.modules['mmcv._ext']
    assert not hasattr(module, '__path__')
    assert not hasattr(module, '__wrapped__')
    assert module.__spec__.name == 'mmcv._ext'
    assert pickle.loads(pickle.dumps(module.nms)) is mmcv_ops.nms


@needs_stand_in
def test_a_report_of_the_environment_says_where_the_operators_come_from():
    assert 'torchvision' in mmcv.ops.get_compiler_version()
    assert 'torchvision' in mmcv.ops.get_compiling_cuda_version()


def test_a_compiled_extension_wins(tmp_path, monkeypatch):
    compiled = tmp_path / '_ext.py'
    compiled.write_text('')
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    monkeypatch.setattr(mmcv, '__path__', [str(tmp_path)])
    assert importlib.util.find_spec('mmcv._ext').origin == str(compiled)


def test_installing_twice_is_installing_once():
    before = list(sys.meta_path)
    installation.add_operators()
    assert sys.meta_path == before


@pytest.mark.slow
def test_mmcv_ops_imports_after_rapidnet_mm_in_a_fresh_process():
    result = run_python('import rapidnet_mm, mmcv.ops; print(mmcv.ops.nms.__name__)')
    assert result.stdout.splitlines()[-1:] == ['nms'], result.stderr


@pytest.mark.slow
@needs_stand_in
def test_after_a_failed_import_of_mmdet_models_either_works_or_says_what_to_do():
    pytest.importorskip('mmdet')
    result = run_python(
        'try:\n'
        '    import mmdet.models\n'
        'except ModuleNotFoundError:\n'
        '    pass\n'
        'import rapidnet_mm\n'
        'from mmdet.models.layers import multiclass_nms\n'
        'import mmdet.models.layers.bbox_nms as layer\n'
        "assert layer.batched_nms.__module__ == 'mmcv.ops.nms'\n"
    )
    says_what_to_do = 'import rapidnet_mm before mmdet' in result.stderr
    assert result.returncode == 0 or says_what_to_do, result.stderr


def placeholder(monkeypatch, module, operator):
    """What a fork of mmdet is left with where it was imported without operators."""
    fake = types.ModuleType(module)
    exec(f'def {operator}(): raise RuntimeError', fake.__dict__)
    monkeypatch.setitem(sys.modules, module, fake)


def test_mmdet_s_models_imported_too_early_are_refused(monkeypatch):
    placeholder(monkeypatch, 'mmdet.models.layers.bbox_nms', 'batched_nms')
    monkeypatch.delitem(sys.modules, 'mmseg.models', raising=False)
    with pytest.raises(rapidnet_mm.UserError, match='import rapidnet_mm before mmdet'):
        installation.add_operators()


def test_mmdet_s_models_that_mmseg_imported_are_not_in_the_way(monkeypatch):
    placeholder(monkeypatch, 'mmdet.models.layers.bbox_nms', 'batched_nms')
    monkeypatch.setitem(sys.modules, 'mmseg.models', types.ModuleType('mmseg.models'))
    installation.add_operators()


def test_mmdet_s_masks_imported_too_early_are_warned_about(monkeypatch):
    placeholder(monkeypatch, 'mmdet.structures.mask.structures', 'roi_align')
    with pytest.warns(UserWarning, match='import rapidnet_mm before mmdet'):
        installation.add_operators()
