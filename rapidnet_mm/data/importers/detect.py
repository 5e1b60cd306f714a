"""Find out which format files have: by what is in them, not by their names alone."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ..checks.messages import counted, first_few
from .dataset import FILE
from .folders import files_under, is_image
from .names import LISTS
from .pairs import label_files
from .parse import read_yaml
from .source import Source

# What a file of each format is called in messages.
FORMATS = {
    'coco': 'COCO json file',
    'yolo': 'YOLO text file',
    'voc': 'VOC xml file',
    'labelme': 'labelme json file',
    'cvat': 'CVAT xml file',
    'labels': 'label map',
    'folders': 'image in class folders',
    'imported': 'dataset.json',
}
OBJECTS = ('coco', 'yolo', 'voc', 'labelme', 'cvat')
OF_TASK = {
    'boxes': OBJECTS,
    'instance': OBJECTS,
    'semantic': ('labels',),
    'classes': ('folders',),
}
ARCHIVES = ('.zip', '.tar', '.gz', '.tgz', '.7z', '.rar')
_YOLO_LINE = re.compile(r'\s*\d+(\.0*)?(\s+-?([\d.]+(e[-+]?\d+)?|nan|inf)){4,}\s*', re.IGNORECASE)
_ROOT = re.compile(r'<([A-Za-z_][\w.-]*)')
_BESIDE = re.compile(r'annot|label|json|xml', re.IGNORECASE)  # folders without images
HEAD = 65536


def detect(
    paths: Sequence[str | Path], format: str | None = None, task: str | None = None
) -> Source:
    """Return which format some files and folders have, and its files.

    Args:
        paths: folders, or files such as ``data.yaml``.
        format: one of ``FORMATS``, if the person chose one.
        task: what the data are for; files of other tasks are left out.

    Raises:
        UserError: a path is missing or an archive; there are no data, or several formats.
    """
    if format and format not in FORMATS:
        raise UserError(f'there is no format {format!r}; choose one of {", ".join(FORMATS)}')
    given = [Path(os.path.abspath(path)) for path in paths]
    roots = _roots(given)
    files = files_under([*given, *roots])
    sources = _sort(files, roots)
    _only_given(sources, given)
    results = [p for p in files if p.suffix.lower() == '.json' and kind_of_json(p) == 'results']
    results = [path for path in results if path in given] or results
    is_named = any(path in given for path in results)
    nothing = not any(sources.values()) and (results or not any(map(is_image, files)))
    if is_named or nothing:
        raise UserError(_nothing(files, results, paths))
    usable = {name: found for name, found in sources.items() if found}
    if task and not format:
        wanted = {name: usable[name] for name in (*OF_TASK[task], 'imported') if name in usable}
        usable = wanted or usable
    if format:
        if format not in usable and format != 'folders':
            there = _counts(usable) or f'{sum(map(is_image, files))} images without annotations'
            raise UserError(f'{paths[0]} has no {FORMATS[format]}; it has {there}')
        usable = {format: usable.get(format, [])}
    if not usable:
        usable = {'folders': [path for path in files if is_image(path)]}
    if 'imported' in usable:
        usable = {'imported': usable['imported']}
    if len(usable) > 1:
        choices = ' or '.join(f'--format {name}' for name in usable)
        raise UserError(f'{paths[0]} has several formats: {_counts(usable)}; choose with {choices}')
    name, found = next(iter(usable.items()))
    return Source(name, roots, tuple(found), tuple(files), tuple(given))


def _only_given(sources: dict[str, list[Path]], given: Sequence[Path]) -> None:
    """Leave out the other annotation files in a folder if a person named some."""
    named = {name: [path for path in found if path in given] for name, found in sources.items()}
    if any(named.values()):
        sources.update(named)


def _roots(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders to look into. A file such as data.yaml stands for its folder."""
    roots, has_folders = [], any(path.is_dir() for path in paths)
    for path in paths:
        if not path.exists():
            raise UserError(f'{path} does not exist')
        if path.is_file() and path.suffix.lower() in ARCHIVES:
            raise UserError(f'{path} is an archive; unpack it first and give the folder')
        if path.name in LISTS and len(paths) > 1:
            continue  # only names of classes: the images are in another folder
        folder = path if path.is_dir() else path.parent
        # annotations/train.json: the images are beside its folder.
        is_beside = path.is_file() and _BESIDE.search(folder.name)
        if is_beside and not has_folders and not any(map(is_image, files_under([folder]))):
            folder = folder.parent
        roots.append(folder)
        if path.suffix.lower() in ('.yaml', '.yml') and path.is_file():
            content = read_yaml(path)
            below = content.get('path') if isinstance(content, dict) else None
            if isinstance(below, str) and os.path.isdir(path.parent / below):
                roots.append(path.parent / below)
    if not roots:
        raise UserError('no data were given; name a folder')
    return tuple(dict.fromkeys(roots))


