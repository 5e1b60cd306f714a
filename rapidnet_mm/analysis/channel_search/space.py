"""Channel configurations: which are allowed, what they cost, and how they are drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from ...errors import UserError

STEM = 16  # output channels of the stem, which has stride 2
LAST = 128  # output channels of the last 1x1 convolution
EXPANSION = 6  # expansion of all blocks but the first
GROUPS = 4  # groups of about equally many blocks; all but the first begin with stride 2
PARAMS_PER_CHANNEL = 2  # scale and shift of BatchNorm
MIN_BLOCKS, MIN_SIZE, MIN_CHANNELS = GROUPS, 16, 4
ORDERS = ('rising', 'any')
MAX_DRAWS = 20_000


class Cost(NamedTuple):
    """The parameters and FLOPs of a network, for one image."""

    params: int
    flops: int


class Space(NamedTuple):
    """The configurations that may be drawn.

    The budgets are for the whole network. With the defaults, channels that rise linearly from 16 to
    88 use 92 % of the parameters and 95 % of the FLOPs.
    """

    blocks: int = 9
    narrowest: int = 8  # fewest channels of a block
    widest: int = 128
    max_params: int = 350_000
    max_flops: int = 12_000_000
    # A configuration must use at least this share of one of the budgets. Otherwise the search would
    # only find that larger networks are more accurate.
    min_share: float = 0.9
    order: str = 'rising'  # no block has fewer channels than the one before; or 'any'
    size: int = 32  # side of the square images, in pixels
    classes: int = 10


def strides(blocks: int) -> list[int]:
    """Return the strides of the blocks.

    Example:
        >>> strides(8)
        [1, 1, 2, 1, 2, 1, 2, 1]
    """
    groups = [GROUPS * block // blocks for block in range(blocks)]
    return [1, *(1 + after - before for before, after in pairwise(groups))]


def cost_of(channels: Sequence[int], space: Space) -> Cost:
    """Count parameters and FLOPs of the network with these output channels of its blocks.

    This is a formula, because thousands of configurations are drawn until one is within the
    budgets. Building and measuring each would take minutes.
    """
    params = (LAST + 1) * space.classes
    flops = LAST * space.classes
    for weights, outputs, side in _convolutions(channels, space):
        params += weights + PARAMS_PER_CHANNEL * outputs
        flops += weights * side**2
    return Cost(params, flops)


def _convolutions(channels: Sequence[int], space: Space) -> Iterator[tuple[int, int, int]]:
    """Yield weights, output channels and side of the output map of each convolution."""
    side = _half(space.size)
    yield 3 * STEM * 9, STEM, side
    inputs = STEM
    for block, (outputs, stride) in enumerate(zip(channels, strides(space.blocks), strict=True)):
        hidden = inputs
        if block:
            hidden = EXPANSION * inputs
            yield inputs * hidden, hidden, side
        if stride == 2:
            side = _half(side)
        yield 9 * hidden, hidden, side
        yield hidden * outputs, outputs, side
        inputs = outputs
    yield inputs * LAST, LAST, side


def _half(side: int) -> int:
    return (side + 1) // 2


def draw(space: Space, seed: int, index: int) -> tuple[int, ...]:
    """Return a random configuration within the budgets; the same for the same arguments.

    Each index has its own random numbers, so a longer search begins with the configurations of a
    shorter one.

    Raises:
        UserError: no configuration within the budgets was found.
    """
    numbers = random.Random(f'{seed} {index}')
    for _ in range(MAX_DRAWS):
        channels = [numbers.randint(space.narrowest, space.widest) for _ in range(space.blocks)]
        if space.order == 'rising':
            channels.sort()
        if _is_allowed(cost_of(channels, space), space):
            return tuple(channels)
    raise UserError(
        f'none of {MAX_DRAWS} random configurations with {space.narrowest} to {space.widest} '
        f'channels uses {space.min_share:.0%} to 100% of the budgets; {_range_text(space)}: change '
        '--channels, --max-params, --max-flops or --min-share'
    )


def _is_allowed(cost: Cost, space: Space) -> bool:
    share = max(cost.params / space.max_params, cost.flops / space.max_flops)
    return space.min_share <= share <= 1


def _range_text(space: Space) -> str:
    costs = [cost_of([width] * space.blocks, space) for width in (space.narrowest, space.widest)]
    least, most = (f'{c.params / 1e6:.3g} M and {c.flops / 1e6:.3g} M' for c in costs)
    return f'the smallest has {least} parameters and FLOPs, the largest {most}'


def check_space(space: Space) -> None:
    """Check the limits of a space.

    Raises:
        UserError: one is out of its range.
    """
    if space.blocks < MIN_BLOCKS:
        raise UserError(f'--blocks {space.blocks} must be at least {MIN_BLOCKS}')
    if space.size < MIN_SIZE:
        raise UserError(f'--size {space.size} must be at least {MIN_SIZE} pixels')
    if not MIN_CHANNELS <= space.narrowest < space.widest:
        raise UserError(
            f'--channels {space.narrowest} {space.widest} must be two numbers, the smaller first, '
            f'of at least {MIN_CHANNELS}'
        )
