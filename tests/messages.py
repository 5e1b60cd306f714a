"""What every refusal has in common."""

import pytest

from rapidnet_mm import UserError


def refusal(function, *arguments):
    """The one line that a check refuses with."""
    with pytest.raises(UserError) as error:
        function(*arguments)
    assert '\n' not in str(error.value)
    return str(error.value)


def assert_says(line, *parts):
    for part in parts:
        assert str(part) in line
