"""Is the structure of an image file whole, and how large is the image? Nothing is decoded.

Each format has a function that reads the header and looks for the end of the image. Where a format
has checksums, they are compared. The functions raise :class:`Damaged` with the fault.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112  # the number of the EXIF tag
TIFF_DATA = ((273, 279), (324, 325))  # tags: places and lengths of strips, and of tiles
TRUNCATED = 'truncated'
SKIPPED = 1024  # bytes without a meaning that the header of a JPEG may have


class Damaged(ValueError):
    """The structure of a file has a fault. The message names it."""


class Header(NamedTuple):
    """What the header of an image says.

    Attributes:
        width: the width as it is stored.
        height: the height as it is stored.
        sideways: whether the EXIF orientation swaps both when the image is loaded.
    """

    width: int
    height: int
    sideways: bool = False

    @property
    def loaded_size(self) -> tuple[int, int]:
        """Width and height of the image as OpenCV loads it."""
        return (self.height, self.width) if self.sideways else (self.width, self.height)


def read_header(file: BinaryIO, size: int) -> Header | None:
    """Return the header of an image file, or None if the format has no function here.

    The first bytes tell the format, because names of files are often wrong.

    Args:
        file: the open file.
        size: the number of bytes in the file.

    Raises:
        Damaged: the file ends too early, or its parts do not fit together.
    """
    start = file.read(12)
    for name, read in FORMATS.items():
        if start.startswith(name) and (name != b'RIFF' or start[8:] == b'WEBP'):
            try:
                header = read(file, size)
            except (struct.error, IndexError) as error:
                raise Damaged(TRUNCATED) from error
            if header.width < 1 or header.height < 1:
                raise Damaged(f'damaged: its size is {header.width}x{header.height}')
            return header
    return None


def _jpeg(file: BinaryIO, size: int) -> Header:
    """Read the segments of the header, and look for the end marker behind it.

    The header can hold a small preview, which is a whole JPEG with an end marker of its own.
    """
    position, header, sideways, skipped = 2, None, None, 0
    while True:
        file.seek(position)
        segment = file.read(4)
        if len(segment) < 4:
            raise Damaged(TRUNCATED)
        if segment[0] != 0xFF or segment[1] in (0x00, 0xFF):  # padding, and bytes that readers skip
            position, skipped = position + 1, skipped + 1
            if skipped > SKIPPED:
                raise Damaged(f'damaged: byte {position - skipped} of its header')
            continue
        kind, length = segment[1], int.from_bytes(segment[2:], 'big')
        if kind == 0xDA:
            break
        if kind == 0x01 or 0xD0 <= kind <= 0xD9:  # markers without a length
            position += 2
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            _, height, width = struct.unpack('>BHH', file.read(5))
            header = Header(width, height)
        elif kind == 0xE1 and sideways is None and file.read(6) == b'Exif\0\0':
            sideways = _is_sideways(file.read(length - 8))
        position += 2 + length
    if header is None:
        raise Damaged('damaged: its header has no size')
    if not _ends_with(b'\xff\xd9', file, size, position):
        raise Damaged(TRUNCATED)
    return header._replace(sideways=bool(sideways))


def _ends_with(marker: bytes, file: BinaryIO, size: int, start: int) -> bool:
    file.seek(max(start, size - 64))
    if marker in file.read():
        return True
    # Some cameras write more data after the end of the image. This is rare, so only here the
    # whole file is searched.
    file.seek(start)
    return marker in file.read()


def _is_sideways(exif: bytes) -> bool:
    """Return whether the orientation in EXIF data swaps width and height."""
    order = {b'II': '<', b'MM': '>'}.get(exif[:2])
    if order is None:
        return False
    try:
        (start,) = struct.unpack_from(f'{order}I', exif, 4)
        (count,) = struct.unpack_from(f'{order}H', exif, start)
        for index in range(count):
            tag, _, _, value = struct.unpack_from(f'{order}HHIH', exif, start + 2 + 12 * index)
            if tag == ORIENTATION:
                return value in SIDEWAYS
    except struct.error:  # readers ignore EXIF data that end too early
        pass
    return False


def _png(file: BinaryIO, size: int) -> Header:
    """Read all chunks up to the end, and compare their checksums."""
    position, header, sideways, pixels = 8, None, False, False
    while True:
        file.seek(position)
        length, kind = struct.unpack('>I4s', file.read(8))
        if position + 12 + length > size:
            raise Damaged(TRUNCATED)
        data = file.read(length)
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(file.read(4), 'big'):
            raise Damaged(f'damaged: wrong checksum at byte {position}')
        if header is None:
            if kind != b'IHDR':
                raise Damaged('damaged: its header has no size')
            header = Header(*struct.unpack('>II', data[:8]))
        pixels |= kind == b'IDAT'
        if kind == b'eXIf':
            sideways = _is_sideways(data)
        if kind == b'IEND':
            break
        position += 12 + length
    if not pixels:
        raise Damaged('damaged: it has no pixels')
    return header._replace(sideways=sideways)


def _webp(file: BinaryIO, size: int) -> Header:
    """Read the chunks. They have to fill the length that the file says it has."""
    file.seek(4)
    end = 8 + int.from_bytes(file.read(4), 'little')
    if end > size:
        raise Damaged(TRUNCATED)
    position, header, pixels = 12, None, False
    while position + 8 <= end:
        file.seek(position)
        kind, length = struct.unpack('<4sI', file.read(8))
        if position + 8 + length > end:
            break
        header = header or _webp_size(kind, file.read(min(length, 10)))
        pixels |= kind in (b'VP8 ', b'VP8L', b'ANMF')
        position += 8 + length + length % 2
    if header is None or not pixels or not end - 1 <= position <= end + 1:
        raise Damaged('damaged: its chunks do not fit its length')
    return header


def _webp_size(kind: bytes, data: bytes) -> Header | None:
    if kind == b'VP8 ':
        width, height = struct.unpack_from('<HH', data, 6)
        return Header(width & 0x3FFF, height & 0x3FFF)
    if kind == b'VP8L':
        (bits,) = struct.unpack_from('<I', data, 1)
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b'VP8X':
        width, height = (int.from_bytes(data[start : start + 3], 'little') for start in (4, 7))
        return Header(width + 1, height + 1)
    return None


def _bmp(file: BinaryIO, size: int) -> Header:
    """Read the header, and compare the place of the last row with the size of the file."""
    file.seek(10)
    start, header_size = struct.unpack('<II', file.read(8))
    if header_size == 12:  # the first version of the format
        width, height, _, bits = struct.unpack('<HHHH', file.read(8))
        compression, stored = 0, 0
    else:
        width, height, _, bits, compression, stored = struct.unpack('<iiHHII', file.read(20))
    height = abs(height)  # negative if the first row is at the top
    length = stored if compression in (1, 2) else (width * bits + 31) // 32 * 4 * height
    if start + length > size:
        raise Damaged(TRUNCATED)
    return Header(width, height)


def _gif(file: BinaryIO, _: int) -> Header:
    """Read all blocks up to the end of the file."""
    file.seek(6)
    width, height, flags = struct.unpack('<HHB2x', file.read(7))
    _skip_colours(file, flags)
    pixels = False
    while (kind := file.read(1)) != b';':
        if kind not in (b'!', b','):
            raise Damaged('damaged: its blocks do not follow each other' if kind else TRUNCATED)
        if kind == b',':
            _skip_colours(file, file.read(9)[8])
        file.read(1)
        _skip_blocks(file)
        pixels |= kind == b','
    if not pixels:
        raise Damaged('damaged: it has no pixels')
    return Header(width, height)


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 * 2 ** ((flags & 7) + 1), 1)


def _skip_blocks(file: BinaryIO) -> None:
    while length := file.read(1)[0]:
        if len(file.read(length)) < length:
            raise Damaged(TRUNCATED)


def _tiff(file: BinaryIO, size: int) -> Header:
    """Read the first directory, and compare the places of all strips with the size of the file."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    start = file.read(8)
    if 43 in start[2:4]:
        start += file.read(8)  # BigTIFF
    try:
        tags = ImageFileDirectory_v2(start)
        if tags.next > size:
            raise Damaged(TRUNCATED)
        file.seek(tags.next)
        tags.load(file)
        header = Header(int(tags[256]), int(tags[257]), tags.get(274) in SIDEWAYS)
        parts = [part for keys in TIFF_DATA for part in _tiff_parts(tags, *keys)]
    except Damaged:
        raise
    except Exception as error:  # a damaged file can raise almost anything in PIL
        raise Damaged('damaged: its header cannot be read') from error
    if not parts:
        raise Damaged('damaged: it has no pixels')
    if max(place + length for place, length in parts) > size:
        raise Damaged(TRUNCATED)
    return header


