"""The backbones: one file a family."""

from .rapidnet import RapidNet
from .rexnet import ReXNet, ReXNetLite, ReXNetPlain
from .tapped import TappedBackbone

__all__ = ['RapidNet', 'ReXNet', 'ReXNetLite', 'ReXNetPlain', 'TappedBackbone']
