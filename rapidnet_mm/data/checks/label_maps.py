"""What can be wrong with images and label images, each thing with its own sentence."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmengine.logging import print_log

from ...errors import UserError
from .image_files import check_images
from .label_files import Pair, read_pairs
from .sources import folders_beside, how_to_get, some

if TYPE_CHECKING:
    from mmseg.datasets import BaseSegDataset

# MMSegmentation's data sets that are a folder of images and a folder of label images.
TYPES = (
    'ADE20KDataset',
    'BDD100KDataset',
    'BaseSegDataset',
    'COCOStuffDataset',
    'ChaseDB1Dataset',
    'CityscapesDataset',
    'DRIVEDataset',
    'DarkZurichDataset',
    'HRFDataset',
    'ISPRSDataset',
    'LIPDataset',
    'LoveDADataset',
    'MapillaryDataset_v1',
    'MapillaryDataset_v2',
    'NightDrivingDataset',
    'PascalContextDataset',
    'PascalContextDataset59',
    'PascalVOCDataset',
    'PotsdamDataset',
    'REFUGEDataset',
    'STAREDataset',
    'SynapseDataset',
    'iSAIDDataset',
)
NAMED = 3  # files that a message names of each kind


def check_semantic(dataset: Mapping[str, Any], where: str) -> None:
    """Check the files of a data set of label images, and that their values fit the config.

    All files are looked at, and remembered, before the first thing is said. Data behind a URL or
    another storage backend are left alone.

    Args:
        dataset: the config of the data set.
        where: its place in the config, such as 'train_dataloader.dataset', for the message.

    Raises:
        UserError: what is wrong, in one line with the way to put it right.
    """
    if dataset.get('backend_args') or '://' in str(dataset.get('data_root')):
        return
    try:
        source = _unloaded(dataset)
        _check_folders(source)
        items = _items(source)
        # TestTimeAug has its steps inside, so the name is looked for in the whole.
        if source.test_mode and 'LoadAnnotations' not in repr(dataset.get('pipeline')):
            check_images([item['img_path'] for item in items])
            return
        if source.data_prefix.get('seg_map_path') is None:
            raise UserError("data_prefix needs 'seg_map_path', the folder of the label images")
        paths = [(item['img_path'], item['seg_map_path']) for item in items]
        pairs = read_pairs(paths)
        _check_names(source, paths, pairs)
        _check_zero(source, pairs, where)
        _check_files(source, paths, pairs)
    except UserError as error:
        line = str(error).replace('\n', ' ')  # names of files may hold anything
        raise UserError(f'{where}: {line}') from error


def class_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a data set's classes by its config, or those it has by itself.

    Raises:
        UserError: the config of the data set is not valid.
    """
    return tuple(_unloaded(dataset).metainfo['classes'])


def _unloaded(dataset: Mapping[str, Any]) -> BaseSegDataset:
    """The data set itself, before it reads anything: paths, classes and filters as it has them."""
    import mmseg.datasets  # noqa: F401  takes seconds, and other tasks go without it
    from mmseg.registry import DATASETS

    kind = dataset['type']
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    arguments = {k: v for k, v in dataset.items() if k not in ('type', 'pipeline', 'lazy_init')}
    try:
        source = kind(**arguments, pipeline=[], lazy_init=True)
    except (AssertionError, TypeError, ValueError) as error:
        reason = ' '.join(str(error).split())
        advice = ''
        if 'not a subset' in reason:
            reason = f'metainfo.classes are not among those of {kind.__name__}'
            advice = "; for classes of your own set type='BaseSegDataset'"
        if 'palette' in reason:
            reason = 'metainfo.palette has not as many colours as there are metainfo.classes'
            advice = '; give one for each, or metainfo.palette=[] for any'
        if not reason:  # some types look for their folders at once, and only assert
            folders = ', '.join(map(str, dict(dataset.get('data_prefix') or {}).values()))
            reason = f'{dataset.get("data_root") or "."} has no {folders or "images"}'
            advice = '; set data_root and data_prefix'
        raise UserError(f'the data set cannot be built: {reason:.200}{advice}') from error
    classes = source.metainfo.get('classes')
    if not classes or isinstance(classes, str):
        given = f'is the text {classes!r}' if classes else 'is missing'
        raise UserError(
            f'metainfo.classes {given}; it must be a tuple of names, or an existing file of names'
        )
    return source


def _check_folders(source: BaseSegDataset) -> None:
    root = str(source.data_root or '')
    if root and not os.path.isdir(root):
        raise UserError(f'data_root {root} does not exist; {how_to_get(root)}')
    given = dict(source.data_prefix)
    if given.get('img_path') is None:
        raise UserError(
            "data_prefix needs 'img_path' and 'seg_map_path', the folders of the images and of "
            f"the label images: data_prefix=dict(img_path='images', seg_map_path='labels'), not "
            f'{given}'
        )
    for key, name in (('img_path', 'image'), ('seg_map_path', 'label')):
        folder = given.get(key)
        if folder is not None and not os.path.isdir(folder or '.'):
            raise UserError(
                f'{name} folder {folder} does not exist; folders beside it: '
                f'{folders_beside(folder)}; set data_prefix.{key}'
            )
    if source.ann_file and not os.path.exists(source.ann_file):
        raise UserError(f'ann_file {source.ann_file} does not exist; it lists names, one a line')