def _tiff_parts(tags: dict, places: int, lengths: int) -> Iterator[tuple[int, int]]:
    found = tags.get(places, ())
    yield from zip(found, tags.get(lengths, [0] * len(found)), strict=False)


def _netpbm(file: BinaryIO, size: int) -> Header:
    """Read the header, and compare the number of pixels with the size of the file."""
    file.seek(0)
    words, position = [], 0
    kind = file.read(2)
    while len(words) < (2 if kind == b'P4' else 3):
        line = file.readline(1024)
        if not line:
            raise Damaged(TRUNCATED)
        words += line.partition(b'#')[0].split()
        position = file.tell()
    if not all(word.isdigit() for word in words):
        raise Damaged('damaged: its header cannot be read')
    width, height = map(int, words[:2])
    bits = 1 if kind == b'P4' else 8 * (3 if kind == b'P6' else 1) * (1 + (int(words[2]) > 255))
    if len(words) == 3 - (kind == b'P4') and position + (width * bits + 7) // 8 * height > size:
        raise Damaged(TRUNCATED)
    return Header(width, height)


FORMATS: dict[bytes, Callable[[BinaryIO, int], Header]] = {  # by the first bytes of the file
    b'\xff\xd8\xff': _jpeg,
    b'\x89PNG\r\n\x1a\n': _png,
    b'RIFF': _webp,
    b'BM': _bmp,
    b'GIF8': _gif,
    b'II*\0': _tiff,
    b'MM\0*': _tiff,
    b'II+\0': _tiff,
    b'MM\0+': _tiff,
    b'P4': _netpbm,
    b'P5': _netpbm,
    b'P6': _netpbm,
}
