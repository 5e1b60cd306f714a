"""Has each entry of an annotation file in COCO format what the loader and the metrics need?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import UserError
from .image_files import SIDE, name_fault
from .messages import first_few

Rule = tuple[Callable[[Any], bool], str]  # whether a value is valid, and what it has to be


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, of a size that single precision can hold."""
    return type(value) in (int, float) and -1e15 < value < 1e15


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63  # the evaluation has no others


def _is_side(value: Any) -> bool:
    return is_number(value) and 1 <= value <= SIDE and value == int(value)


def _is_area(value: Any) -> bool:
    return is_number(value) and 0 <= value < 1e10  # COCO does not count larger objects


ID: Rule = (_is_id, 'a whole number from 0')
# Objects are numbered anew for the evaluation.
OBJECT_ID: Rule = (lambda value: type(value) is int and -(2**63) <= value < 2**63, 'a whole number')
SIDE_LENGTH: Rule = (_is_side, f'a whole number from 1 to {SIDE}')
TEXT: Rule = (lambda value: isinstance(value, str), 'a text')
FILE_NAME: Rule = (lambda value: isinstance(value, str) and bool(value), 'the name of a file')
AREA: Rule = (_is_area, 'a number, 0 or above')
LIST: Rule = (lambda value: isinstance(value, list), 'a list')
FLAG: Rule = (lambda value: type(value) in (int, bool) and value in (0, 1), '0 or 1')
ANY: Rule = (lambda _: True, '')  # compared with the ids later
# The keys that MMDetection and pycocotools read of each entry.
ENTRIES: dict[str, dict[str, Rule]] = {
    'images': {'id': ID, 'file_name': FILE_NAME, 'width': SIDE_LENGTH, 'height': SIDE_LENGTH},
    'annotations': {
        'id': OBJECT_ID,
        'image_id': ANY,
        'category_id': ANY,
        'bbox': LIST,
        'area': AREA,
    },
    'categories': {'id': ID, 'name': TEXT},
}
OPTIONAL: dict[str, dict[str, Rule]] = {'annotations': {'iscrowd': FLAG, 'ignore': FLAG}}


def read_annotations(
    path: str, test_mode: bool, faults: list[str] | None = None
) -> dict[str, list[dict]]:
    """Return the content of an annotation file whose entries have all keys that are needed.

    Args:
        path: the file.
        test_mode: whether it may lack annotations.
        faults: a list that collects a line for each kind of faulty entries. These are left out of
            the content. By default the first one is an error.

    Raises:
        UserError: the file cannot be read, or an entry has no valid value for a key.
    """
    content = _read_json(path)
    if isinstance(content, list):
        raise UserError(
            f'{path} holds a list, like files of results; ann_file needs the annotations: '
            f'a dict of {", ".join(ENTRIES)}'
        )
    if test_mode and isinstance(content, dict):
        content.setdefault('annotations', [])  # COCO publishes none for its test images
    missing = [k for k in ENTRIES if not isinstance(content, dict) or k not in content]
    if missing == ['annotations']:
        raise UserError(
            f'{path} has no annotations, like image_info files of test images: it can be used for '
            'a test, not for training'
        )
    if missing:
        raise UserError(f'{path} is not in COCO format: it lacks {first_few(missing)}')
    if not all(isinstance(content[kind], list) for kind in ENTRIES):
        kind = next(kind for kind in ENTRIES if not isinstance(content[kind], list))
        raise UserError(f'{kind} of {path} must be a list, not a {type(content[kind]).__name__}')
    for kind, rules in ENTRIES.items():
        _leave_out(content, kind, _entry_faults(kind, content[kind], rules, path), faults)
    _leave_out(content, 'images', _name_faults(content, path), faults)
    _leave_out(content, 'annotations', _reference_faults(content, path), faults)
    return content


def _leave_out(
    content: dict[str, list[dict]],
    kind: str,
    found: Iterator[tuple[int, str, str]],
    faults: list[str] | None,
) -> None:
    """Leave faulty entries out of the content, or raise an error for the first.

    Args:
        content: the content of the file.
        kind: 'images', 'annotations' or 'categories'.
        found: of each faulty entry its index, what is wrong in a few words, and the whole message.
        faults: gets a message for each few words, None to raise an error.
    """
    messages: dict[str, list[str]] = {}
    indices = set()
    for index, words, message in found:
        if faults is None:
            raise UserError(message)
        indices.add(index)
        messages.setdefault(words, []).append(message)
    if indices:
        content[kind] = [e for index, e in enumerate(content[kind]) if index not in indices]
    for lines in messages.values():
        count = f'{len(lines)} {kind} have the same fault, the first: ' if len(lines) > 1 else ''
        faults.append(count + lines[0])


