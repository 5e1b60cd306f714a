"""NMS and RoIAlign, as mmcv calls its compiled operators, computed by torchvision.

mmcv from the package index comes without its compiled extension, ``mmcv._ext``. Detectors need two
operators of it, NMS and RoIAlign, and torchvision has both for every device it is built for.
:mod:`rapidnet_mm.installation` lets Python find an ``mmcv._ext`` that is made of these functions.
"""

import torch
import torchvision  # noqa: F401  registers its operators
from torch import Tensor


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


def missing_operator(name: str):
    """Return a function that raises when it is called, for an operator that is not here.

    Raises:
        AttributeError: Python itself asks, for a name such as ``__path__``.
    """
    # mmcv.ops asks for every operator by name while it is imported, so only a call may raise.
    # Dunder names are Python's own questions: pickle, copy and inspect want a plain no.
    if name.startswith('__'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")

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
