"""Imported data sets for tests, from the built-in data."""

import json
from pathlib import Path

from rapidnet_mm.data.importers.dataset import Dataset, Split, write_dataset
from rapidnet_mm.data.shapes.classes import CLASSES

IMAGES = {'train': 8, 'val': 4}


def imported(folder, images, task, classes, files, **more):
    """Write a ``dataset.json`` in ``folder``, with the texts of its annotation files."""
    splits = {}
    for split, text in files.items():
        path = Path(folder, 'annotations', split + ('.json' if text[:1] == '{' else '.txt'))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        splits[split] = Split(path, IMAGES.get(split, 1))
    palette = tuple((n, 255 - n, 0) for n in range(len(classes)))
    return write_dataset(
        Dataset(Path(folder), task, 'coco', tuple(classes), palette, Path(images), splits, **more)
    )


def imported_shapes(folder, shapes, task='instance'):
    """The built-in scenes as an imported data set: boxes, instances or label maps."""
    if task == 'semantic':
        names = [f'{split}/{n + 1:06d}' for split, count in IMAGES.items() for n in range(count)]
        files = {
            split: '\n'.join(name for name in names if name.startswith(split)) for split in IMAGES
        }
        labels = Path(shapes, 'labels')
        more = dict(labels=labels, img_suffix='.jpg', seg_map_suffix='.png')
        classes = ('not labelled', 'sky', 'ground', *CLASSES)
        return imported(folder, shapes, task, classes, files, **more)
    files = {}
    for split in IMAGES:
        content = json.loads(Path(shapes, f'annotations/instances_{split}.json').read_text())
        ids = {entry['id']: n for n, entry in enumerate(content['categories'], 1)}
        for entry in content['categories']:
            entry['id'] = ids[entry['id']]
        for entry in content['annotations']:
            entry['category_id'] = ids[entry['category_id']]
        for image in content['images']:
            image['file_name'] = f'{split}/{image["file_name"]}'
        files[split] = json.dumps(content)
    return imported(folder, shapes, task, CLASSES, files)


def class_lists(folder, shapes):
    """The built-in class folders as an imported data set."""
    files = {
        split: '\n'.join(
            f'{path.relative_to(shapes).as_posix()} {label}'
            for label, name in enumerate(CLASSES)
            for path in sorted(Path(shapes, split, name).iterdir())
        )
        for split in IMAGES
    }
    return imported(folder, shapes, 'classes', CLASSES, files)