def _read_json(path: str) -> Any:
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except json.JSONDecodeError as error:
        place = f'line {error.lineno}, column {error.colno}'
        raise UserError(
            f'{path} is not valid JSON ({place}: {error.msg}); was it downloaded in full?'
        ) from error
    except RecursionError as error:
        raise UserError(f'{path} is not in COCO format: its lists are nested too deep') from error
    except (OSError, ValueError) as error:  # also bytes that are no text, and numbers too long
        raise UserError(f'{path} cannot be read: {error}') from error


def _entry_faults(
    kind: str, entries: Sequence[Any], rules: Mapping[str, Rule], path: str
) -> Iterator[tuple[int, str, str]]:
    """Yield the entries that lack a valid value or an id of their own; see :func:`_leave_out`."""
    optional = OPTIONAL.get(kind, {})
    ids: set[int] = set()
    for index, entry in enumerate(entries):
        fault = _entry_fault(entry, rules, optional, ids)
        if fault is None:
            ids.add(entry['id'])
        else:
            words, text = fault
            yield index, words, f'{kind}[{index}] of {path}{text}'


def _entry_fault(
    entry: Any, rules: Mapping[str, Rule], optional: Mapping[str, Rule], ids: set[int]
) -> tuple[str, str] | None:
    """Return what is wrong with an entry, in a few words and as the end of a message, or None."""
    if not isinstance(entry, dict):
        return 'dict', f' must be a dict, not {entry!r:.60}'
    for key, (is_valid, allowed) in rules.items():
        if key not in entry:
            missing = [key for key in rules if key not in entry]
            return f'lacks {missing}', f' lacks {first_few(missing)}'
        if not is_valid(entry[key]):
            return key, _invalid(key, entry[key], allowed)
    for key, (is_valid, allowed) in optional.items():
        if key in entry and not is_valid(entry[key]):
            return key, _invalid(key, entry[key], allowed)
    if entry['id'] in ids:
        return 'id again', f': id {entry["id"]!r} was used before; ids must be unique'
    return None


def _invalid(key: str, value: Any, allowed: str) -> str:
    shown = f'{value!r:.60}' if type(value) is not int or abs(value) < 1e60 else 'a huge number'
    return f': {key} is not valid: {shown}; it must be {allowed}'


def _name_faults(content: Mapping[str, list[dict]], path: str) -> Iterator[tuple[int, str, str]]:
    for index, image in enumerate(content['images']):
        if fault := name_fault(image['file_name']):
            yield index, fault, f'images[{index}] of {path}: {image["file_name"]!r:.60}: {fault}'


def _reference_faults(
    content: Mapping[str, list[dict]], path: str
) -> Iterator[tuple[int, str, str]]:
    """Yield the annotations without an image, a category or a box of four numbers."""
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    for index, entry in enumerate(content['annotations']):
        fault = _reference_fault(entry, sizes, categories)
        if fault:
            words, text = fault
            yield index, words, f'annotations[{index}] of {path}: {text}'


def _reference_fault(
    entry: Mapping[str, Any], sizes: Mapping[int, tuple[float, float]], categories: set[int]
) -> tuple[str, str] | None:
    """Return what is wrong with an annotation, in a few words and in a sentence, or None."""
    for key, ids, noun in (
        ('image_id', sizes, 'images'),
        ('category_id', categories, 'categories'),
    ):
        if type(entry[key]) is not int or entry[key] not in ids:
            text = f'{key} {entry[key]!r:.60} is not the id of any of its {len(ids)} {noun}'
            return key, text
    box = entry['bbox']
    if len(box) != 4 or not all(map(is_number, box)):
        return 'four', f'bbox must be four numbers (x, y, width, height), not {box!r:.60}'
    if fault := _box_fault(box, *sizes[entry['image_id']]):
        return fault.partition(',')[0], f'bbox {box!r:.60} {fault}'
    return None


def _box_fault(box: Sequence[float], width: float, height: float) -> str | None:
    x, y, wide, high = box
    if wide < 0 or high < 0:
        return 'has a negative size; it is (x, y, width, height), not two corners'
    if x < -width or y < -height or x + wide > 2 * width or y + high > 2 * height:
        return f'lies far outside its image, which is {width:g}x{height:g}'
    return None


def unusable_boxes(content: Mapping[str, list[dict]]) -> Iterator[tuple[int, str, bool]]:
    """Yield the boxes that MMDetection's loader leaves out.

    Yields:
        the index of the annotation, the reason, and whether not even the same box would match it.
    """
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    for index, entry in enumerate(content['annotations']):
        (x, y, wide, high), (width, height) = entry['bbox'], sizes[entry['image_id']]
        if wide == 0 or high == 0:
            yield index, 'has a width or height of 0', True
        elif x >= width or y >= height or x + wide <= 0 or y + high <= 0:
            yield index, 'lies outside its image', True
        elif wide < 1 or high < 1:
            yield index, 'is less than 1 pixel wide or high', False
        elif entry['area'] == 0:
            yield index, 'has an area of 0', False
