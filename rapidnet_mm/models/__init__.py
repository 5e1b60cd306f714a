"""What is built on the backbone? Heads, losses and models that need mmdet, mmseg or mmpretrain.

``import rapidnet_mm`` does not import this room. A config does:

.. code-block:: python

    custom_imports = dict(imports=['rapidnet_mm.models'])
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='RapidNet', arch='ti', out_indices=(3,)),
        head=dict(type='TwoClassifierHead', in_channels=224, num_classes=5, distilled=False),
    )

Read in this order: ``classifiers.py`` (plain modules from a map to logits), ``heads.py`` (the same
for MMPretrain), ``distillation.py`` and ``accuracy.py`` (training and testing classifiers),
``ssd.py`` (SSDLite for MMDetection), ``tta.py`` (test-time augmentation of detectors),
``losses.py`` (for MMSegmentation), ``efficientnet.py`` (a backbone of MMPretrain with the arguments
and outputs of ours).
"""

from .accuracy import TopAccuracy
from .distillation import DistilledClassifier
from .efficientnet import TFEfficientNet
from .heads import PooledLinearHead, ReXNetLiteHead, TwoClassifierHead
from .losses import WeightedCrossEntropy
from .ssd import SSDLiteAnchorGenerator, SSDLiteHead
from .tta import DetectionTTA

__all__ = [
    'DetectionTTA',
    'DistilledClassifier',
    'PooledLinearHead',
    'ReXNetLiteHead',
    'SSDLiteAnchorGenerator',
    'SSDLiteHead',
    'TFEfficientNet',
    'TopAccuracy',
    'TwoClassifierHead',
    'WeightedCrossEntropy',
]
