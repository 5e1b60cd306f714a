"""What can be wrong with images in class folders, as ImageNet has them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import UserError
from .image_files import check_images
from .sources import folders_beside, how_to_get, some

if TYPE_CHECKING:
    from mmpretrain.datasets import CustomDataset

# MMPretrain's data sets that are a folder of class folders.
TYPES = ('CustomDataset', 'ImageNet')
# Above this number of images only names are looked at: to open them all would take too long.
OPENED = 50_000
HARMLESS = {'thumbs.db', 'desktop.ini'}  # what systems leave behind, beside hidden files
SORT = (
    "sort them into one folder a class, named as train's; for ImageNet's val run valprep.sh "
    '(https://github.com/soumith/imagenetloader.torch) in it'
)


class Listing(NamedTuple):
    """What lies in a folder of class folders."""

    images: dict[str, list[str]]  # by class folder, paths
    loose: list[str]  # images beside the class folders
    others: list[str]  # files in class folders that are no images by their name


def check_folders(dataset: Mapping[str, Any], where: str) -> None:
    """Check the class folders of a data set; of large ones the names only.

    Data with an annotation file, without labels, behind a URL or in another storage backend are
    left alone.

    Args:
        dataset: the config of the data set.
        where: its place in the config, such as 'train_dataloader.dataset', for the message.

    Raises:
        UserError: what is wrong, in one line with the way to put it right.
    """
    if '://' in str(dataset.get('data_root')):
        return
    try:
        source = _unloaded(dataset)
        if source.ann_file or not source.with_label:
            if source.ann_file and not os.path.isfile(source.ann_file):
                raise UserError(f'ann_file {source.ann_file} does not exist')
            return
        folder = _existing(source)
        found = list_classes(folder, source.extensions)
        _check_listing(found, folder, source.extensions)
        _check_names(source, folder, list(found.images))
        paths = [path for images in found.images.values() for path in images]
        if len(paths) <= OPENED:
            check_images(paths, otherwise='delete them')
    except UserError as error:
        line = str(error).replace('\n', ' ')  # names of files may hold anything
        raise UserError(f'{where}: {line}') from error


def class_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a data set's classes, by its config or by its folders; none if it has neither.

    Raises:
        UserError: the config of the data set is not valid, or its folder does not exist.
    """
    source = _unloaded(dataset)
    if source.CLASSES:
        return tuple(source.CLASSES)
    if source.ann_file or not source.with_label:
        return ()
    return folder_names(dataset)


def folder_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the class folders, sorted: the first is class 0.

    Raises:
        UserError: the config of the data set is not valid, or its folder does not exist.
    """
    source = _unloaded(dataset)
    if source.ann_file or not source.with_label:
        return ()
    with os.scandir(_existing(source)) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir()))


def list_classes(folder: str, extensions: Sequence[str]) -> Listing:
    """List a folder of class folders, without opening any file."""
    found = Listing({}, [], [])
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                files = list(_files(entry.path))
                images = [path for path in files if path.lower().endswith(tuple(extensions))]
                found.images[entry.name] = images
                if len(images) < len(files):
                    found.others.extend(sorted({*files} - {*images}))
            elif entry.name.lower().endswith(tuple(extensions)):
                found.loose.append(entry.path)
    return found


def check_same_classes(one: tuple[str, Mapping], other: tuple[str, Mapping]) -> None:
    """Whether two data sets, each with its place in the config, have the same class folders.

    A class is the place of its folder among the sorted ones, so a folder more or less would give
    all that follow another number.

    Raises:
        UserError: they differ.
    """
    (where, first), (place, second) = one, other
    names, others = folder_names(first), folder_names(second)
    if names == others or not names or not others:
        return
    pairs = ((where, {*names} - {*others}), (place, {*others} - {*names}))
    only = [f'only {owner} has {some(sorted(extra))}' for owner, extra in pairs if extra]
    raise UserError(
        f'{place}: its {len(others)} class folders are not the {len(names)} of {where}: '
        f'{"; ".join(only)}; both need the same, because a class is the place of its folder'
    )


def _files(folder: str) -> Iterator[str]:
    """Files in a folder and those inside it, as MMPretrain lists them: no hidden ones."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif not entry.name.startswith('.') and entry.name.lower() not in HARMLESS:
                yield entry.path


def _unloaded(dataset: Mapping[str, Any]) -> CustomDataset:
    """The data set itself, before it reads anything: folder, classes and extensions."""
    import mmpretrain.datasets  # noqa: F401  takes seconds, and other tasks go without it
    from mmpretrain.registry import DATASETS

    kind = dataset['type']
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    arguments = {k: v for k, v in dataset.items() if k not in ('type', 'pipeline', 'lazy_init')}
    try:
        return kind(**arguments, pipeline=[], lazy_init=True)
    except (AssertionError, OSError, TypeError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'the data set cannot be built: {reason:.200}') from error


def _existing(source: CustomDataset) -> str:
    root, folder = str(source.data_root or ''), source.img_prefix or '.'
    if root and not os.path.isdir(root):
        raise UserError(f'data_root {root} does not exist; {how_to_get(root)}')
    if not os.path.isdir(folder):
        raise UserError(
            f'folder {folder} does not exist; folders beside it: {folders_beside(folder)}; '
            'set data_prefix'
        )
    return folder


def _check_listing(found: Listing, folder: str, extensions: Sequence[str]) -> None:
    allowed = ' '.join(sorted(extensions))
    if found.loose:
        names = some([os.path.basename(path) for path in found.loose])
        state = f'beside its {len(found.images)} class folders' if found.images else 'unsorted'
        raise UserError(f'{len(found.loose)} images lie in {folder} {state} ({names}); {SORT}')
    if not found.images:
        raise UserError(
            f'{folder} holds no class folders; it needs one a class, with its images in it '
            f'({allowed})'
        )
    if found.others:
        names = some([os.path.relpath(path, folder) for path in found.others])
        raise UserError(
            f'{len(found.others)} files in {folder} are no images by their names ({names}); '
            f'rename or remove them; images are {allowed}'
        )
    if empty := [name for name, images in found.images.items() if not images]:
        raise UserError(
            f'{len(empty)} of {len(found.images)} class folders in {folder} hold no images '
            f'({some(empty)}); fill or remove them; images are {allowed}'
        )


def _check_names(source: CustomDataset, folder: str, folders: Sequence[str]) -> None:
    """Names in the config against folders: MMPretrain compares their number, and only asserts."""
    if not source.CLASSES or len(source.CLASSES) == len(folders):
        return
    kind, count = type(source).__name__, len(source.CLASSES)
    own = type(source).METAINFO.get('classes')
    given = kind if own == source.CLASSES else 'metainfo.classes'
    raise UserError(
        f'{folder} holds {len(folders)} class folders, but {given} names {count} classes; '
        f"copy or unpack the missing ones, or for classes of your own set type='CustomDataset'"
        f'{" and metainfo.classes" if given != kind else ""}'
    )
