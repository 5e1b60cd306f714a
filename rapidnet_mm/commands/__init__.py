"""The command line: one file a command, with its arguments and what it calls.

``rapidnet NAME``, ``python -m rapidnet_mm NAME`` and ``tools/NAME.py`` call the same code, which
begins in ``main.py``. ``arguments.py`` has the arguments that several commands share. A command has
``HELP``, ``add_arguments(parser)`` and ``run(args)``. It imports torch, MM and other slow packages
only in ``run``, so that ``--help`` answers at once.

Example:
    >>> from rapidnet_mm.commands.main import COMMANDS
    >>> 'train' in COMMANDS
    True
"""
