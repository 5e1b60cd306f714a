"""The backbones: one file a family."""

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
