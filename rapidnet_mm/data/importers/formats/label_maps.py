"""Label maps: a picture for each image whose pixels are classes, as numbers or as colours.

Layouts: ``images`` and ``annotations`` (ADE20K), ``train`` and ``trainannot`` (CamVid),
``JPEGImages`` and ``SegmentationClass`` (VOC), ``images`` and ``labels`` or ``masks``, or
``NAME_mask.png`` beside ``NAME.jpg``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ....errors import UserError
from ...checks.image_files import read_in_threads
from ...checks.messages import counted, first_few
from ..dataset import Colour
from ..folders import measure, split_of_path
from ..geometry import mask_of
from ..names import Entry, find_list, read_list
from ..pairs import pair_labels
from ..pixels import Decoder, LabelFile, look_at_labels, voc_palette
from ..samples import UNLABELLED, Collection, Picture, check_class_names
from ..source import Source
from ..target import Place, target_names
from .voc import image_sets, write_list

VOC_CLASSES = (
    *('background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat'),
    *('chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant'),
    *('sheep', 'sofa', 'train', 'tvmonitor'),
)
VOC_BORDER = (224, 224, 192)
MANY = 256


def read(source: Source) -> Collection:
    """Return images and label maps, with a decoder of their pixels.

    Raises:
        UserError: labels are damaged, have another size than the image, or no known class.
    """
    pairs = pair_labels(source)
    notes: list[str] = []
    lists = image_sets(source, 'Segmentation')
    pictures = []
    for image, label in pairs.items():
        split = lists.get(image.stem) or split_of_path(image, source.roots)
        pictures.append(Picture(image, 0, 0, split, label_map=label))
    if lists:
        pictures = [picture for picture in pictures if picture.path.stem in lists]
    measure(pictures)
    labels = [picture.label_map for picture in pictures]
    looks = read_in_threads(look_at_labels, labels, 16, f'reading {len(labels)} label maps')
    files = dict(zip(labels, looks, strict=True))
    _check_files(pictures, files)
    path = find_list(source.all_files)
    entries = read_list(path) if path else []
    if entries and all(entry.colour and entry.value is None for entry in entries):
        files = {label: _by_palette(file, entries) for label, file in files.items()}
    elif not entries and any('SegmentationClass' in label.parts for label in files):
        entries = [Entry(name, value) for value, name in enumerate(VOC_CLASSES)]
    coloured = [label for label, file in files.items() if file.colours is not None]
    if coloured and len(coloured) < len(files):
        plain = next(label for label, file in files.items() if file.colours is None)
        raise UserError(
            f'{coloured[0]} has colours and {plain} has numbers; save all label maps in one way'
        )
    if coloured:
        classes, palette, decoder = _of_colours(entries, files, path, notes)
    else:
        classes, palette, decoder = _of_numbers(entries, files, path, notes)
    return Collection('labels', 'semantic', classes, pictures, notes, palette, decoder)


def _by_palette(file: LabelFile, entries: Sequence[Entry]) -> LabelFile:
    """Return a file of numbers as one of colours, if its palette gives it the colours listed."""
    if file.palette is None or max(file.values) >= len(file.palette):
        return file
    colours = tuple(file.palette[value] for value in file.values)
    known = {entry.colour for entry in entries}
    return file._replace(colours=colours) if known.issuperset(colours) else file


def _check_files(pictures: Sequence[Picture], files: Mapping[Path, LabelFile]) -> None:
    faults = [f'{path.name} ({file.fault})' for path, file in files.items() if file.fault]
    if faults:
        raise UserError(
            f'{len(faults)} of {len(files)} label maps cannot be used: {first_few(faults)}'
        )
    for picture in pictures:
        size = files[picture.label_map].size
        if size != (picture.width, picture.height):
            raise UserError(
                f'label map {picture.label_map} is {size[0]}x{size[1]}, but its image is '
                f'{picture.width}x{picture.height}; both must have the same size'
            )


def _of_numbers(
    entries: Sequence[Entry], files: Mapping[Path, LabelFile], path: Path | None, notes: list[str]
) -> tuple[list[str], list[Colour] | None, Decoder]:
    """Return the classes of label maps that hold numbers."""
    first = {value: label for label, file in files.items() for value in reversed(file.values)}
    values = sorted(first.keys() - {UNLABELLED})
    if not values:
        raise UserError('no pixel of the label maps is labelled: all are 255')
    names = _names_of_values(entries, values, path, notes)
    if unknown := [value for value in values if value not in names]:
        raise UserError(
            f'{first[unknown[0]]} has the value {unknown[0]}, which is no class of {path}: '
            f'it has {min(names)} to {max(names)}; correct the list or the label map'
        )
    kept = {value: name for value, name in names.items() if name is not None}
    check_class_names(list(kept.values()), str(path or 'the label maps'))
    palette = _palette_of_files(kept, files)
    return list(kept.values()), palette, Decoder(values={v: i for i, v in enumerate(kept)})


def _names_of_values(
    entries: Sequence[Entry], values: Sequence[int], path: Path | None, notes: list[str]
) -> dict[int, str | None]:
    """Return the name of each pixel value, None for values that mean "not labelled"."""
    if not entries:
        notes.append(
            'there is no list of names such as classes.txt: the classes are named class_0, ...'
        )
        return {value: f'class_{value}' for value in range(min(values[0], 1), max(values) + 1)}
    if all(entry.value is not None for entry in entries):
        named = {entry.value: entry for entry in entries}
        if len(named) < len(entries):
            raise UserError(f'{path} gives a number to two classes; each needs its own')
    elif max(values) == len(entries):
        notes.append(f'{path.name} has {len(entries)} names for 1 to {len(entries)}')
        named = dict(enumerate(entries, 1))
    else:
        named = dict(enumerate(entries))
    names = {value: None if named[value].is_void else named[value].name for value in sorted(named)}
    if 0 in values and 0 not in names:
        notes.append('0 is not in the list of names: these pixels are not labelled')
        names = {0: None, **names}
    return names


def _palette_of_files(
    names: Mapping[int, str], files: Mapping[Path, LabelFile]
) -> list[Colour] | None:
    """Return the colours that the files have for the classes, if all have the same."""
    palettes = {file.palette for file in files.values()}
    palette = palettes.pop() if len(palettes) == 1 else None
    if not palette or max(names) >= len(palette):
        return None
    return [palette[value] for value in names]


def _of_colours(
    entries: Sequence[Entry], files: Mapping[Path, LabelFile], path: Path | None, notes: list[str]
) -> tuple[list[str], list[Colour] | None, Decoder]:
    """Return the classes of label maps that hold colours."""
    first = {c: label for label, file in files.items() for c in reversed(file.colours or ())}
    listed = [entry for entry in entries if entry.colour is not None]
    if listed:
        colours = {entry.colour: None if entry.is_void else entry.name for entry in listed}
    elif first.keys() <= {*voc_palette(21), VOC_BORDER}:
        notes.append('the colours are those of VOC, and so are the names')
        colours = dict(zip(voc_palette(21), VOC_CLASSES, strict=True))
    elif len(first) <= MANY:
        notes.append(
            'there is no table of colours such as labelmap.txt: the classes are named by colour'
        )
        colours = {c: 'colour_{:02x}{:02x}{:02x}'.format(*c) for c in sorted(first)}
    else:
        raise UserError(
            f'the label maps have {len(first)} colours, more than {MANY} classes; save them as '
            'PNG (JPEG changes colours), and add labelmap.txt with a line NAME:R,G,B:: a class'
        )
    if not listed and VOC_BORDER in first:  # the border of objects in VOC
        colours.setdefault(VOC_BORDER, None)
    if unknown := [colour for colour in first if colour not in colours]:
        raise UserError(
            f'{first[unknown[0]]} has the colour {unknown[0]}, which is no class of '
            f'{path}; add it there, or correct the label map'
        )
    kept = {colour: name for colour, name in colours.items() if name is not None}
    names = list(dict.fromkeys(kept.values()))  # a class may have several colours
    check_class_names(names, str(path or 'the label maps'))
    palette = [next(c for c, other in kept.items() if other == name) for name in names]
    return names, palette, Decoder(colours={c: names.index(n) for c, n in kept.items()})


def write(collection: Collection, folder: Path, place: Place) -> list[str]:
    """Write ``images/SPLIT``, ``labels/SPLIT`` and ``classes.txt``; return what is lost."""
    names, notes = target_names(collection), []
    palette = collection.palette or voc_palette(len(collection.classes) + 1)[1:]
    if len(collection.classes) > UNLABELLED:
        raise UserError(f'label maps hold {UNLABELLED} classes, not {len(collection.classes)}')
    for split, pictures in collection.parts().items():
        for picture in pictures:
            place(picture.path, folder / 'images' / split / names[picture.path])
            target = (folder / 'labels' / split / names[picture.path]).with_suffix('.png')
            write_label_map(labels_of(picture, collection), target, palette)
    lines = [f'{value}\t{name}' for value, name in enumerate(collection.classes)]
    write_list([*lines, f'{UNLABELLED}\tvoid'], folder / 'classes.txt')
    if collection.task != 'semantic':
        objects = sum(len(picture.objects) for picture in collection.pictures)
        notes.append(
            f'label maps have no objects: {counted(objects, "object")} are painted, small ones '
            'over large ones; the rest is 255, not labelled'
        )
    return notes


def labels_of(picture: Picture, collection: Collection) -> np.ndarray:
    """Return the class of each pixel: (height, width), uint8."""
    if picture.label_map is not None and collection.decode is not None:
        return collection.decode(picture.label_map)
    labels = np.full((picture.height, picture.width), UNLABELLED, np.uint8)
    masks = [(mask_of(one, picture.width, picture.height), one.name) for one in picture.objects]
    for mask, name in sorted(masks, key=lambda pair: -pair[0].sum()):
        labels[mask] = collection.classes.index(name)
    return labels


def write_label_map(labels: np.ndarray, target: Path, palette: Sequence[Colour] | None) -> None:
    """Write class indexes as a PNG of 8 bits with the colours of the classes as its palette."""
    target.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    colours = [value for colour in palette or voc_palette(UNLABELLED) for value in colour]
    flat = [*colours, *[0] * 3 * UNLABELLED][: 3 * UNLABELLED]
    image.putpalette([*flat, *VOC_BORDER])
    image.save(target, 'PNG')
