"""What can be wrong with images and their label images. Each fault has its own message."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...errors import UserError
from .checker import DatasetChecker, subset_of
from .image_files import check_images
from .label_files import Pair, read_pairs
from .messages import files_in, first_few, folders_beside, other_files
from .sources import how_to_get

if TYPE_CHECKING:
    from mmseg.datasets import BaseSegDataset

NAMED = 3  # files that a message names of each kind


class LabelMapChecker(DatasetChecker):
    """Checks a data set that is a folder of images and a folder of label images.

    All files are read before the first fault is reported, so that a note can keep the result.
    """

    types = (
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

    def check_files(self) -> None:
        """Check the files, and that label values fit the config; see :class:`DatasetChecker`."""
        dataset = self.build()
        _check_folders(dataset)
        items = _used_items(dataset)
        # The steps can be inside TestTimeAug, so search the text of the whole pipeline.
        needs_labels = 'LoadAnnotations' in repr(self.config.get('pipeline'))
        if dataset.test_mode and not needs_labels:
            check_images([item['img_path'] for item in items])
            return
        if dataset.data_prefix.get('seg_map_path') is None:
            raise UserError("data_prefix needs 'seg_map_path', the folder of the label images")
        with self.part():
            _check_eight_bits(dataset)
        paths = [(item['img_path'], item['seg_map_path']) for item in items]
        pairs = read_pairs(paths)
        with self.part():
            _check_label_names(dataset, paths, pairs)
        with self.part():
            if doubt := _check_zero(dataset, pairs):
                self.doubt(doubt)
        _check_pairs(dataset, paths, pairs)

    def class_names(self) -> tuple[str, ...]:
        """Return the names from the config, or else those that belong to the type."""
        return tuple(self.build().metainfo['classes'])

    def build(self) -> BaseSegDataset:
        """Build the data set without reading its files: it knows paths, classes and filters.

        Raises:
            UserError: the config of the data set is not valid.
        """
        # mmseg takes seconds to import, and other tasks do not need it.
        import mmseg.datasets  # noqa: F401
        from mmseg.registry import DATASETS

        kind = self.config['type']
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        try:
            dataset = kind(**self.arguments())
        except (AssertionError, TypeError, ValueError) as error:
            fault = self._build_fault(error, kind)
            raise UserError(f'the data set cannot be built: {fault}') from error
        classes = dataset.metainfo.get('classes')
        if not classes or isinstance(classes, str):
            fault = f'is the text {classes!r}' if classes else 'is missing'
            raise UserError(
                f'metainfo.classes {fault}; it must be a tuple of names, or an existing file of '
                'names'
            )
        return dataset

    def _build_fault(self, error: Exception, kind: type[BaseSegDataset]) -> str:
        """Say in the words of the config why MMSegmentation cannot build the data set."""
        reason = ' '.join(str(error).split())
        if 'not a subset' in reason:
            reason = f'metainfo.classes are not among those of {kind.__name__}'
            return f"{reason:.200}; for classes of your own set type='BaseSegDataset'"
        if 'palette' in reason:
            return (
                'metainfo.palette has not as many colours as there are metainfo.classes; give one '
                'for each, or metainfo.palette=[] for any'
            )
        if not reason:  # some types need their folders at once, with an assert that has no text
            folders = ', '.join(map(str, dict(self.config.get('data_prefix') or {}).values()))
            reason = f'{self.config.get("data_root") or "."} has no {folders or "images"}'
            return f'{reason:.200}; set data_root and data_prefix'
        return f'{reason:.200}'


def _check_folders(dataset: BaseSegDataset) -> None:
    """Check that the folders and the list of names exist."""
    root = str(dataset.data_root or '')
    if root and not os.path.isdir(root):
        raise UserError(f'data_root {root} does not exist; {how_to_get(root)}')
    given = dict(dataset.data_prefix)
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
    lists = dataset.ann_file
    if lists and not (os.path.isfile(lists) or os.path.isdir(lists)):
        raise UserError(f'ann_file {dataset.ann_file} does not exist; it lists names, one a line')


def _used_items(dataset: BaseSegDataset) -> list[dict]:
    """Return the images that are left after the filters of the data set, with their paths."""
    dataset.data_list = dataset.load_data_list()
    dataset.data_list = dataset.filter_data()
    if dataset._indices is not None:
        dataset.data_list = subset_of(dataset)
    if not dataset.data_list:
        place = dataset.ann_file or dataset.data_prefix['img_path'] or '.'
        files = files_in(dataset.data_prefix['img_path'])
        raise UserError(
            f'no images *{dataset.img_suffix} in {place}: it holds {other_files(files)}; set '
            'img_suffix or data_prefix.img_path'
        )
    return dataset.data_list


def _check_label_names(
    dataset: BaseSegDataset, paths: Sequence[tuple[str, str]], pairs: Sequence[Pair]
) -> None:
    """Check suffix and folder of the label images: that not all of them are missing."""
    if any(pair.label_fault != 'missing' for pair in pairs):
        return
    folder = dataset.data_prefix['seg_map_path'] or '.'
    raise UserError(
        f'none of the {len(paths)} label files is in {folder}: it holds '
        f'{other_files(files_in(folder))}, but not {os.path.relpath(paths[0][1], folder)}; set '
        'seg_map_suffix or data_prefix.seg_map_path'
    )


def _label_count(dataset: BaseSegDataset) -> int:
    """Return the number of classes in the label images; the config may use only some of them."""
    if dataset.label_map is not None:
        return len(type(dataset).METAINFO['classes'])
    return len(dataset.metainfo['classes'])


def _check_eight_bits(dataset: BaseSegDataset) -> None:
    """Check that 8 bits hold all labels: MMSegmentation loads no more, and 256 would become 0."""
    count, ignored = _label_count(dataset), dataset.ignore_index
    most = 254 if dataset.reduce_zero_label else 255  # 255 is ignored, and 0 if it is reduced
    if count > most:
        raise UserError(
            f'{count} classes are too many: labels are loaded as 8 bits, so there can be {most} '
            'classes; merge some'
        )
    if ignored > 255:
        raise UserError(
            f'ignore_index is {ignored}, but labels are loaded as 8 bits; store 255 in the label '
            'images where nothing is labelled, and set ignore_index=255'
        )


def _check_zero(dataset: BaseSegDataset, pairs: Sequence[Pair]) -> str:
    """Check by all label values together whether 0 is a class or means "not labelled".

    Returns:
        A doubt to warn about if the values do not decide it; '' if there is none.
    """
    used = {value for pair in pairs for value in pair.values}
    if dataset.reduce_zero_label:
        return _check_zero_is_ignored(dataset, used)
    _check_zero_is_a_class(dataset, used)
    return ''


def _check_zero_is_ignored(dataset: BaseSegDataset, used: set[int]) -> str:
    count, ignored = _label_count(dataset), dataset.ignore_index
    labels, classes = used - {ignored}, {*range(count)}
    if used and not labels - {0}:
        raise UserError(f'no pixel has a label: all are {_list(used)}, which is ignored')
    if not {0, count - 1} <= labels <= classes:
        return ''
    also = f', and {ignored}' if ignored in used else ''
    line = (
        f'label values are 0 to {count - 1} for {count} classes{also}; reduce_zero_label=True '
        'ignores 0 and makes 1 the first class: if 0 is a class, set reduce_zero_label=False'
    )
    # Two signs that 0 is a class: each class number occurs, and another value is ignored already.
    signs = (labels == classes) + (ignored in used)
    if signs == 2:
        raise UserError(line)
    return line if signs else ''


def _check_zero_is_a_class(dataset: BaseSegDataset, used: set[int]) -> None:
    count, ignored = _label_count(dataset), dataset.ignore_index
    labels = used - {ignored}
    if used and not labels:
        raise UserError(f'no pixel has a label: all are {ignored}, which is ignored')
    if count in labels <= {*range(count + 1)}:
        raise UserError(
            f'label values are {min(labels)} to {count} for {count} classes, so 0 means "not '
            'labelled": set reduce_zero_label=True (or name one more class, if 0 is one)'
        )
    if used == {0, ignored} and count > 1 and not dataset.test_mode:
        raise UserError(
            f'label values are only 0 and {ignored}, and {ignored} is ignored, so a model can '
            f'learn nothing but {dataset.metainfo["classes"][0]!r}; store the second class as 1'
        )


def _check_pairs(
    dataset: BaseSegDataset, paths: Sequence[tuple[str, str]], pairs: Sequence[Pair]
) -> None:
    """Check each pair of files; the message counts the faults of each kind."""
    count, ignored = _label_count(dataset), dataset.ignore_index
    reduced = bool(dataset.reduce_zero_label)
    allowed = {*range(count + reduced), ignored}
    files_by_fault: dict[str, list[str]] = defaultdict(list)
    bad_pairs = 0
    for (image, label), pair in zip(paths, pairs, strict=True):
        faults = list(_faults(pair, allowed))
        bad_pairs += bool(faults)
        for fault, detail in faults:
            of_image = fault.startswith('image')
            path, key = (image, 'img_path') if of_image else (label, 'seg_map_path')
            name = os.path.relpath(path, dataset.data_prefix[key] or '.')
            files_by_fault[fault].append(f'{name} {detail}'.rstrip())
    if not bad_pairs:
        return
    summary = ', '.join(
        f'{len(files)} {fault} ({first_few(files, NAMED)})'
        for fault, files in sorted(files_by_fault.items())
    )
    values = f'{int(reduced)} to {count - 1 + reduced} for {count} classes, {ignored} to ignore'
    if reduced:
        values = f'0 where nothing is labelled, {values}'
    raise UserError(
        f'{bad_pairs} of {len(pairs)} pairs of image and label in '
        f'{dataset.data_prefix["seg_map_path"]} cannot be used: {summary}; a label file has one '
        f'channel, the size of its image and the values {values}'
    )


def _faults(pair: Pair, allowed: set[int]) -> Iterator[tuple[str, str]]:
    """Yield the faults of one pair, each with a detail to write behind the name of the file."""
    if pair.image_fault:
        yield f'image {pair.image_fault}', ''
    if pair.label_fault:
        yield f'label {pair.label_fault}', ''
        return
    if pair.label_size and min(pair.label_size) == 1:  # MMSegmentation leaves such an axis out
        yield 'label that is one pixel wide or high, which cannot be loaded', ''
    if pair.image_size not in (None, pair.label_size):
        label, image = (f'{width}x{height}' for width, height in (pair.label_size, pair.image_size))
        yield 'label of another size than its image', f'{label}, not {image}'
    if outside := sorted({*pair.values} - allowed):
        yield 'label with other values', f'has {_list(outside)}'


def _list(values: Sequence[int] | set[int]) -> str:
    return first_few([str(value) for value in sorted(values)])
