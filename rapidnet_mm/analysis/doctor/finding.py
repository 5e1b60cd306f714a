"""A finding: what is wrong or odd, how bad it is, where it is, and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...data.checks.messages import counted

# From the worst to the least.
BREAKS = 'breaks'  # a training ends with an error
SPOILS = 'spoils'  # a training runs, but its result is worse than it could be, or means less
ODD = 'odd'  # worth a look; often it is meant
GRADES = (BREAKS, SPOILS, ODD)


class Finding(NamedTuple):
    """One thing that is wrong or odd.

    Attributes:
        grade: one of ``GRADES``.
        where: the place: a key of a config, a file, a data set.
        what: what is wrong there.
        way_out: what to do, '' if ``what`` says it.
    """

    grade: str
    where: str
    what: str
    way_out: str = ''

    def line(self) -> str:
        """Return the finding on one line.

        Example:
            >>> Finding(ODD, 'train', '2 images have no objects', 'annotate or remove them').line()
            'train: 2 images have no objects; annotate or remove them'
        """
        return f'{self.where}: {self.what}{"; " if self.way_out else ""}{self.way_out}'


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings sorted by grade, each once; in a grade they keep their order."""
    return sorted(dict.fromkeys(findings), key=lambda finding: GRADES.index(finding.grade))


def exit_status(findings: Iterable[Finding]) -> int:
    """Return 1 if something would break or spoil a training, else 0."""
    return int(any(finding.grade != ODD for finding in findings))


def as_text(findings: Sequence[Finding]) -> str:
    """Return numbered findings as text, the worst first."""
    if not findings:
        return 'nothing is wrong or odd'
    lines = []
    for number, finding in enumerate(worst_first(findings), 1):
        lines.append(f'{number:>3}. {finding.grade:<6}  {finding.where}: {finding.what}')
        if finding.way_out:
            lines.append(f'{"":13}-> {finding.way_out}')
    counts = [(grade, sum(f.grade == grade for f in findings)) for grade in GRADES]
    parts = [f'{count} {grade}' for grade, count in counts if count]
    return '\n'.join([*lines, f'{counted(len(findings), "finding")}: {", ".join(parts)}'])
