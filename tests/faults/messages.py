"""What the page docs/troubleshooting.md explains: messages.json, for its tables and for the tests.

python -m tests.faults.messages    writes the tables of the page
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / 'docs/troubleshooting.md'


class Entry(NamedTuple):
    """One row of a table.

    Attributes:
        read: what one reads, with … for what differs.
        means: what it means.
        do: what to do.
        why_not: why no fault is planted for it; '' if one is.
    """

    read: str
    means: str
    do: str
    why_not: str = ''


TABLES = {
    heading: [Entry(**row) for row in rows]
    for heading, rows in json.loads(Path(__file__).with_name('messages.json').read_text()).items()
}
ENTRIES = [entry for table in TABLES.values() for entry in table]


def entries_of(line: str) -> list[Entry]:
    """Return the entries that explain a line."""
    return [entry for entry in ENTRIES if _pattern(entry.read).search(line)]


def _pattern(quote: str) -> re.Pattern:
    return re.compile('.*'.join(map(re.escape, quote.split('…'))))


def page() -> str:
    """Return the page as it should be: with these tables under their headings."""
    text = PAGE.read_text()
    for heading, entries in TABLES.items():
        rows = [f'| `{entry.read}` | {entry.means} | {entry.do} |' for entry in entries]
        table = '\n'.join(['| you read | what it means | what to do |', '|---|---|---|', *rows])
        pattern = re.compile(rf'^## {re.escape(heading)}\n\n(\|.*\n)+', re.MULTILINE)
        whole = f'## {heading}\n\n{table}\n'
        text, count = pattern.subn(lambda _, whole=whole: whole, text)
        assert count == 1, heading
    return text


if __name__ == '__main__':
    PAGE.write_text(page())
