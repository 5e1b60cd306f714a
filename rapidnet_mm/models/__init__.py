"""What leans on the MM libraries: their models under this package's contract, and extensions.

Configs import it by ``custom_imports``; ``rapidnet_mm`` itself does not.
"""

from .efficientnet import TFEfficientNet
from .ssd import SSDLiteAnchorGenerator, SSDLiteHead

__all__ = ['SSDLiteAnchorGenerator', 'SSDLiteHead', 'TFEfficientNet']
