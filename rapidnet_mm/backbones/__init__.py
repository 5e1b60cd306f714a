"""The backbones: one file a family."""

from .mobilevig import MobileViG
from .rapidnet import RapidNet
from .rexnet import ReXNet, ReXNetLite, ReXNetPlain
from .tapped import TappedBackbone

__all__ = ['MobileViG', 'RapidNet', 'ReXNet', 'ReXNetLite', 'ReXNetPlain', 'TappedBackbone']
