"""The command line: one file a command, with its arguments and what it calls.

``rapidnet NAME`` and ``tools/NAME.py`` are two doors to the same code. A file here has ``HELP``,
``add_arguments(parser)`` and ``run(args)``. It imports torch and MM only in ``run``, so that
``--help`` answers at once.
"""
