"""The error for wrong input, such as a bad file or a bad config value."""


class UserError(ValueError):
    """The user's input is wrong: a file, a config value or an argument.

    The message is one line. It says what is wrong, where, and what is allowed. The commands print
    it without a traceback and exit with status 2. Tracebacks are for our own bugs.
    """


def one_line(error: BaseException) -> str:
    """Return the message of any exception on one line.

    Example:
        >>> one_line(KeyError('no such key'))
        'no such key'
    """
    # str() of a KeyError is the repr of its message.
    quoted = isinstance(error, KeyError) and len(error.args) == 1
    return ' '.join(str(error.args[0] if quoted else error).split())
