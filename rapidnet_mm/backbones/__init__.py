"""The backbones: one file a family."""

from .rapidnet import RapidNet
from .rexnet import ReXNet, ReXNetLite, ReXNetPlain
from .tapped import TappedBackbone
from .vgnet import VGNet

__all__ = ['RapidNet', 'ReXNet', 'ReXNetLite', 'ReXNetPlain', 'TappedBackbone', 'VGNet']
