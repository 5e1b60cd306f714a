"""Hooks: what happens at set moments of a training or a test."""

from .bad_images import BadImagesHook
from .checkpoint import AtomicBackend, AtomicCheckpointHook
from .curves import CurvesHook
from .finite import FiniteLossHook
from .memory import TrimMemoryHook
from .pictures import ClassPicturesHook, LabelPicturesHook
from .unaveraged import UnaveragedMetricsHook

__all__ = [
    'AtomicBackend',
    'AtomicCheckpointHook',
    'BadImagesHook',
    'ClassPicturesHook',
    'CurvesHook',
    'FiniteLossHook',
    'LabelPicturesHook',
    'TrimMemoryHook',
    'UnaveragedMetricsHook',
]
