"""The one kind of error that is the input's fault, not the program's."""


class UserError(ValueError):
    """Something a person gave us is wrong: a file, a config value, an argument.

    The message is one line that says what is wrong, where, and what is allowed. The tools print
    it without a traceback and exit with status 2; tracebacks are kept for our own bugs.
    """
