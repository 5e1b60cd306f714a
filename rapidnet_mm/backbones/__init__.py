"""What is the network? One file a family, with a common base class.

Read in this order: ``base.py`` (outputs and arguments of all families), ``layers.py`` and
``blocks.py`` (what families share), then a family: ``rapidnet.py``, ``rexnet.py``, ``vgnet.py``
(with ``vgnet_layers.py``), ``mobilevig.py``. A family's file reads like the paper's figure: table,
blocks, class; helpers and checks of arguments come last. ``tapped.py`` returns maps from inside any
backbone.

Example:
    >>> model = RapidNet('ti')
    >>> [tuple(m.shape) for m in model(torch.rand(1, 3, 64, 96))]
    [(1, 32, 16, 24), (1, 64, 8, 12), (1, 112, 4, 6), (1, 224, 2, 3)]
    >>> model.feature_info[3]
    FeatureInfo(channels=224, stride=32, module='stages.3.4')
"""

import mmengine  # noqa: F401  first, so that install() runs before this package is half imported

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
