"""Find holes in JPEG files: zeros where bytes were never written.

If a disk loses power or a copy stops early, runs of zeros can remain inside a file. JPEG decoders
read them as pixels, so the rest of the image is grey or shifted. PNG needs no such search, because
it has checksums. In other formats, and in most scans of a progressive JPEG, such runs can be valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

# With the usual Huffman tables, no encoder writes so many zero bytes in a row.
HOLE = bytes(64)
DQT, DHT, SOS, EOI = 0xDB, 0xC4, 0xDA, 0xD9
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
RESTARTS = range(0xD0, 0xD8)


class Scan(NamedTuple):
    """The compressed pixels of a part of a JPEG.

    Attributes:
        start: position of the first byte.
        end: position after the last byte.
        tables: the Huffman tables that it uses, by class (0 for DC, 1 for AC) and number.
        may_be_zero: whether runs of zeros are valid in it, with any tables.
    """

    start: int
    end: int
    tables: set[tuple[int, int]]
    may_be_zero: bool


def hole_in(data: bytes) -> str | None:
    """Return where an image has a hole, or None.

    Args:
        data: the whole file.
    """
    # Most files have no such run, and this search takes microseconds.
    if HOLE not in data:
        return None
    place = _place_of_hole(data) if data.startswith(b'\xff\xd8\xff') else None
    return None if place is None else f'a hole of zeros at byte {place}'


def _place_of_hole(data: bytes) -> int | None:
    zero_codes: dict[tuple[int, int], int] = {}  # by table, the symbol whose code is all zero bits
    try:
        for kind, part in _segments(data):
            if isinstance(part, Scan):
                place = data.find(HOLE, part.start, part.end)
                if place >= 0 and not part.may_be_zero and not _is_plain(part, zero_codes):
                    return place
            elif kind == DQT and (place := _zero_divisor(data, part)) is not None:
                return place
            elif kind == DHT:
                zero_codes.update(_zero_codes(data[part.start : part.stop]))
    except (IndexError, ValueError):  # not a valid JPEG; the decoder will say so
        pass
    return None


def _segments(data: bytes) -> Iterator[tuple[int, range | Scan]]:
    """Yield the segments of a JPEG: the kind and the bytes of its content, or its scan."""
    position, progressive = 2, False
    while True:
        while data[position] == 0xFF:
            position += 1
        kind = data[position]
        if kind == EOI:
            return
        if kind in RESTARTS or kind in (0x00, 0x01):
            position = (
                data.index(b'\xff', position + 1) if b'\xff' in data[position:] else len(data)
            )
            continue
        length = data[position + 1] << 8 | data[position + 2]
        content = range(position + 3, position + 1 + length)
        progressive |= kind in PROGRESSIVE
        position += 1 + length
        if kind != SOS:
            yield kind, content
            continue
        end = _end_of_scan(data, position)
        yield kind, _scan(data, content, progressive, position, end)
        position = end


def _end_of_scan(data: bytes, position: int) -> int:
    """Return the position of the next marker that is not a part of the scan."""
    while True:
        position = data.find(b'\xff', position)
        if position < 0 or position + 1 >= len(data):
            return len(data)
        if data[position + 1] not in (0x00, 0xFF, *RESTARTS):
            return position
        position += 1 if data[position + 1] == 0xFF else 2


def _scan(data: bytes, content: range, progressive: bool, start: int, end: int) -> Scan:
    count = data[content.start]
    chosen = [data[content.start + 2 + 2 * index] for index in range(count)]
    first, _, bits = data[content.start + 1 + 2 * count : content.start + 4 + 2 * count]
    kinds = (0, 1)
    if progressive:
        kinds = (0,) if first == 0 else (1,)
    tables = {(kind, table >> 4 if kind == 0 else table & 15) for table in chosen for kind in kinds}
    refinement = progressive and bits >> 4 != 0
    return Scan(start, end, tables, may_be_zero=refinement)


def _is_plain(scan: Scan, zero_codes: dict[tuple[int, int], int]) -> bool:
    """Return whether zero bits encode blocks of one colour: no difference and no coefficient."""
    return all(zero_codes.get(table, 1) & 15 == 0 for table in scan.tables)


def _zero_codes(content: bytes) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield each Huffman table, and its first symbol, whose code is all zero bits."""
    position = 0
    while position < len(content):
        number, counts = content[position], content[position + 1 : position + 17]
        if sum(counts):
            yield (number >> 4, number & 15), content[position + 17]
        position += 17 + sum(counts)


def _zero_divisor(data: bytes, content: range) -> int | None:
    """Return where a quantization table has a zero, which the standard forbids, or None."""
    position = content.start
    while position < content.stop:
        wide = data[position] >> 4 != 0
        values = range(position + 1, position + 1 + (128 if wide else 64))
        for place in values[:: 2 if wide else 1]:
            if not any(data[place : place + (2 if wide else 1)]):
                return place
        position = values.stop
    return None
