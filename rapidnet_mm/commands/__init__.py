"""The command line: one file a command, with its arguments and what it calls.

``rapidnet NAME``, ``python -m rapidnet_mm NAME`` and ``tools/NAME.py`` are doors to the same code;
``main.py`` is behind all of them, and ``arguments.py`` has what several commands share. A command
has ``HELP``, ``add_arguments(parser)`` and ``run(args)``. It imports torch, MM and other slow
packages only in ``run``, so that ``--help`` answers at once.

Example:
    >>> from rapidnet_mm.commands.main import COMMANDS
    >>> 'train' in COMMANDS
    True
"""
