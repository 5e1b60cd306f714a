"""ImageNet: lay out the files that people with an account download by hand, as class folders."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...errors import UserError
from ...files import hash_of
from ...transfer.archives import (
    Change,
    Entry,
    check_name,
    check_space,
    tar_entries,
    unpack,
    unpacking_bar,
)
from .sources import ByHand

DEVKIT = 'ILSVRC2012_devkit_t12/data'
NAME = re.compile(r'ILSVRC2012_val_(\d{8})\.JPEG')
CLASS = re.compile(r'n\d{8}')


def lay_out(source: ByHand, files: Sequence[str], out: Path) -> Path:
    """Unpack the files of a data set into class folders; return the folder.

    Args:
        source: of the table.
        files: paths of the files, in any order.
        out: the folder of all data sets, such as ``data``.

    Raises:
        UserError: a file is missing, damaged or another one, or the disk has too little room.
    """
    paths = _checked(source, files)
    folder = out / source.folder
    if len(source.files) == 1:
        (archive,) = paths.values()
        count = _lay_out_classes(archive, folder)
    else:
        images, devkit = (paths[name] for name in source.files)
        count = _lay_out_images(images, _classes_of(devkit), folder)
    print(f'{source.title}: {count} images in {folder}')
    return folder


def by_hand(name: str, source: ByHand) -> UserError:
    """Return the error that says what to download by hand."""
    files = ' and '.join(source.files)
    command = f'rapidnet data fetch {name} --from {" ".join(source.files)}'
    return UserError(
        f'{source.title} can only be downloaded with an account: get {files} from {source.site}, '
        f'then run: {command}'
    )


def _checked(source: ByHand, files: Sequence[str]) -> dict[str, Path]:
    """Return the files by their names, whose checksums are right."""
    paths = {Path(file).name: Path(file) for file in files}
    for name, digits in source.files.items():
        path = paths.get(name)
        if path is None or not path.is_file():
            raise UserError(f'--from: {path or name} is missing; give {" and ".join(source.files)}')
        print(f'{path}: comparing its checksum')
        if (actual := hash_of(path, 'md5')) != digits:
            raise UserError(
                f'{path} has the md5 {actual}, but the published one is {digits}; download it anew'
            )
    return paths


def _lay_out_classes(archive: Path, folder: Path) -> int:
    """Unpack a tar file that holds a tar file for each class."""
    there = sum(file.stat().st_size for file in folder.glob('*/*')) if folder.is_dir() else 0
    check_space(folder, archive.stat().st_size - there, str(archive))
    count = 0
    bar = unpacking_bar()
    with bar, tar_entries(archive) as classes:
        task = bar.add_task(f'unpacking {archive.name}', total=archive.stat().st_size)
        for entry in classes:
            name = Path(entry.name).stem
            if not CLASS.fullmatch(name):
                raise UserError(f'{archive} holds {entry.name}, which is no class')
            with entry.read() as file, tarfile.open(fileobj=file) as inner:
                count += unpack(
                    archive, list(_images(inner, archive)), _place_in(folder / name), show=False
                )
            bar.advance(task, entry.size)
    return count


def _place_in(folder: Path) -> Callable[[str], Change]:
    return lambda image: Change(folder / Path(image).name)


def _images(inner: tarfile.TarFile, archive: Path) -> Iterator[Entry]:
    for info in inner:
        if not info.isreg():
            raise UserError(f'{archive} holds {info.name}, which is no plain file')
        check_name(info.name, archive)
        yield Entry(info.name, info.size, lambda info=info: inner.extractfile(info))


def _lay_out_images(archive: Path, classes: Sequence[str], folder: Path) -> int:
    """Unpack the validation images, each into the folder of its class."""

    def place_of(name: str) -> Change:
        match = NAME.fullmatch(Path(name).name)
        if match is None or not 1 <= int(match[1]) <= len(classes):
            raise UserError(f'{archive} holds {name}, which is no validation image')
        return Change(folder / classes[int(match[1]) - 1] / Path(name).name)

    with tar_entries(archive) as entries:
        return unpack(archive, list(entries), place_of)


def _classes_of(devkit: Path) -> list[str]:
    """Return the class of each validation image, such as n01440764, in the order of their numbers.

    Raises:
        UserError: the development kit cannot be read.
    """
    try:
        from scipy.io import loadmat  # comes with the MM packages
    except ImportError as error:
        raise UserError('imagenet-val needs the package scipy: pip install scipy') from error
    with tar_entries(devkit) as entries:
        contents = {
            Path(entry.name).name: entry.read().read()
            for entry in entries
            if entry.name.startswith(DEVKIT)
        }
    try:
        synsets = loadmat(io.BytesIO(contents['meta.mat']), squeeze_me=True)['synsets']
        names = {
            int(one['ILSVRC2012_ID']): str(one['WNID'])
            for one in synsets
            if int(one['num_children']) == 0
        }
        lines = contents['ILSVRC2012_validation_ground_truth.txt'].split()
        classes = [names[int(line)] for line in lines]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(f'{devkit} is no development kit of ILSVRC 2012: {error!r}') from error
    if not all(CLASS.fullmatch(name) for name in classes):
        raise UserError(f'{devkit} names classes that are none of ImageNet')
    return classes
