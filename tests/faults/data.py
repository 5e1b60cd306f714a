"""Faults of data: how each is planted in a good data set, and what the refusal names.

A plant is a function of the folder that :func:`make_detection` or :func:`make_labels` made. It
spoils the training data. Facts are parts of the line that the check refuses with.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from .fault import Fault

CLASSES = ('disc', 'box')
ANNOTATIONS = 'annotations/train.json'
PIXELS = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
POLYGON = [4.0, 4.0, 20.0, 4.0, 20.0, 24.0]


def make_detection(root: Path) -> None:
    """Make a good data set of four images with two objects each, to train on and to evaluate."""
    polygon = {'bbox': [4.0, 4.0, 16.0, 20.0], 'area': 160.0, 'segmentation': [POLYGON]}
    content = {
        'images': [
            {'id': 10 + k, 'file_name': f'{k}.jpg', 'width': 48, 'height': 40} for k in range(4)
        ],
        'annotations': [
            {
                'id': 1 + k,
                'image_id': 10 + k // 2,
                'category_id': (3, 7)[k % 2],
                'iscrowd': 0,
                **polygon,
            }
            for k in range(8)
        ],
        'categories': [{'id': 3, 'name': 'disc'}, {'id': 7, 'name': 'box'}],
    }
    for split in ('train', 'val'):
        (root / split).mkdir(parents=True)
        (root / 'annotations').mkdir(exist_ok=True)
        (root / f'annotations/{split}.json').write_text(json.dumps(content))
        for image in content['images']:
            cv2.imwrite(str(root / split / image['file_name']), PIXELS)


def make_labels(root: Path) -> None:
    """Make a good data set of four images with label images of three classes."""
    for split in ('train', 'val'):
        for folder in ('images', 'labels'):
            (root / folder / split).mkdir(parents=True)
        for name in 'abcd':
            Image.fromarray(PIXELS).save(root / f'images/{split}/{name}.jpg')
            labels = np.resize(np.array([0, 1, 2, 255], np.uint8), (40, 48))
            Image.fromarray(labels).save(root / f'labels/{split}/{name}.png')


def rewrite(root: Path, change: Callable[[dict], Any]) -> None:
    """Change the content of the annotation file."""
    path = root / ANNOTATIONS
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def of_object(key: str, value: Any) -> Callable[[Path], None]:
    """Return a plant that sets a key of the sixth object; a value of ... takes it out."""
    return _setting('annotations', 5, key, value)


def of_image(key: str, value: Any) -> Callable[[Path], None]:
    """Return a plant that sets a key of the third image."""
    return _setting('images', 2, key, value)


def of_category(key: str, value: Any) -> Callable[[Path], None]:
    """Return a plant that sets a key of the second category."""
    return _setting('categories', 1, key, value)


def _setting(kind: str, index: int, key: str, value: Any) -> Callable[[Path], None]:
    def change(content: dict) -> None:
        content[kind][index][key] = value
        if value is ...:
            del content[kind][index][key]

    return lambda root: rewrite(root, change)


def polygon(*numbers: Any) -> Callable[[Path], None]:
    """Return a plant that gives the sixth object another polygon."""
    return of_object('segmentation', [list(numbers)])


def rle(counts: Any, size: Any = (40, 48)) -> Callable[[Path], None]:
    """Return a plant that gives the sixth object run lengths."""
    return of_object('segmentation', {'size': list(size), 'counts': counts})


def image(name: str, content: Callable[[], bytes]) -> Callable[[Path], None]:
    """Return a plant that puts another file in the place of the third image."""

    def plant(root: Path) -> None:
        (root / 'train/2.jpg').unlink()
        (root / 'train' / name).write_bytes(content())
        of_image('file_name', name)(root)

    return plant


def encoded(kind: str, pixels: np.ndarray = PIXELS) -> bytes:
    """Return the bytes of an image file."""
    return cv2.imencode(f'.{kind}', pixels)[1].tobytes()


def half(kind: str) -> Callable[[], bytes]:
    """Return a function that makes the first half of an image file."""
    return lambda: encoded(kind)[: len(encoded(kind)) // 2]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG whose header says a size; its pixels are few."""
    header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    start = b'\x89PNG\r\n\x1a\n'
    return start + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')


def flipped(kind: str, place: int) -> bytes:
    """Return an image file with one bit changed."""
    data = bytearray(encoded(kind))
    data[place] ^= 1
    return bytes(data)


def zeros(kind: str, start: int, count: int) -> bytes:
    """Return an image file with a hole of zeros."""
    data = bytearray(encoded(kind))
    data[start : start + count] = bytes(count)
    return bytes(data)


