"""What is the network? One file a family, on a common contract.

Read in this order: ``base.py`` (the contract), ``layers.py`` and ``blocks.py`` (what families
share), then a family: ``rapidnet.py``, ``rexnet.py``, ``vgnet.py``, ``mobilevig.py``. A family's
file reads as the paper's figure does: table, blocks, class. ``tapped.py`` returns maps from inside
any backbone.

Example:
    >>> model = RapidNet('ti')
    >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
    [(1, 32, 16, 24), (1, 64, 8, 12), (1, 112, 4, 6), (1, 224, 2, 3)]
"""

import mmengine  # noqa: F401  first: what install() does then finds nothing half imported here

from .mobilevig import MobileViG
from .rapidnet import RapidNet
from .rexnet import ReXNet, ReXNetLite, ReXNetPlain
from .tapped import TappedBackbone
from .vgnet import VGNet

__all__ = [
    'MobileViG',
    'RapidNet',
    'ReXNet',
    'ReXNetLite',
    'ReXNetPlain',
    'TappedBackbone',
    'VGNet',
]
