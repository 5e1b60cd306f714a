"""Mobile backbones for the MM family (MMDetection, MMSegmentation, MMPretrain).

Each folder, called a room, answers one question:

- ``backbones``: what is the network?
- ``models``: what is built on the backbone? Heads, losses, SSDLite, classifiers, distillation.
- ``weights``: where do weights come from, and how do they get into a model?
- ``data``: what is wrong with my data? Also the built-in data set.
- ``engine``: what does a training do? Config, runner, hooks, metrics.
- ``deploy``: how do I use a trained model?
- ``analysis``: how big, how fast, how good is it?
- ``display``: how are results shown? Images, drawings, results, tables. Needs no torch.
- ``transfer``: how do files come from the net, and out of archives? Needs no torch.
- ``commands``: the command line, one file a command.

Importing the package is quick and imports neither torch nor the MM packages. When MMEngine is
imported, :mod:`rapidnet_mm.installation` changes MMEngine and mmcv. That file lists the changes.

Example:
    >>> import rapidnet_mm
    >>> model = rapidnet_mm.Inferencer('configs/maskrcnn_rapidnet_m_coco.py', 'epoch_12.pth')
    >>> model('photo.jpg').names
"""

from importlib import import_module

from .errors import UserError
from .installation import install, install_with_mmengine, mm_packages

__version__ = '0.1.0'
# Public names and the modules they come from. They are imported when they are first used.
_PUBLIC = {
    'Inferencer': 'deploy.inferencer',
    'build_runner': 'engine.runner',
    'config_file': 'engine.config',
    'load_config': 'engine.config',
    'to_inference': 'deploy.fuse',
}
__all__ = ['UserError', '__version__', 'install', *sorted(_PUBLIC)]

install_with_mmengine()


def __getattr__(name: str):
    if name in _PUBLIC:
        with mm_packages():
            module = import_module(f'.{_PUBLIC[name]}', __name__)
        return getattr(module, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
