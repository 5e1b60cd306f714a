"""Draw the scenes of the built-in data set, with label images, boxes and polygons.

Each shape is a fine mask with several times the resolution of the image. Picture, label image and
polygons are all made from these masks, so they agree.

The order of the calls to the random generator decides what a seed draws: keep it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from .classes import CATEGORY_IDS, CLASSES

_SUPER = 4  # pixels of a mask along one pixel of the image
_MIN_PIXELS = 80  # visible pixels that each object has at least, in the image
_MIN_VISIBLE, _MIN_CROWD_VISIBLE = 0.25, 0.6  # visible share of the area of an object, of a crowd

_HUES = 355, 220, 45, 280, 155  # degrees, one per class
_TYPICAL = 0.85  # share of objects with the hue of their class
_ALONE_TYPICAL = 0.95  # the same for pictures of one object, which a model learns in minutes

# RGB: sky at the top, sky at the horizon, two colours of the ground
_THEMES = np.float32(
    [
        [(62, 120, 200), (192, 216, 236), (70, 104, 48), (136, 148, 76)],  # meadow
        [(66, 76, 128), (246, 184, 128), (146, 98, 66), (204, 156, 106)],  # desert at dusk
        [(122, 134, 146), (208, 212, 214), (92, 84, 62), (138, 128, 96)],  # field, overcast
        [(128, 168, 210), (236, 236, 242), (226, 230, 236), (176, 190, 208)],  # snow
        [(44, 60, 112), (232, 164, 150), (28, 56, 78), (88, 116, 132)],  # sea in the evening
        [(84, 156, 214), (216, 232, 240), (220, 196, 150), (178, 148, 104)],  # beach
    ]
)


def _outlines() -> dict[str, np.ndarray]:
    """Return the outline of each class: (points, 2), around the origin, with a radius of 1."""

    def ring(points: int, radii=1.0) -> np.ndarray:
        turn = np.arange(points) * (2 * np.pi / points)
        return np.stack([np.sin(turn), -np.cos(turn)], axis=1) * np.reshape(radii, (-1, 1))

    arm, end = 0.3, 0.96
    quarter = np.array([(-arm, -end), (arm, -end), (arm, -arm)])
    turns = [np.linalg.matrix_power(np.array([(0, 1), (-1, 0)]), k) for k in range(4)]
    return {
        'disc': 0.9 * ring(72),
        'square': ring(4),
        'triangle': ring(3),
        'star': ring(10, np.tile([1.0, 0.42], 5)),
        'cross': np.concatenate([quarter @ turn for turn in turns]),
    }


_OUTLINES = _outlines()


class Scene(NamedTuple):
    """One picture with its label image and its annotations."""

    image: np.ndarray  # (H, W, 3) uint8, RGB
    labels: np.ndarray  # (H, W) uint8, 0 unlabelled, 1 + index into SEMANTIC_CLASSES
    objects: list[dict]  # COCO annotations without id and image_id


@dataclass
class _Layer:
    """One object, or one crowd. Layers lie behind each other."""

    category: int  # index into CLASSES
    full: np.ndarray  # (H * _SUPER, W * _SUPER) uint8, 0 or 255: the object inside the image
    visible: np.ndarray  # the same, without the parts that other layers hide
    centre: np.ndarray  # (x, y) in px
    radius: float  # px, of one shape
    crowd: bool = False
    typical: float = _TYPICAL  # how likely it has the hue of its class


def draw_scene(seed, size: tuple[int, int], crowd: bool = False, empty: bool = False) -> Scene:
    """Draw one scene.

    Args:
        seed: what ``numpy.random.default_rng`` takes.
        size: width and height in px, about.
        crowd: put a cluster of tiny shapes behind the other objects.
        empty: draw no objects.
    """
    rng = np.random.default_rng(seed)
    width, height = (round(side * rng.uniform(0.85, 1.15)) for side in size)
    if rng.random() < 0.2:
        width, height = height, width
    canvas, ground = _background(rng, width, height)
    layers = [] if empty else _arrange(rng, width, height, crowd)
    light = rng.uniform(-0.8, 0.8)
    for layer in layers:
        _paint(rng, canvas, layer, np.array([np.sin(light), np.cos(light)]))
    image, vignette = _photograph(rng, canvas)
    masks = [_shrink(layer.visible) >= 0.5 for layer in layers]
    regions = [
        _region(layer, mask, layers[k + 1 :])
        for k, (layer, mask) in enumerate(zip(layers, masks, strict=True))
    ]
    labels = _labels(ground, vignette, layers, masks, regions)
    objects = [_annotation(*pair) for pair in zip(layers, regions, strict=True)]
    return Scene(image, labels, objects)


def draw_object(seed, size: tuple[int, int], category: int) -> np.ndarray:
    """Draw a picture of one large object: (H, W, 3) uint8, RGB.

    Args:
        seed: what ``numpy.random.default_rng`` takes.
        size: width and height of the picture in px, about.
        category: the class, as an index into ``CLASSES``.
    """
    rng = np.random.default_rng(seed)
    width, height = (round(side * rng.uniform(0.85, 1.15)) for side in size)
    canvas, _ = _background(rng, width, height)
    layer = _shape(rng, width, height, min(width, height) * rng.uniform(0.25, 0.4), category)
    layer.typical = _ALONE_TYPICAL
    _paint(rng, canvas, layer, np.array([0.0, 1.0]))
    return _photograph(rng, canvas)[0]


# Arrangement


def _arrange(rng, width: int, height: int, crowd: bool) -> list[_Layer]:
    """Return layers from back to front. Each is visible enough and has no hole."""
    layers = [_cluster(rng, width, height)] if crowd else []
    total = len(layers) + rng.integers(2, 8)
    for _ in range(60):
        if len(layers) == total:
            break
        side = min(width, height) * 2.0 ** rng.uniform(-3, -1)
        layer = _shape(rng, width, height, side / 2)
        outside = ~layer.full
        rest = [other.visible & outside for other in layers]
        if cv2.countNonZero(layer.full) >= _MIN_PIXELS * _SUPER**2 and all(
            map(_is_enough, layers, rest)
        ):
            for other, visible in zip(layers, rest, strict=True):
                other.visible = visible
            layers.append(layer)
    return layers


def _is_enough(layer: _Layer, visible: np.ndarray) -> bool:
    """Return whether a layer can be used if only ``visible`` is left of it."""
    area = cv2.countNonZero(visible)
    if area == cv2.countNonZero(layer.visible):
        return True
    share = _MIN_CROWD_VISIBLE if layer.crowd else _MIN_VISIBLE
    if area < max(_MIN_PIXELS * _SUPER**2, share * cv2.countNonZero(layer.full)):
        return False
    # COCO's polygons cannot have holes: a hole would count for the object and for the one in it.
    _, tree = cv2.findContours(visible, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return layer.crowd or not (tree[0, :, 3] >= 0).any()


def _shape(rng, width: int, height: int, radius: float, category: int | None = None) -> _Layer:
    if category is None:
        category = int(rng.integers(len(CLASSES)))
    sides = np.array([width, height])
    centre = 0.6 * radius + rng.random(2) * (sides - 1.2 * radius)
    angle = rng.uniform(0, 2 * np.pi)
    mask = np.zeros((height * _SUPER, width * _SUPER), np.uint8)
    _fill(mask, category, centre, radius, angle, squash=rng.uniform(0.85, 1))
    return _Layer(category, mask, mask, centre, radius)


def _cluster(rng, width: int, height: int) -> _Layer:
    """Return a crowd: some 20 to 40 tiny shapes of one class that do not overlap."""
    category = int(rng.integers(len(CLASSES)))
    short = min(width, height)
    radius = max(3.0, short * rng.uniform(0.02, 0.03))
    middle = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
    mask = np.zeros((height * _SUPER, width * _SUPER), np.uint8)
    centres: list[np.ndarray] = []
    for spot in middle + rng.standard_normal((200, 2)) * short * (0.15, 0.09):
        if len(centres) < 40 and all(np.hypot(*(spot - other)) > 2 * radius for other in centres):
            centres.append(spot)
            _fill(mask, category, spot, radius, rng.uniform(0, 2 * np.pi))
    return _Layer(category, mask, mask, middle, radius, crowd=True)


def _fill(mask, category: int, centre, radius: float, angle: float, squash: float = 1.0) -> None:
    """Draw the outline of a class into a fine mask; ``squash`` is its height for a width of 1."""
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    points = (_OUTLINES[CLASSES[category]] * (1, squash)) @ turn * radius + centre
    bits = 4  # of the fraction in cv2's fixed-point numbers
    # In cv2 the centre of the first pixel is 0, in COCO its corner.
    fixed = np.round((points * _SUPER - 0.5) * 2**bits).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, shift=bits)


# Colours: all pictures below are float32 RGB in 0..1


def _noise(rng, height, width, cells: float, octaves: int = 1, flat: float = 1) -> np.ndarray:
    """Return smooth noise (height, width) with a standard deviation of about 1.

    There are ``cells`` bumps along the longer side, ``flat`` times as wide as they are high. Each
    octave adds bumps of half the size and half the height.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        scale = cells * 2**octave / max(height, width)
        rows, columns = int(height * scale * flat) + 3, int(width * scale) + 3
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        bumps = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        total += bumps * 0.5**octave
    return total


