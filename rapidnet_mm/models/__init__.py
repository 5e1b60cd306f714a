"""What leans on the MM libraries: their models under this package's contract, and extensions.

Configs import it by ``custom_imports``; ``rapidnet_mm`` itself does not.
"""

from .accuracy import TopAccuracy
from .distillation import DistilledClassifier
from .efficientnet import TFEfficientNet
from .heads import PooledLinearHead, ReXNetLiteHead, TwoClassifierHead
from .losses import WeightedCrossEntropy
from .ssd import SSDLiteAnchorGenerator, SSDLiteHead

__all__ = [
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
