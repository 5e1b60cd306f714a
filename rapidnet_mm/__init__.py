"""Mobile backbones for the MM family (MMDetection, MMSegmentation, ...).

Importing this package registers everything in MMEngine's root registries, lets mmcv's NMS and
RoIAlign come from torchvision where mmcv is installed without its compiled extension, has MMEngine
read checkpoints, wherever they are, without running code from them, and lets configs inherit from
``rapidnet_mm::configs/NAME.py``.
"""

try:
    import mmcv  # noqa: F401
    import mmengine  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'rapidnet_mm needs the MM stack ({error.name} is missing): '
        "pip install 'rapidnet-mm[mm]' for the maintained onedl-* packages, "
        "or 'rapidnet-mm[openmmlab]' for the original ones"
    ) from error

from . import ops

ops.install()

from . import backbones, config_files, evaluation, hooks, losses  # noqa: E402
from .config_files import config_file  # noqa: E402
from .errors import UserError  # noqa: E402

config_files.register()

__version__ = '0.1.0'
__all__ = [
    'Inferencer',
    'UserError',
    '__version__',
    'backbones',
    'config_file',
    'evaluation',
    'hooks',
    'losses',
    'ops',
]


def __getattr__(name: str):
    if name == 'Inferencer':  # pulls in OpenCV and the whole runner, which training never needs
        from .inference import Inferencer

        return Inferencer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
