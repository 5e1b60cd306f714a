"""What can be wrong with images in class folders, which is the layout of ImageNet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...errors import UserError
from .checker import DatasetChecker
from .image_files import check_images, name_fault
from .image_lists import check_image_list
from .messages import first_few, folders_beside
from .sources import how_to_get

if TYPE_CHECKING:
    from mmpretrain.datasets import CustomDataset

HARMLESS = {'thumbs.db', 'desktop.ini'}  # Windows writes them; hidden files are harmless too
SORT = (
    "sort them into one folder a class, named as train's; for ImageNet's val run valprep.sh "
    '(https://github.com/soumith/imagenetloader.torch) in it'
)


class ClassFolderChecker(DatasetChecker):
    """Checks a folder of class folders and the structure of each image.

    A data set with an annotation file or without labels needs no class folders. An annotation file
    lists the images.
    """

    types = ('CustomDataset', 'ImageNet')
    _highest: int | None = None

    def check_files(self) -> None:
        """Check the class folders and their images; see :class:`DatasetChecker`."""
        dataset = self.build()
        if dataset.ann_file:
            with self.part():
                self._highest = check_image_list(
                    dataset.ann_file, dataset.img_prefix or '', dataset.with_label, dataset.CLASSES
                )
        if not _needs_folders(dataset):
            return
        folder = _existing_folder(dataset)
        listing = list_classes(folder, dataset.extensions)
        with self.part():
            _check_listing(listing, folder, dataset.extensions)
        with self.part():
            _check_class_count(dataset, folder, list(listing.images))
        paths = [path for images in listing.images.values() for path in images]
        check_images(paths, otherwise='delete them')

    def class_names(self) -> tuple[str, ...]:
        """Return the names from the config, or else those of the class folders."""
        dataset = self.build()
        return tuple(dataset.CLASSES) if dataset.CLASSES else self.folder_names()

    def highest_class(self) -> int | None:
        """Return the highest class number in the annotation file; see :class:`DatasetChecker`."""
        return self._highest

    def folder_names(self) -> tuple[str, ...]:
        """Return the sorted names of the class folders, () if there are none on this machine.

        Raises:
            UserError: the config of the data set is not valid, or its folder does not exist.
        """
        dataset = self.build()
        if self.is_remote() or not _needs_folders(dataset):
            return ()
        with os.scandir(_existing_folder(dataset)) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir()))

    def is_remote(self) -> bool:
        """Return whether the folder is behind a URL."""
        return '://' in str(self.config.get('data_root'))

    def check_same_classes(self, first: ClassFolderChecker) -> None:
        """Check that both data sets have the same class folders.

        The number of a class is the position of its folder among the sorted folders. With one
        folder more or less, all classes after it have another number.
        """
        ours, theirs = self.folder_names(), first.folder_names()
        if ours == theirs or not ours or not theirs:
            return
        extras = ((first.where, {*theirs} - {*ours}), (self.where, {*ours} - {*theirs}))
        only = [f'only {where} has {first_few(sorted(extra))}' for where, extra in extras if extra]
        raise UserError(
            f'{self.where}: its {len(ours)} class folders are not the {len(theirs)} of '
            f'{first.where}: {"; ".join(only)}; both need the same folders, because the position '
            'of its folder is the number of a class'
        )

    def build(self) -> CustomDataset:
        """Build the data set without reading its files: it knows folder, classes and suffixes.

        Raises:
            UserError: the config of the data set is not valid.
        """
        # mmpretrain takes seconds to import, and other tasks do not need it.
        import mmpretrain.datasets  # noqa: F401
        from mmpretrain.registry import DATASETS

        kind = self.config['type']
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        try:
            return kind(**self.arguments())
        except (AssertionError, OSError, TypeError, ValueError) as error:
            reason = ' '.join(str(error).split())
            raise UserError(f'the data set cannot be built: {reason:.200}') from error


class Listing(NamedTuple):
    """The files in a folder of class folders."""

    images: dict[str, list[str]]  # paths, by class folder
    loose: list[str]  # images that are in no class folder
    others: list[str]  # files in class folders whose names are not those of images


def list_classes(folder: str, extensions: Sequence[str]) -> Listing:
    """List the files of a folder of class folders, without opening them."""
    listing = Listing({}, [], [])
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                files = list(_files(entry.path))
                images = [path for path in files if path.lower().endswith(tuple(extensions))]
                listing.images[entry.name] = images
                if len(images) < len(files):
                    listing.others.extend(sorted({*files} - {*images}))
            elif entry.name.lower().endswith(tuple(extensions)):
                listing.loose.append(entry.path)
    return listing


def _files(folder: str) -> Iterator[str]:
    """Yield the files in a folder and its subfolders, without hidden ones, as MMPretrain does."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif not entry.name.startswith('.') and entry.name.lower() not in HARMLESS:
                yield entry.path


def _needs_folders(dataset: CustomDataset) -> bool:
    return dataset.with_label and not dataset.ann_file


def _existing_folder(dataset: CustomDataset) -> str:
    root, folder = str(dataset.data_root or ''), dataset.img_prefix or '.'
    if root and not os.path.isdir(root):
        raise UserError(f'data_root {root} does not exist; {how_to_get(root)}')
    if not os.path.isdir(folder):
        raise UserError(
            f'folder {folder} does not exist; folders beside it: {folders_beside(folder)}; '
            'set data_prefix'
        )
    return folder


def _check_listing(listing: Listing, folder: str, extensions: Sequence[str]) -> None:
    if unreadable := [name for name in listing.images if name_fault(name)]:
        raise UserError(
            f'{len(unreadable)} class folders in {folder} have names that are not UTF-8 '
            f'({first_few(unreadable)}); rename them'
        )
    allowed = ' '.join(sorted(extensions))
    if listing.loose:
        names = first_few([os.path.basename(path) for path in listing.loose])
        state = f'beside its {len(listing.images)} class folders' if listing.images else 'unsorted'
        raise UserError(f'{len(listing.loose)} images lie in {folder} {state} ({names}); {SORT}')
    if not listing.images:
        raise UserError(
            f'{folder} holds no class folders; it needs one a class, with its images in it '
            f'({allowed})'
        )
    if listing.others:
        names = first_few([os.path.relpath(path, folder) for path in listing.others])
        raise UserError(
            f'{len(listing.others)} files in {folder} are no images by their names ({names}); '
            f'rename or remove them; images are {allowed}'
        )
    if empty := [name for name, images in listing.images.items() if not images]:
        raise UserError(
            f'{len(empty)} of {len(listing.images)} class folders in {folder} hold no images '
            f'({first_few(empty)}); fill or remove them; images are {allowed}'
        )


def _check_class_count(dataset: CustomDataset, folder: str, folders: Sequence[str]) -> None:
    """Check that there are as many class folders as names: MMPretrain only has an assert."""
    if not dataset.CLASSES or len(dataset.CLASSES) == len(folders):
        return
    kind, count = type(dataset).__name__, len(dataset.CLASSES)
    own = type(dataset).METAINFO.get('classes')
    given = kind if own == dataset.CLASSES else 'metainfo.classes'
    raise UserError(
        f'{folder} holds {len(folders)} class folders, but {given} names {count} classes; '
        f"copy or unpack the missing ones, or for classes of your own set type='CustomDataset'"
        f'{" and metainfo.classes" if given != kind else ""}'
    )
