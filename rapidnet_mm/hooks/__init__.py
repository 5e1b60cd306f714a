"""Hooks of the training loop."""

from .checkpoint import AtomicBackend, AtomicCheckpointHook
from .curves import CurvesHook
from .memory import TrimMemoryHook
from .pictures import LabelPicturesHook

__all__ = [
    'AtomicBackend',
    'AtomicCheckpointHook',
    'CurvesHook',
    'LabelPicturesHook',
    'TrimMemoryHook',
]
