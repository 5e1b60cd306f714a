"""Where our configs are, in a checkout and in an installed package, for us and for MMEngine.

An installed package has them under ``.mim``, where MMEngine looks for what ``PACKAGE::`` stands
for; setup.py puts them there.
"""

from __future__ import annotations

from pathlib import Path

from mmengine.config.utils import MODULE2PACKAGE

from .errors import UserError

PACKAGE = Path(__file__).parent
# MMEngine wants a folder behind '::', so our flat folder is one: rapidnet_mm::configs/NAME.py.
INSTALLED = PACKAGE / '.mim/configs/configs'
CHECKOUT = PACKAGE.parent / 'configs'


def register() -> None:
    """Let configs inherit from ``rapidnet_mm::configs/NAME.py``.

    MMEngine's table of packages leads from the part before '::' to a distribution or a module; it
    then takes the folder of that. A module, because original MMEngine looks for distributions in
    site-packages, where an editable install has no files.
    """
    MODULE2PACKAGE['rapidnet_mm'] = __name__


def config_folder() -> Path:
    """The folder of our configs: of the installed package, else of the checkout."""
    return INSTALLED if INSTALLED.is_dir() else CHECKOUT


def config_file(name: str) -> str:
    """The file of one of our configs, as in ``Config.fromfile(config_file('ssdlite_r...'))``.

    Args:
        name: path in our folder of configs, with or without ``.py``.

    Raises:
        UserError: there is no such config.
    """
    path = config_folder() / f'{name.removesuffix(".py")}.py'
    if not path.is_file():
        raise UserError(f'rapidnet_mm has no config {name!r}: {path} does not exist')
    return str(path)
