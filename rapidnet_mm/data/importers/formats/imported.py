"""An imported data set: ``dataset.json`` with its annotations; see ``dataset.py``."""

from __future__ import annotations

from pathlib import Path

from ....errors import UserError
from ..dataset import Dataset, read_dataset
from ..folders import check_missing, measure
from ..parse import read_json, read_lines
from ..pixels import Decoder
from ..samples import Collection, Picture
from ..source import Source
from .coco import check_rles, read_file


class _Exact:
    """The images of an imported data set: their names are exact."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, *_: object) -> Path | None:
        """Return the image of a name, or None."""
        path = self.folder / name
        return path if path.is_file() else None


def read(source: Source) -> Collection:
    """Return the content of an imported data set.

    Raises:
        UserError: there are several, or files of it are missing.
    """
    if len(source.files) > 1:
        raise UserError(f'{source.roots[0]} has {len(source.files)} dataset.json files; give one')
    dataset = read_dataset(source.files[0])
    notes: list[str] = []  # those of the import are not repeated
    pictures: dict[Path, Picture] = {}
    for name, split in dataset.splits.items():
        if dataset.task in ('boxes', 'instance'):
            content, photos = read_json(split.annotations), _Exact(dataset.images)
            read_file(split.annotations, content, name, photos, pictures, notes)
            continue
        for picture in _listed(dataset, name):
            pictures[picture.path] = picture
    found = list(pictures.values())
    measure(found)
    check_rles(found)
    palette = list(dataset.palette) if dataset.palette else None
    decode = Decoder(values={index: index for index in range(len(dataset.classes))})
    return Collection(
        dataset.format, dataset.task, list(dataset.classes), found, notes, palette, decode
    )


def _listed(dataset: Dataset, split: str) -> list[Picture]:
    """Return the pictures of a list of label maps or of classes."""
    path, pictures, missing = dataset.splits[split].annotations, [], []
    for number, line in read_lines(path):
        if dataset.task == 'semantic':
            image = dataset.images / f'{line}{dataset.img_suffix or ""}'
            label = dataset.labels / f'{line}{dataset.seg_map_suffix or ""}'
            picture = Picture(image, 0, 0, split, label_map=label)
        else:
            name, _, index = line.rpartition(' ')
            if not index.isdecimal() or int(index) >= len(dataset.classes):
                raise UserError(f'{path} line {number}: {index!r} is not the number of a class')
            image = dataset.images / name
            picture = Picture(image, 0, 0, split, label=dataset.classes[int(index)])
        pictures.append(picture)
        missing += [] if image.is_file() else [str(image)]
    check_missing(missing, len(pictures), str(path))
    return pictures
