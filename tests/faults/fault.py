"""What a planted fault is, in all areas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """One fault.

    Attributes:
        name: what is wrong, in a few words.
        plant: makes the fault; gets the place that its area names.
        facts: parts of the line that names the fault, or that is said before a clean continuation.
        command: the command line that meets the fault; '' for one of its area.
        start: what a training goes on from in spite of the fault: a file in the work directory, ''
            for the beginning; None if the command is refused.
    """

    name: str
    plant: Callable[[Path], Any]
    facts: tuple[str, ...]
    command: str = ''
    start: str | None = None


class Area(NamedTuple):
    """Faults of one kind.

    Attributes:
        name: what they are faults of.
        place: what is planted in: a file or a folder of the project.
        commands: command lines that meet them, taken in turn.
        faults: the faults.
    """

    name: str
    place: str
    commands: tuple[str, ...]
    faults: tuple[Fault, ...]

    def cases(self) -> list[tuple[Area, Fault, str]]:
        """Return every fault with its command line."""
        return [
            (self, fault, fault.command or self.commands[number % len(self.commands)])
            for number, fault in enumerate(self.faults)
        ]


def nothing(_: Path) -> None:
    """Plant nothing: the fault is in the command line."""
