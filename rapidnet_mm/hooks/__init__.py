"""Hooks of the training loop."""

from .checkpoint import AtomicBackend, AtomicCheckpointHook
from .curves import CurvesHook

__all__ = ['AtomicBackend', 'AtomicCheckpointHook', 'CurvesHook']
