"""Metrics."""

from .coco import CocoAP

__all__ = ['CocoAP']
