"""The backbones: one file a family."""

from .rapidnet import RapidNet

__all__ = ['RapidNet']