def turned() -> bytes:
    """Return a JPEG that its EXIF orientation turns when it is loaded."""
    exif = b'II*\0\x08\0\0\0' + struct.pack('<HHHIHHI', 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b'Exif\0\0' + exif
    data = encoded('jpg')
    return data[:2] + b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment + data[2:]


def thing(make: Callable[[str], Any]) -> Callable[[Path], None]:
    """Return a plant that puts something else in the place of the third image."""

    def plant(root: Path) -> None:
        (root / 'train/2.jpg').unlink()
        make(str(root / 'train/2.jpg'))

    return plant


def make_socket(path: str) -> None:
    """Make a socket at a path, which may be longer than a socket's address can be."""
    folder, name = os.path.split(path)
    place = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(f'/proc/self/fd/{place}/{name}')
    os.close(place)


def not_utf8(root: Path) -> None:
    """Give the third image a name that is no text."""
    name = os.fsdecode(b'caf\xe9.jpg')
    os.rename(root / 'train/2.jpg', root / 'train' / name)
    of_image('file_name', name)(root)


def label(make: Callable[[], Image.Image], **options: Any) -> Callable[[Path], None]:
    """Return a plant that saves another label image."""
    return lambda root: make().save(root / 'labels/train/b.png', **options)


def pixels_of(kind: type, *values: int) -> Callable[[], Image.Image]:
    """Return a function that makes an image of values."""
    return lambda: Image.fromarray(np.resize(np.array(values, kind), (40, 48)))


def label_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a plant that changes the bytes of a label image."""

    def plant(root: Path) -> None:
        path = root / 'labels/train/b.png'
        path.write_bytes(change(path.read_bytes()))

    return plant


def four_bits(root: Path) -> None:
    """Save a grey label image with four bits a pixel."""
    rows = b''.join(b'\0' + b'\x01' * 24 for _ in range(40))
    header = struct.pack('>IIBBBBB', 48, 40, 4, 0, 0, 0, 0)
    data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    (root / 'labels/train/b.png').write_bytes(b'\x89PNG\r\n\x1a\n' + data)


NAN, INFINITY = float('nan'), float('inf')
OBJECT, IMAGE, FILE = 'annotations[5] of', 'images[2] of', '1 of 4 images in'

DETECTION = (
    Fault('a polygon with null', polygon(4, 4, None, 4, 20, 24), (OBJECT, 'coordinate None')),
    Fault('a polygon with NaN', polygon(4, 4, NAN, 4, 20, 24), (OBJECT, 'coordinate nan')),
    Fault('a polygon with infinity', polygon(4, 4, INFINITY, 4, 9, 9), (OBJECT, 'coordinate inf')),
    Fault('a polygon of light years', polygon(4, 4, 1e300, 4, 9, 9), (OBJECT, 'coordinate 1e+300')),
    Fault('a polygon far away', polygon(4, 4, 4000, 4, 9, 9), (OBJECT, 'x=4000, far outside')),
    Fault('a polygon with text', polygon(4, 4, '9', 4, 9, 9), (OBJECT, "coordinate '9'")),
    Fault('a polygon with a list', polygon(4, 4, [9], 4, 9, 9), (OBJECT, 'coordinate [9]')),
    Fault('a polygon with true', polygon(4, 4, True, 4, 9, 9), (OBJECT, 'coordinate True')),
    Fault('a polygon of two points', polygon(4, 4, 9, 9), (OBJECT, 'has 4 numbers')),
    Fault('a polygon of odd length', polygon(4, 4, 9, 4, 9, 9, 3), (OBJECT, 'has 7 numbers')),
    Fault('collinear points', polygon(4, 4, 9, 4, 15, 4), (OBJECT, 'covers no pixel')),
    Fault('a polygon beside the image', polygon(60, 4, 70, 4, 70, 9), (OBJECT, 'covers no pixel')),
    Fault('a flat polygon', of_object('segmentation', POLYGON), (OBJECT, 'polygon 0 is 4.0')),
    Fault('a text as segmentation', of_object('segmentation', 'x'), (OBJECT, "is 'x'")),
    Fault('an empty polygon', of_object('segmentation', [[]]), (OBJECT, 'has 0 numbers')),
    Fault('no polygons', of_object('segmentation', []), ('1 of 8 annotations', 'no segmentation')),
    Fault('null as segmentation', of_object('segmentation', None), ('1 of 8 annotations',)),
    Fault('runs that are too short', rle([100, 200]), (OBJECT, 'sum up to 300', '1920 pixels')),
    Fault('runs that are too long', rle([1900, 100]), (OBJECT, 'sum up to 2000')),
    Fault('a negative run', rle([1930, -10]), (OBJECT, 'a count that is not from 0')),
    Fault('runs with null', rle([1900, None]), (OBJECT, 'a count that is not from 0')),
    Fault('runs of an empty mask', rle([1920]), (OBJECT, 'covers no pixel')),
    Fault('runs of another size', rle([900, 1020], (48, 40)), (OBJECT, '[48, 40]', '[40, 48]')),
    Fault('runs without a size', rle([900, 1020], ()), (OBJECT, 'the size []')),
    Fault('compressed runs of another size', rle('l>0', (99, 9)), (OBJECT, '[99, 9]')),
    Fault('compressed runs that were cut', rle('oo'), (OBJECT, 'counts cannot be read')),
    Fault('compressed runs that are few', rle('ab0'), (OBJECT, 'an RLE')),
    Fault('runs as a number', rle(5), (OBJECT, 'whose counts are 5')),
    Fault('a text as id', of_object('id', '6'), (OBJECT, "id is not valid: '6'", 'whole number')),
    Fault('a fraction as id', of_object('id', 6.5), (OBJECT, 'id is not valid: 6.5')),
    Fault('true as id', of_object('id', True), (OBJECT, 'id is not valid: True')),
    Fault('null as id', of_object('id', None), (OBJECT, 'id is not valid: None')),
    Fault('a negative id', of_image('id', -12), (IMAGE, 'id is not valid: -12')),
    Fault('a huge id', of_image('id', 10**30), (IMAGE, 'id is not valid')),
    Fault('an image id as a float', of_object('image_id', 12.0), (OBJECT, 'image_id 12.0')),
    Fault('an image id as a list', of_object('image_id', [12]), (OBJECT, 'image_id [12]')),
    Fault('a category as a dict', of_object('category_id', {}), (OBJECT, 'category_id {}')),
    Fault('a category id as text', of_category('id', '7'), ('categories[1] of', "'7'")),
    Fault('null as a name', of_category('name', None), ('categories[1] of', 'name is not valid')),
    Fault('iscrowd as text', of_object('iscrowd', '0'), (OBJECT, "iscrowd is not valid: '0'")),
    Fault('iscrowd as null', of_object('iscrowd', None), (OBJECT, 'iscrowd is not valid: None')),
    Fault('iscrowd of 2', of_object('iscrowd', 2), (OBJECT, 'it must be 0 or 1')),
    Fault('ignore as text', of_object('ignore', 'no'), (OBJECT, "ignore is not valid: 'no'")),
    Fault('no area', of_object('area', ...), (OBJECT, 'lacks area')),
    Fault('NaN as area', of_object('area', NAN), (OBJECT, 'area is not valid: nan')),
    Fault('a negative area', of_object('area', -5), (OBJECT, 'area is not valid: -5')),
    Fault('an area as text', of_object('area', '9'), (OBJECT, "area is not valid: '9'")),
    Fault('an infinite box', of_object('bbox', [1, 2, INFINITY, 4]), (OBJECT, 'four numbers')),
    Fault('a box of booleans', of_object('bbox', [1, 2, True, 4]), (OBJECT, 'four numbers')),
    Fault('a nested box', of_object('bbox', [[1, 2, 3, 4]]), (OBJECT, 'four numbers')),
    Fault('a negative box', of_object('bbox', [9, 9, -5, 4]), (OBJECT, 'negative size')),
    Fault('a box far away', of_object('bbox', [900, 9, 5, 4]), (OBJECT, 'far outside its image')),
    Fault('a width of 0', of_image('width', 0), (IMAGE, 'width is not valid: 0')),
    Fault('a width with a fraction', of_image('width', 47.5), (IMAGE, 'width is not valid: 47.5')),
    Fault('a height as text', of_image('height', '40'), (IMAGE, "height is not valid: '40'")),
    Fault('a size that is not the file', of_image('width', 40), ('2.jpg is 48x40, not 40x40',)),
    Fault('an EXIF orientation', image('2.jpg', turned), ('2.jpg is 40x48', 'EXIF orientation')),
    Fault('no file name', of_image('file_name', ''), (IMAGE, 'file_name is not valid')),
    Fault('a null character', of_image('file_name', 'a\0.jpg'), (IMAGE, 'null character')),
    Fault('a name outside', of_image('file_name', '../2.jpg'), ('2.jpg (missing)',)),
    Fault('a name that is not UTF-8', not_utf8, (IMAGE, 'not UTF-8')),
    Fault('a list', lambda root: (root / ANNOTATIONS).write_text('[]'), ('holds a list',)),
    Fault(
        'no categories',
        lambda root: rewrite(root, lambda content: content.pop('categories')),
        ('train.json', 'lacks categories'),
    ),
    Fault('lists too deep', lambda root: (root / ANNOTATIONS).write_text('[' * 99999), ('deep',)),
    Fault(
        'a number of 9999 digits',
        lambda root: (root / ANNOTATIONS).write_text('{"images": ' + '9' * 9999 + '}'),
        ('train.json cannot be read',),
    ),
    Fault('half of a TIFF', image('a.tiff', half('tiff')), (FILE, 'a.tiff (')),
    Fault('half of a BMP', image('a.bmp', half('bmp')), (FILE, 'a.bmp (truncated)')),
    Fault('half of a GIF', image('a.gif', half('gif')), (FILE, 'a.gif (truncated)')),
    Fault('half of a PPM', image('a.ppm', half('ppm')), (FILE, 'a.ppm (truncated)')),
    Fault('half of a JPEG 2000', image('a.jp2', half('jp2')), (FILE, 'a.jp2 (')),
    Fault('half of a WebP', image('a.webp', half('webp')), (FILE, 'a.webp (truncated)')),
    Fault(
        'a WebP with another length',
        image(
            'a.webp',
            lambda: (
                encoded('webp').replace(b'RIFF', b'RIFF\x20\0\0\0', 1)[:4]
                + b'\x20\0\0\0'
                + encoded('webp')[8:]
            ),
        ),
        (FILE, 'a.webp (damaged'),
    ),
    Fault('a PNG with a flipped bit', image('a.png', lambda: flipped('png', 900)), ('checksum',)),
    Fault('a PNG with zeros inside', image('a.png', lambda: zeros('png', 900, 99)), ('checksum',)),
    Fault(
        'a JPEG with zeros in its header',
        image('a.jpg', lambda: zeros('jpg', 20, 400)),
        (FILE, 'a.jpg (damaged'),
    ),
    Fault(
        'a JPEG with zeros among its pixels',
        image('a.jpg', lambda: zeros('jpg', 900, 200)),
        (FILE, 'a.jpg (damaged: a hole of zeros at byte 900)'),
    ),
    Fault('zeros as an image', image('a.jpg', lambda: bytes(4096)), ('a.jpg (not an image)',)),
    Fault(
        'an image with too many pixels',
        image('a.png', lambda: png_of_size(50_000, 40_000)),
        (FILE, '2000 megapixels; the limit is 1074'),
    ),
    Fault(
        'an image with too long a side',
        image('a.png', lambda: png_of_size(2_000_000, 10)),
        (FILE, 'the limit of a side is 1048576'),
    ),
    Fault('a folder as an image', thing(os.mkdir), (FILE, '2.jpg (a folder')),
    Fault('a pipe as an image', thing(os.mkfifo), (FILE, '2.jpg (a pipe')),
    Fault('a socket as an image', thing(make_socket), (FILE, '2.jpg (a socket')),
    Fault('a device', thing(lambda path: os.symlink('/dev/zero', path)), ('2.jpg (a device',)),
    Fault(
        'a link to nothing',
        thing(lambda path: os.symlink('no', path)),
        ('2.jpg (a link to a missing',),
    ),
    Fault('a link to itself', thing(lambda path: os.symlink(path, path)), ('2.jpg (unreadable',)),
)


def one_higher(root: Path) -> None:
    """Let the labels begin with 1."""
    for path in sorted(root.glob('labels/*/*.png')):
        pixels_of(np.uint8, 1, 2, 3, 255)().save(path)


LABELS = (
    Fault('labels that begin with 1', one_higher, ('reduce_zero_label=True',)),
    Fault('a class that is not there', label(pixels_of(np.uint8, 0, 9)), ('b.png has 9',)),
    Fault('labels that wrap around', label(pixels_of(np.uint16, 0, 256)), ('b.png has 256',)),
    Fault('labels above 8 bits', label(pixels_of(np.uint16, 1, 65535)), ('b.png has 65535',)),
    Fault('labels with colours', label(lambda: Image.fromarray(PIXELS)), ('stored as RGB',)),
    Fault(
        'labels with transparency',
        label(lambda: pixels_of(np.uint8, 0, 1)().convert('LA')),
        ('stored as LA',),
    ),
    Fault('four bits a pixel', four_bits, ('stored with 4 bits', 'b.png')),
    Fault('half of a label image', label_bytes(lambda d: d[: len(d) // 2]), ('damaged', 'b.png')),
    Fault('an empty label image', label_bytes(lambda _: b''), ('1 label empty (b.png)',)),
    Fault('a flipped bit', label_bytes(lambda d: d[:50] + b'~' + d[51:]), ('damaged', 'b.png')),
    Fault(
        'a label image with too many pixels',
        label_bytes(lambda _: png_of_size(19_000, 10_000)),
        ('190 megapixels; the limit is 179', 'b.png'),
    ),
    Fault(
        'a pipe as a label image',
        lambda root: (
            (root / 'labels/train/b.png').unlink(),
            os.mkfifo(root / 'labels/train/b.png'),
        ),
        ('a pipe', 'b.png'),
    ),
    Fault(
        'an image with a bad checksum',
        lambda root: (root / 'images/train/b.jpg').write_bytes(flipped('png', 900)),
        ('checksum', 'b.jpg'),
    ),
)