def _items(source: BaseSegDataset) -> list[dict]:
    """The images that are left when the data set has listed and filtered them, by itself."""
    source.data_list = source.load_data_list()
    source.data_list = source.filter_data()
    if source._indices is not None:
        source.data_list = source._get_unserialized_subset(source._indices)
    if not source.data_list:
        place = source.ann_file or source.data_prefix['img_path'] or '.'
        there = _files_in(source.data_prefix['img_path'])
        held = f'{len(there)} other files such as {there[0]}' if there else 'no files'
        raise UserError(
            f'no images *{source.img_suffix} in {place}: it holds {held}; set img_suffix or '
            'data_prefix.img_path'
        )
    return source.data_list


def _files_in(folder: str) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder or '.') if entry.is_file())


def _check_names(
    source: BaseSegDataset, paths: Sequence[tuple[str, str]], pairs: Sequence[Pair]
) -> None:
    """Tell a wrong suffix or folder, where no label fits, from single labels that are missing."""
    if any(pair.label_fault != 'missing' for pair in pairs):
        return
    folder = source.data_prefix['seg_map_path'] or '.'
    there = _files_in(folder)
    held = f'{len(there)} other files such as {there[0]}' if there else 'no files'
    raise UserError(
        f'none of the {len(paths)} label files is in {folder}: it holds {held}, but not '
        f'{os.path.relpath(paths[0][1], folder)}; set seg_map_suffix or data_prefix.seg_map_path'
    )


def _label_count(source: BaseSegDataset) -> int:
    """Classes that the files tell apart; the config may use only some of them."""
    if source.label_map is not None:
        return len(type(source).METAINFO['classes'])
    return len(source.metainfo['classes'])


def _check_zero(source: BaseSegDataset, pairs: Sequence[Pair], where: str) -> None:
    """Whether 0 is a class or stands for nothing, by the values in all label images together."""
    count, ignored = _label_count(source), source.ignore_index
    used = {value for pair in pairs for value in pair.values}
    labels = used - {ignored}
    if source.reduce_zero_label:
        if not labels - {0} and used:
            raise UserError(f'no pixel has a label: all are {_list(used)}, which is ignored')
        doubtful = count not in labels and {0, count - 1} <= labels <= {*range(count)}
        reason = (
            f'label values are 0 to {count - 1} for {count} classes'
            f'{f", and {ignored}" if ignored in used else ""}; reduce_zero_label=True ignores 0 '
            f'and makes 1 the first class: if 0 is a class, set reduce_zero_label=False'
        )
        if doubtful and ignored in used and labels == {*range(count)}:
            raise UserError(reason)
        if doubtful and (ignored in used or labels == {*range(count)}):
            print_log(f'{where}: {reason}', 'current', logging.WARNING)
        return
    if not labels and used:
        raise UserError(f'no pixel has a label: all are {ignored}, which is ignored')
    if count in labels <= {*range(count + 1)}:
        raise UserError(
            f'label values are {min(labels)} to {count} for {count} classes, so 0 stands for what '
            'is not labelled: set reduce_zero_label=True (or name one more class, if 0 is one)'
        )
    if used == {0, ignored} and count > 1 and not source.test_mode:
        raise UserError(
            f'label values are only 0 and {ignored}, and {ignored} is ignored, so that nothing but '
            f'{source.metainfo["classes"][0]!r} can be learned; store the second class as 1'
        )


def _check_files(
    source: BaseSegDataset, paths: Sequence[tuple[str, str]], pairs: Sequence[Pair]
) -> None:
    """All that is wrong with single files, in one sentence."""
    count, ignored = _label_count(source), source.ignore_index
    allowed = {*range(count + bool(source.reduce_zero_label)), ignored}
    kinds: dict[str, list[str]] = defaultdict(list)
    faulty = 0
    for (image, label), pair in zip(paths, pairs, strict=True):
        faults = list(_faults(pair, allowed))
        faulty += bool(faults)
        for kind, detail in faults:
            path, key = (image, 'img_path') if kind.startswith('image') else (label, 'seg_map_path')
            name = os.path.relpath(path, source.data_prefix[key] or '.')
            kinds[kind].append(f'{name} {detail}'.rstrip())
    if not kinds:
        return
    found = ', '.join(
        f'{len(names)} {kind} ({some(names, NAMED)})' for kind, names in sorted(kinds.items())
    )
    zero = '0 where nothing is labelled, ' if source.reduce_zero_label else ''
    first = int(bool(source.reduce_zero_label))
    raise UserError(
        f'{faulty} of {len(pairs)} pairs of image and label in {source.data_prefix["seg_map_path"]}'
        f' cannot be used: {found}; a label file has one channel, the size of its image and the '
        f'values {zero}{first} to {count - 1 + first} for {count} classes, {ignored} to ignore'
    )


def _faults(pair: Pair, allowed: set[int]) -> Iterator[tuple[str, str]]:
    """Kinds of faults of one pair, each with what to say beside the name of the file."""
    if pair.image_fault:
        yield f'image {pair.image_fault}', ''
    if pair.label_fault:
        yield f'label {pair.label_fault}', ''
        return
    if pair.image_size not in (None, pair.label_size):
        (width, height), (wide, high) = pair.label_size, pair.image_size
        yield 'label of another size than its image', f'{width}x{height}, not {wide}x{high}'
    if outside := sorted({*pair.values} - allowed):
        yield 'label with other values', f'has {_list(outside)}'


def _list(values: Sequence[int] | set[int]) -> str:
    return some([str(value) for value in sorted(values)])
