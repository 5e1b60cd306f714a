"""Find images, the one that an annotation means, and the split that a name says."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...display.images import IMAGE_SUFFIXES
from ...errors import UserError
from ..checks.image_files import check_images, look_at
from ..checks.messages import first_few
from .samples import Picture

WORDS = {
    **dict.fromkeys(('train', 'training', 'trn'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation', 'dev', 'eval'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}
MOST_LINKS = 2  # to folders, one inside another
_WORD = re.compile(rf'(?<![a-z])({"|".join(sorted(WORDS, key=len, reverse=True))})(?![a-z])')


def split_of(name: str) -> str | None:
    """Return the split that a name says, None if it says none or several.

    Example:
        >>> split_of('instances_train2017.json'), split_of('valannot'), split_of('trainval')
        ('train', 'val', None)
    """
    splits = {WORDS[word] for word in _WORD.findall(name.lower().replace('annot', ' '))}
    return splits.pop() if len(splits) == 1 else None


def split_of_path(path: Path, roots: Iterable[Path]) -> str | None:
    """Return the split that the folders of a file say, the innermost first.

    Only folders inside the given ones count: the name of the user's folder says nothing.
    """
    for root in roots:
        if path.is_relative_to(root):
            names = path.relative_to(root).parts[:-1]
            return next(filter(None, map(split_of, reversed(names))), None)
    return None


def files_under(paths: Iterable[Path]) -> list[Path]:
    """Return all files of some files and folders, sorted. Hidden ones are left out."""
    files = {}
    for path in paths:
        if path.is_file():
            files[path] = None
        links = {str(path): 0}  # on the way to each folder
        for folder, folders, names in os.walk(path, followlinks=True):
            above, count = os.path.realpath(folder), links.pop(folder, 0)
            inner = [name for name in sorted(folders) if name[0] != '.' and name != '__MACOSX']
            folders.clear()
            for name in inner:
                place = os.path.join(folder, name)
                links[place] = count + os.path.islink(place)
                # A link to a folder further up leads in a circle, links to each other in many.
                if links[place] <= MOST_LINKS and not f'{above}/'.startswith(
                    f'{os.path.realpath(place)}/'
                ):
                    folders.append(name)
            places = (Path(folder, name) for name in sorted(names) if name[0] != '.')
            files |= dict.fromkeys(place for place in places if not _is_pipe(place))
    return list(files)


def _is_pipe(path: Path) -> bool:
    """Return whether to read a file could wait for ever. Images are looked at one by one."""
    return not is_image(path) and os.path.exists(path) and not os.path.isfile(path)


def is_image(path: Path) -> bool:
    """Return whether the name of a file is the name of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


class Photos:
    """The images of a data set, found by the names that annotations give them."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = [path for path in paths if is_image(path)]
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)

    def find(self, name: str, near: Path, where: str, split: str | None = None) -> Path | None:
        """Return the image that an annotation names, or None.

        Args:
            name: the name, perhaps with folders, with ``/`` or ``\\``.
            near: the folder of the annotation, which is preferred.
            where: file and line, for the message.
            split: the split of the annotation: an image in its folder is preferred.

        Raises:
            UserError: several images have this name and nothing says which is meant.
        """
        parts = [part for part in re.split(r'[\\/]', name) if part not in ('', '.', '..')]
        if not parts:
            return None
        choice = self._by_name.get(parts[-1], ())
        # Names often begin with folders of the computer where the data were annotated.
        for length in range(len(parts), 0, -1):
            fitting = [
                path
                for path in choice
                if path.parts[-length:] == tuple(parts[-length:])
                and _same_split(parts[:-1], path.parts[:-1])
            ]
            if fitting:
                return self._one_of(fitting, near, where, split)
        return None

    def of_file(self, path: Path, name: str, split: str | None = None) -> Path | None:
        """Return the image of an annotation file: the one it names, else the one of its name.

        Args:
            path: the annotation file.
            name: the name in it, perhaps empty.
            split: as in :meth:`find`, which also says the errors.
        """
        image = self.find(name, path.parent, str(path), split)
        return image or self.of_stem(path.stem, path.parent, str(path), split)

    def of_stem(self, stem: str, near: Path, where: str, split: str | None = None) -> Path | None:
        """Return the image whose name without its ending is ``stem``; see :meth:`find`."""
        choice = self._by_stem.get(stem)
        return self._one_of(choice, near, where, split) if choice else None

    def _one_of(self, choice: Sequence[Path], near: Path, where: str, split: str | None) -> Path:
        if len(choice) == 1:
            return choice[0]
        tests = (
            lambda path: path.parent == near,
            lambda path: bool(split) and split_of(path.parent.name) == split,
            lambda path: bool(split) and split in map(split_of, path.parts[:-1]),
            lambda path: len(os.path.commonpath([path, near])) == closest,
        )
        closest = max(len(os.path.commonpath([path, near])) for path in choice)
        for test in tests:
            fitting = [path for path in choice if test(path)]
            if len(fitting) == 1:
                return fitting[0]
        names = first_few([str(path) for path in choice])
        raise UserError(
            f'{where} means one of {len(choice)} images of equal name: {names}; name the folder '
            'in the annotation too, or import the folders one by one'
        )


def _same_split(named: Sequence[str], there: Sequence[str]) -> bool:
    """Return whether the folders of two names do not say different splits."""
    splits = [
        next(filter(None, map(split_of, reversed(names[-2:]))), None) for names in (named, there)
    ]
    return None in splits or splits[0] == splits[1]


def check_missing(missing: Sequence[str], total: int, where: str) -> None:
    """Refuse annotations whose images are not there.

    Raises:
        UserError: ``missing`` has names.
    """
    if missing:
        raise UserError(
            f'{where}: {len(missing)} of {total} annotated images are missing: '
            f'{first_few(list(missing))}; give the folder of the images too (it may be another '
            'one: name both), or take them out of the annotations'
        )


def measure(pictures: Sequence[Picture]) -> None:
    """Set width and height of the pictures from their files, and check that these are whole.

    Raises:
        UserError: a file is missing, damaged or no image.
    """
    headers = check_images([picture.path for picture in pictures])
    for picture in pictures:
        header = headers[str(picture.path)] or look_at(str(picture.path)).header
        picture.width, picture.height = header.loaded_size


def check_sizes(pictures: Sequence[Picture], sizes: Sequence[tuple[float, float]]) -> None:
    """Check that images have the sizes that the annotations say; (0, 0) if they say none.

    Raises:
        UserError: an image has another size: the coordinates are of another image.
    """
    faults = [
        f'{picture.path.name} is {picture.width}x{picture.height}, not {size[0]}x{size[1]}'
        for picture, size in zip(pictures, sizes, strict=True)
        if tuple(size) != (picture.width, picture.height) and 0 not in size
    ]
    if faults:
        raise UserError(
            f'{len(faults)} of {len(pictures)} images have another width and height than the '
            f'annotations say: {first_few(faults)}; get the images that were annotated (a photo '
            'that is stored turned has its sides swapped)'
        )