def _sort(files: Sequence[Path], roots: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the annotation files of each format."""
    sources: dict[str, list[Path]] = {name: [] for name in FORMATS if name != 'folders'}
    keypoints, texts = [], []
    stems = {path.stem for path in files if is_image(path)}
    for path in files:
        suffix = path.suffix.lower()
        if suffix == '.json':
            kind = kind_of_json(path)
            if kind == 'keypoints':
                keypoints.append(path)
            elif kind in sources:
                sources[kind].append(path)
        elif suffix == '.xml':
            kind = _kind_of_xml(path)
            if kind in sources:
                sources[kind].append(path)
        elif suffix == '.txt' and (path.stem in stems or 'labels' in path.parts):
            texts.append(path)
    sources['yolo'] = _yolo_files(texts, stems)
    sources['coco'] = sources['coco'] or keypoints
    sources['labels'] = label_files(files, roots)
    return sources


def kind_of_json(path: Path) -> str:
    """Return the format of a json file by its keys, without parsing it; ``other`` if it is none."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error
    if path.name == FILE and b'"splits"' in text and b'"version"' in text:
        return 'imported'
    if text.lstrip()[:1] == b'[':
        return 'results' if b'"image_id"' in text else 'other'
    if b'"shapes"' in text and b'"imagePath"' in text:
        return 'labelme'
    if b'"images"' in text and b'"categories"' in text and b'"segments_info"' not in text:
        return 'keypoints' if b'"num_keypoints"' in text else 'coco'
    return 'other'


def _kind_of_xml(path: Path) -> str:
    with open(path, 'rb') as file:
        head = file.read(HEAD).decode(errors='ignore')
    root = _ROOT.search(re.sub(r'<!--.*?-->', '', head, flags=re.DOTALL))
    return {'annotation': 'voc', 'annotations': 'cvat'}.get(root[1] if root else '', 'other')


def _yolo_files(texts: Sequence[Path], stems: set[str]) -> list[Path]:
    """Return the text files that have lines of numbers, and the empty ones beside them."""
    found, empty, doubtful = [], [], []
    for path in texts:
        with open(path, encoding='utf-8', errors='replace') as file:
            line = next((line for line in file if line.strip()), '')
        if not line:
            empty.append(path)
        elif _YOLO_LINE.fullmatch(line):
            found.append(path)
        elif path.stem in stems:
            doubtful.append(path)
    # A text beside an image with another content is a broken label file, where others are valid.
    return [*found, *empty, *doubtful] if found else []


def _counts(usable: dict[str, list[Path]]) -> str:
    return ', '.join(counted(len(files), FORMATS[name]) for name, files in usable.items())


def _nothing(files: Sequence[Path], results: Sequence[Path], paths: Sequence[str | Path]) -> str:
    """Say what is there instead of data."""
    if archives := [path for path in files if path.suffix.lower() in ARCHIVES]:
        return f'{paths[0]} has an archive, {archives[0].name}; unpack it first'
    if results:
        return (
            f'{results[0]} is a list of results (detections), not annotations; give the json file '
            'with images, annotations and categories'
        )
    if not files:
        return f'{paths[0]} is an empty folder; give the folder with images and annotations'
    names = first_few([path.name for path in files])
    return f'{paths[0]} has no images and no annotations, only {names}'