def _background(rng, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a sky over a ground (H, W, 3), and where the ground is (H, W) bool."""
    theme = rng.choice(_THEMES) / 255 * rng.uniform(0.92, 1.08, (4, 3)).astype(np.float32)
    top, low, near, far = theme
    hills = _noise(rng, 1, width, rng.uniform(2, 5), 3)[0] * height * rng.uniform(0.004, 0.02)
    horizon = height * rng.uniform(0.35, 0.6) + hills
    y = np.arange(height, dtype=np.float32)[:, None]
    depth = np.clip((y - horizon) / (height - horizon), 0, 1)  # 0 at the horizon, 1 below
    up = np.clip(1 - y / horizon, 0, 1)[..., None]
    sky = low + (top - low) * up**0.8
    clouds = _noise(rng, height, width, 4, 4, flat=2.5)
    clouds = np.clip(clouds - rng.uniform(0, 1), 0, 1.2)[..., None] * (0.3 + 0.7 * up)
    sky += (np.minimum(low * 1.1, 1) - sky) * np.minimum(0.75 * clouds, 1)
    # The pattern of the ground in perspective: it becomes finer with the distance.
    distance = 1 / (depth + 0.14)
    column = (np.arange(width) / width - 0.5) * distance * 22 + 128
    row = distance * 15 + rng.uniform(0, 100)
    pattern = _noise(rng, 256, 256, 20, 4)
    maps = column.astype(np.float32), np.broadcast_to(row, column.shape).astype(np.float32)
    pattern = cv2.remap(pattern, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    grain = rng.standard_normal((height, width), dtype=np.float32) * depth
    ground = near + (far - near) * np.clip(0.5 + 0.3 * pattern + 0.14 * grain, 0, 1)[..., None]
    haze = 0.55 * np.exp(-7 * depth)[..., None]
    ground += (low - ground) * haze
    edge = np.clip(y - horizon + 0.5, 0, 1)[..., None]
    return (sky + (ground - sky) * edge).astype(np.float32), edge[..., 0] >= 0.5


def _paint(rng, canvas: np.ndarray, layer: _Layer, light: np.ndarray) -> None:
    """Paint a layer and its shadow into the canvas; ``light`` is the shadow's direction (x, y)."""
    reach = int(np.ceil(4 + 0.3 * layer.radius))  # px between the object and the end of its shadow
    alpha = _shrink(layer.full)
    x, y, w, h = cv2.boundingRect((alpha > 0).astype(np.uint8))
    left, top = max(x - reach, 0), max(y - reach, 0)
    window = slice(top, y + h + reach), slice(left, x + w + reach)
    alpha, patch = np.ascontiguousarray(alpha[window]), canvas[window]
    offset = np.eye(2, 3) + np.pad(light[:, None] * reach * 0.45, ((0, 0), (2, 0)))
    shadow = cv2.warpAffine(alpha, offset, alpha.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.8 + 0.1 * layer.radius)
    patch *= 1 - 0.5 * shadow[..., None]
    # Light on one edge and shade on the other make the flat shape look solid.
    relief = cv2.GaussianBlur(alpha, (0, 0), 0.6 + 0.08 * layer.radius)
    slope = np.gradient(relief, axis=1) * light[0] + np.gradient(relief, axis=0) * light[1]
    shade = 1 + np.clip(slope * (1.2 + 0.12 * layer.radius), -0.3, 0.3)
    v, u = np.mgrid[top : top + alpha.shape[0], left : left + alpha.shape[1]] + 0.5
    mix = _texture(rng, (u - layer.centre[0]) / layer.radius, (v - layer.centre[1]) / layer.radius)
    first, second = _colours(rng, layer, patch[alpha < 0.5].mean(axis=0))
    colour = (first + (second - first) * mix[..., None]) * shade[..., None]
    patch += (colour - patch) * alpha[..., None]


def _texture(rng, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return a pattern in 0..1 at the places (u, v), where 1 is the radius of the object."""
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(5, 11)
    u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    kind = rng.choice(['stripes', 'checks', 'dots', 'noise', 'gradient'])
    if kind == 'noise':
        return np.clip(0.4 + 0.3 * _noise(rng, *u.shape, rng.uniform(3, 7), 3), 0, 1)
    if kind == 'gradient':
        return np.clip(0.5 + 0.55 * u, 0, 1)
    wave = {
        'stripes': np.sin(pitch * u),
        'checks': 1.5 * np.sin(pitch * 0.7 * u) * np.sin(pitch * 0.7 * v),
        'dots': np.cos(pitch * u) + np.cos(pitch * v) - 0.7,
    }[kind]
    return np.clip(0.5 + 2.5 * wave, 0, 1)


def _colours(rng, layer: _Layer, around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two colours for a layer that stand out from the colour ``around`` it.

    Most objects of a class have about the same hue, as most ripe tomatoes are red.
    """
    hsv = rng.uniform((0, 0.6, 0.5), (360, 0.95, 1), (1, 8, 3)).astype(np.float32)
    if rng.random() < layer.typical:
        hsv[..., 0] = (_HUES[layer.category] + rng.normal(0, 10, 8)) % 360
    choices = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]
    first = choices[np.linalg.norm(choices - around, axis=1).argmax()]
    others = np.float32([(0.97, 0.95, 0.9), (0.1, 0.1, 0.16), first[[1, 2, 0]]])
    near = np.linalg.norm(others - around, axis=1).argmin()
    other = rng.choice(np.delete(others, near, axis=0))
    return first, first + (other - first) * rng.uniform(0.4, 0.7)


def _photograph(rng, canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scene as a camera takes it, (H, W, 3) uint8, and its vignette, (H, W) up to 1."""
    height, width = canvas.shape[:2]
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in (width, height))
    vignette = 1 - rng.uniform(0.1, 0.45) * ((x**2 + y[:, None] ** 2) / 2) ** 1.5
    light = np.clip(1 + 0.09 * _noise(rng, height, width, 2), 0.75, 1.25) * vignette
    picture = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.6)) * light[..., None]
    picture += rng.standard_normal(canvas.shape, dtype=np.float32) * rng.uniform(0.008, 0.025)
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8), vignette


# Labels


def _shrink(mask: np.ndarray) -> np.ndarray:
    """Return how much of each pixel a fine mask covers: (H, W) float32 in 0..1."""
    height, width = (side // _SUPER for side in mask.shape)
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def _region(layer: _Layer, mask: np.ndarray, in_front: list[_Layer]) -> np.ndarray:
    """Return the area of an annotation: the visible object, or a crowd with its gaps."""
    if not layer.crowd:
        return mask
    region = (_shrink(layer.full) >= 0.5).astype(np.uint8)
    # Grow, then shrink a little less: a loose line around the shapes, as people draw it.
    for step, reach in ((cv2.dilate, 2.4), (cv2.erode, 1.6)):
        side = 2 * round(reach * layer.radius) + 1
        region = step(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    for other in in_front:
        region[_shrink(other.full) >= 0.5] = 0
    return region > 0


def _labels(ground, vignette, layers, masks, regions) -> np.ndarray:
    """Return the label image: 0 in dark corners, between the shapes of a crowd and along edges.

    The line of zeros along an edge lies on the side of what is behind.
    """
    labels = np.where(ground, 2, 1).astype(np.uint8)
    depth = ground.astype(np.uint8)
    labels[vignette < 0.62] = 0
    for k, (layer, mask, region) in enumerate(zip(layers, masks, regions, strict=True)):
        labels[region] = 0  # in a crowd, only the pixels of the shapes have a clear class
        labels[mask] = 3 + layer.category
        depth[mask] = 2 + k
    labels[cv2.dilate(depth, np.ones((3, 3), np.uint8)) > depth] = 0
    return labels


def _annotation(layer: _Layer, region: np.ndarray) -> dict:
    if layer.crowd:
        box = cv2.boundingRect(region.astype(np.uint8))
        segmentation = _rle(region)
    else:
        segmentation = _polygons(layer.visible)
        points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in segmentation])
        low = points.min(axis=0)
        box = np.round([*low, *(points.max(axis=0) - low)], 2).tolist()
    return {
        'category_id': CATEGORY_IDS[layer.category],
        'bbox': list(box),
        'area': int(region.sum()),
        'iscrowd': int(layer.crowd),
        'segmentation': segmentation,
    }


def _polygons(mask: np.ndarray) -> list[list[float]]:
    """Return the COCO polygons of a fine mask in px: x, y, x, y, ...; the corner is (0, 0)."""
    # A contour goes through the centres of pixels. Grow the mask by one pixel to the right and
    # down: the centres are then exactly on the edges of the original mask.
    grown = cv2.copyMakeBorder(mask, 0, 1, 0, 1, cv2.BORDER_CONSTANT)
    grown = cv2.dilate(grown, np.ones((2, 2), np.uint8), anchor=(1, 1))
    contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thin = [cv2.approxPolyDP(contour, 0.2 * _SUPER, True) for contour in contours]
    pieces = [line for line in thin if len(line) > 2 and cv2.contourArea(line) >= 2 * _SUPER**2]
    return [np.round(line.ravel() / _SUPER, 2).tolist() for line in pieces]


def _rle(mask: np.ndarray) -> dict:
    """Return uncompressed RLE as in COCO's files: lengths of runs of 0 and 1, column by column."""
    flat = np.concatenate([[False], mask.ravel(order='F'), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff([0, *edges, mask.size]).tolist()
    return {'counts': counts if counts[-1] else counts[:-1], 'size': list(mask.shape)}
