"""Hooks of the training loop."""

from .checkpoint import AtomicBackend, AtomicCheckpointHook
from .curves import CurvesHook
from .pictures import LabelPicturesHook

__all__ = ['AtomicBackend', 'AtomicCheckpointHook', 'CurvesHook', 'LabelPicturesHook']
