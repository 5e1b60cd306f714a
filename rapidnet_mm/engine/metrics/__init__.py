"""Metrics."""

from .coco import CocoAP
from .semantic import SemanticIoU

__all__ = ['CocoAP', 'SemanticIoU']
