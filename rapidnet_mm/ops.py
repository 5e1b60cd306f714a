"""mmcv's compiled operators from torchvision, where this mmcv comes without them.

Detectors need two of mmcv's operators, NMS and RoIAlign, and torchvision has both, for every
device it is built for. ``install()`` lets Python find a module ``mmcv._ext`` made of them when no
compiled one is there, so that ``mmcv.ops``, and with it mmdet, imports and trains. A compiled
extension always wins, and no installed file is touched.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings

import torch
from torch import Tensor

from .errors import UserError

EXTENSION = 'mmcv._ext'


def install():
    """Serve ``mmcv._ext`` from torchvision from now on; once is enough, again does no harm.

    Comes before mmdet. Raises UserError, in one line, where mmdet's models were imported without
    operators and have put functions in their place that only raise; warns where only masks did.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())  # last: a compiled extension is found before us
    _check_mmdet_came_later()


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression, as ``mmcv.ops.nms`` calls it.

    Shapes: boxes (N, 4) as x1, y1, x2, y2; scores (N,). Returns the indices kept, (K,), best
    score first. ``offset`` is what mmcv adds to a box's width and height: 0, or 1 for boxes that
    include their last pixel.
    """
    dtype = _compute_dtype(boxes)
    boxes = boxes.to(dtype)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,  # noqa: ARG001
    argmax_x: Tensor,  # noqa: ARG001
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
):
    """Average RoIAlign, written into ``output``, as ``mmcv.ops.roi_align`` calls it.

    Shapes: input (N, C, H, W); rois (R, 5) as image index, x1, y1, x2, y2; output
    (R, C, aligned_height, aligned_width). Raises NotImplementedError for max pooling.
    """
    _check_average(pool_mode)
    dtype = _compute_dtype(input)
    output.copy_(
        torch.ops.torchvision.roi_align(
            input.to(dtype),
            rois.to(dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,  # noqa: ARG001
    argmax_x: Tensor,  # noqa: ARG001
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
):
    """The gradient of average RoIAlign, written into ``grad_input``; shapes as above."""
    _check_average(pool_mode)
    dtype = _compute_dtype(grad_output)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad_output.to(dtype),
            rois.to(dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def get_compiler_version() -> str:
    """What mmcv prints as its compiler in a report of the environment."""
    return 'none (operators from torchvision)'


def get_compiling_cuda_version() -> str:
    """What mmcv prints as its CUDA compiler in a report of the environment."""
    return 'none (operators from torchvision)'


SERVED = (
    nms,
    roi_align_forward,
    roi_align_backward,
    get_compiler_version,
    get_compiling_cuda_version,
)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds ``mmcv._ext`` and nothing else."""

    def find_spec(self, fullname, path=None, target=None):  # noqa: ARG002
        if fullname != EXTENSION:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Loader(), origin='torchvision')


class _Loader(importlib.abc.Loader):
    """Fills the module with the operators above and, under any other name, one that raises."""

    def create_module(self, spec):  # noqa: ARG002
        return None  # an ordinary module will do

    def exec_module(self, module):
        import torchvision  # noqa: F401  registers its operators; a second that others are spared

        for operator in SERVED:
            setattr(module, operator.__name__, operator)
        module.__getattr__ = _missing  # asked for what the module does not have (PEP 562)


def _missing(name: str):
    # mmcv.ops asks for every operator by name while it is imported, so only a call may raise.
    # Dunder names are Python's own questions: pickle, copy and inspect want a plain no.
    if name.startswith('__'):
        raise AttributeError(f'module {EXTENSION!r} has no attribute {name!r}')

    def operator(*args, **kwargs):
        raise NotImplementedError(
            f'mmcv operator {name!r} needs the compiled extension, which this mmcv comes without; '
            'build mmcv from source with MMCV_WITH_OPS=1 or choose a model that does not use it'
        )

    operator.__name__ = operator.__qualname__ = name
    return operator


def _compute_dtype(tensor: Tensor) -> torch.dtype:
    # torchvision has no kernels for half and bfloat16 on the CPU and for bfloat16 on the GPU, and
    # wants boxes, scores and maps in one dtype; under autocast mmcv passes them in several.
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _check_average(pool_mode: int):
    if pool_mode != 1:
        raise NotImplementedError(
            "mmcv operator 'roi_align' with pool_mode='max' needs the compiled extension, which "
            "this mmcv comes without; use pool_mode='avg'"
        )


def _check_mmdet_came_later():
    # onedl-mmdetection catches the missing operators and puts functions in their place that raise.
    # mmseg pulls mmdet's models in on its way; segmentation works without them.
    if _has_placeholder('mmdet.models.layers.bbox_nms', 'batched_nms'):
        if 'mmseg.models' not in sys.modules:
            raise UserError(
                'mmdet.models was imported before rapidnet_mm, without its operators; '
                'import rapidnet_mm before mmdet'
            )
    elif _has_placeholder('mmdet.structures.mask.structures', 'roi_align'):
        warnings.warn(
            'mmdet was imported before rapidnet_mm: models run, but heads for masks do '
            'not train; import rapidnet_mm before mmdet',
            stacklevel=3,
        )


def _has_placeholder(module: str, operator: str) -> bool:
    function = getattr(sys.modules.get(module), operator, None)
    return getattr(function, '__module__', None) == module
