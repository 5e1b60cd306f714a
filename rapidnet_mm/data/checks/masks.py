"""Is the segmentation of an object a mask that can be loaded? Polygons and run lengths (RLE)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from .coco_file import is_number

CHARACTERS = 7  # of a compressed run: more would be above 32 bits
# COCO itself has objects that are smaller than a pixel. They are harmless.
TINY = 'is so small that it covers no pixel'
FORMS = 'it must be a list of polygons [[x1, y1, x2, y2, x3, y3, ...], ...], or an RLE'


def run_lengths(segmentation: Any, width: int, height: int) -> dict[str, Any]:
    """Return a valid segmentation, polygons or run lengths, as COCO's compressed run lengths."""
    if isinstance(segmentation, list):
        return mask_api.merge(mask_api.frPyObjects(segmentation, height, width))
    counts = segmentation['counts']
    if isinstance(counts, list):
        return mask_api.frPyObjects(segmentation, height, width)
    return {**segmentation, 'counts': counts.encode() if isinstance(counts, str) else counts}


def mask_fault(segmentation: Any, width: int, height: int) -> str | None:
    """Return what is wrong with a segmentation in COCO format, or None.

    ``TINY`` is what is wrong with a polygon that is right but less than a pixel.

    Args:
        segmentation: the value from the annotation file.
        width: width of the image.
        height: height of the image.
    """
    if isinstance(segmentation, dict):
        return _rle_fault(segmentation, width, height)
    if not isinstance(segmentation, list):
        return f'is {segmentation!r:.60}; {FORMS}'
    for number, polygon in enumerate(segmentation):
        if fault := _polygon_fault(polygon, width, height):
            return f'polygon {number} {fault}'
    # All coordinates are near the image: with others this call can end the process.
    if mask_api.area(run_lengths(segmentation, width, height)):
        return None
    parts = [np.reshape(polygon, (-1, 2)) for polygon in segmentation]
    is_flat = not any(map(_area, parts))
    is_outside = not any(
        (part.max(0) > 0).all() and (part.min(0) < (width, height)).all() for part in parts
    )
    return 'covers no pixel of the image' if is_flat or is_outside else TINY


def _area(points: np.ndarray) -> float:
    """Return the area inside a polygon, by the shoelace formula."""
    x, y = points.astype(float).T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def _polygon_fault(polygon: Any, width: int, height: int) -> str | None:
    if not isinstance(polygon, list):
        return f'is {polygon!r:.60}; {FORMS}'
    if len(polygon) < 6 or len(polygon) % 2:
        return f'has {len(polygon)} numbers; it needs at least three points, x and y of each'
    kinds = {*map(type, polygon)}
    if not kinds <= {int, float} or not is_number(sum(map(abs, polygon))):
        odd = [value for value in polygon if not is_number(value)]
        return f'has the coordinate {odd[0]!r:.60}' if odd else 'has huge coordinates'
    for values, side, name in ((polygon[::2], width, 'x'), (polygon[1::2], height, 'y')):
        for value in (min(values), max(values)):
            if not -side <= value <= 2 * side:
                return f'has {name}={value:g}, far outside the image, which is {width}x{height}'
    return None


def _rle_fault(rle: dict, width: int, height: int) -> str | None:
    size, counts = rle.get('size'), rle.get('counts')
    if not isinstance(size, list) or [type(side) for side in size] != [int, int]:
        return f'has the size {size!r:.60}; an RLE needs its size, [height, width]'
    if size != [height, width]:
        return (
            f'is an RLE of [height, width] {size}, but the image has [{height}, {width}]; '
            'make it again for this size'
        )
    if isinstance(counts, str):
        counts = _decompress(counts)
        if counts is None:
            return 'is an RLE whose counts cannot be read; were they cut?'
    elif not isinstance(counts, list):
        return f'is an RLE whose counts are {counts!r:.60}; they must be a list or a text'
    if not all(type(count) is int and 0 <= count <= width * height for count in counts):
        return 'is an RLE with a count that is not from 0 to the number of pixels'
    if sum(counts) != width * height:
        return (
            f'is an RLE whose counts sum up to {sum(counts)}, not to the {width * height} pixels '
            'of the image'
        )
    return None if sum(counts[1::2]) else 'covers no pixel of the image'


def _decompress(text: str) -> list[int] | None:
    """Return the runs of a compressed RLE, None if it is not valid.

    Each character holds five bits, and whether more follow. From the fourth run on, the number is
    the difference to the run two places before.
    """
    try:
        codes = np.frombuffer(text.encode('ascii'), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return None
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    ends = np.flatnonzero(~codes & 32)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > CHARACTERS:
        return None
    places = np.arange(codes.size) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 31) << (5 * places), starts)
    negative = codes[ends] & 16 != 0
    values[negative] -= 1 << (5 * lengths[negative])
    for start in (1, 2):
        values[start::2] = np.cumsum(values[start::2])
    return values.tolist()
