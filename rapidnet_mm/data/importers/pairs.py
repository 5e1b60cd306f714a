"""Which pictures of a folder are label maps, and of which images?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from ...errors import UserError
from ..checks.messages import first_few
from .folders import is_image
from .pixels import look_at_labels
from .source import Source

# Folders of label maps in common data sets. A split may be part of the name, as in trainannot.
_FOLDER = re.compile(
    r'(?i)^(.*[_-])?(labels?|labelled|annotations?|masks?|segmentationclass(raw|aug)?|gt|gtfine'
    r'|ground_?truths?|semantic|seg(mentations?)?|seg_?maps?|labelsraw'
    r'|(train|val|valid|test)_?(annots?|labels?|masks?))([_-].*)?$'
)
_ENDING = re.compile(r'(?i)[_-](l|masks?|labels?|gt|seg|(gtfine_)?label(train)?ids)$')
PANOPTIC = re.compile(r'(?i)panoptic|segmentationobject|instances?$')
SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')  # formats that keep numbers
PHOTO = 200  # values of one picture: label maps have less
LABEL_MODES = ('1', 'L', 'P', 'I', 'I;16')


def label_files(files: Iterable[Path], roots: Sequence[Path]) -> list[Path]:
    """Return the pictures that are label maps by the name of their folder or their ending."""
    pictures = [path for path in files if is_image(path)]
    stems: dict[str, set[Path]] = defaultdict(set)
    for path in pictures:
        stems[path.stem].add(path.parent)
    labels = []
    for path in pictures:
        if path.suffix.lower() not in SUFFIXES or PANOPTIC.search('/'.join(_inside(path, roots))):
            continue
        stem = _ENDING.sub('', path.stem)
        in_folder = any(map(_FOLDER.match, _inside(path, roots)))
        beside = stem != path.stem and stem in stems
        partner = bool(stems.get(stem, set()) - {path.parent}) or beside
        if (in_folder or beside) and partner:
            labels.append(path)
    return _without_photos(labels) or _by_content(pictures)


def _without_photos(labels: Sequence[Path]) -> list[Path]:
    """Leave out the folders whose first picture is a photo, as with a class called mask."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in labels:
        folders[path.parent].append(path)
    return [path for files in folders.values() if not _is_photo(files[0]) for path in files]


def _is_photo(path: Path) -> bool:
    file = look_at_labels(path)
    return len(file.values) > PHOTO or len(file.colours or ()) > PHOTO or file.is_photo


def _inside(path: Path, roots: Sequence[Path]) -> tuple[str, ...]:
    """Return the folders of a file from the one that a person gave; that one counts too."""
    root = next(root for root in roots if path == root or path.is_relative_to(root))
    return (root.name, *path.relative_to(root).parts[:-1])


def _by_content(pictures: Sequence[Path]) -> list[Path]:
    """Return the pictures of folders whose files have one channel, and partners with colours."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in pictures:
        folders[path.parent].append(path)
    labels = []
    for folder, files in folders.items():
        if any(path.suffix.lower() not in SUFFIXES for path in files) or not _is_grey(files[0]):
            continue
        stems = {path.stem for path in files}
        for other, partners in folders.items():
            if other != folder and stems & {p.stem for p in partners} and not _is_grey(partners[0]):
                labels += files
                break
    return labels


def _is_grey(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.mode in LABEL_MODES
    except OSError:
        return False


def pair_labels(source: Source) -> dict[Path, Path]:
    """Return the label map of each image that has one.

    Raises:
        UserError: an image has several label maps, or label maps have no image.
    """
    labels = {*source.files}
    photos: dict[str, list[Path]] = defaultdict(list)
    for path in source.all_files:
        if is_image(path) and path not in labels and not PANOPTIC.search(str(path.parent.name)):
            photos[path.stem].append(path)
    pairs: dict[Path, Path] = {}
    alone = []
    for label in source.files:
        stem = label.stem if label.stem in photos else _ENDING.sub('', label.stem)
        choice = [
            path
            for path in photos.get(stem, ())
            if not PANOPTIC.search('/'.join(_inside(path, source.roots)))
        ]
        if not choice:
            alone.append(str(label))
            continue
        image = max(choice, key=lambda path: _likeness(path, label))
        if image in pairs:
            raise UserError(
                f'{image} has two label maps, {pairs[image]} and {label}; give the folder of the '
                'images and the one of the label maps that you want'
            )
        pairs[image] = label
    if alone:
        raise UserError(
            f'{len(alone)} label maps have no image: {first_few(alone)}; give the folder of the '
            'images too, or move the label maps away'
        )
    return pairs


def _likeness(image: Path, label: Path) -> int:
    """Return how many folders an image and a label map share, by the words in them."""
    words = [set(re.findall(r'[a-z]+|\d+', str(path.parent).lower())) for path in (image, label)]
    joined = str(label.parent).lower()
    return len(words[0] & words[1]) + sum(word in joined for word in words[0])
