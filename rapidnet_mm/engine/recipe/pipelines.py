"""The text of a new config's pipelines: how images are loaded and changed."""

from __future__ import annotations

from typing import NamedTuple

from .recipe import Recipe


class Pipelines(NamedTuple):
    """The lines of a config's pipelines.

    Attributes:
        shared: variables for the steps that several pipelines have.
        train: steps of the training.
        test: steps of validation and test.
        variants: steps of a test with flipped images; empty if the task has none.
    """

    shared: list[str]
    train: list[str]
    test: list[str]
    variants: list[str]


def pipelines(task: str, kind: str, recipe: Recipe) -> str:
    """Return the text of the training, test and flipped-test pipelines.

    Args:
        task: of the data.
        kind: of the model.
        recipe: the settings; it says how much images are changed.
    """
    if task == 'classes':
        parts = _of_classes(recipe)
    elif task == 'semantic':
        parts = _of_labels(recipe)
    else:
        parts = _of_objects(kind, recipe)
    lines = [
        "photo = dict(type='LoadImageFromFile')",
        *parts.shared,
        f'# {recipe.augmentation.sentence}',
        *_list('train_pipeline', parts.train),
        *_list('test_pipeline', parts.test),
    ]
    if parts.variants:
        lines += [
            '# For `rapidnet test --tta`: every image as it is and flipped.',
            'tta_pipeline = [',
            '    photo,',
            '    dict(',
            "        type='TestTimeAug',",
            '        transforms=[',
            *(f'            [{one}],' for one in parts.variants),
            '        ],',
            '    ),',
            ']',
        ]
    return '\n'.join(lines)


def _list(name: str, steps: list[str]) -> list[str]:
    return [f'{name} = [', '    photo,', *(f'    {step},' for step in steps), ']']


def _flips(more: str = '') -> str:
    return f"dict(type='RandomFlip', prob=p{more}) for p in (0.0, 1.0)"


def _of_objects(kind: str, recipe: Recipe) -> Pipelines:
    level = recipe.augmentation.value
    masks = ', with_mask=True' if kind == 'MaskRCNN' else ''
    labels = f"labels = dict(type='LoadAnnotations', with_bbox=True{masks})"
    fixed = kind == 'SingleStageDetector'
    resize = f"resize = dict(type='Resize', scale=(side, side), keep_ratio={not fixed})"
    pack = "pack = dict(type='PackDetInputs')"
    scales = 'ratio_range=(0.75, 1.25), keep_ratio=True'
    random = f"dict(type='RandomResize', scale=(side, side), {scales})"
    crop = "dict(type='MinIoURandomCrop', min_ious=(0.5, 0.7, 0.9), min_crop_size=0.5)"
    train = [
        'labels',
        *([crop] if level > 1 or (fixed and level) else []),
        random if level and not fixed else 'resize',
        "dict(type='RandomFlip', prob=0.5)",
        *(["dict(type='PhotoMetricDistortion')"] if level else []),
        'pack',
    ]
    variants = ['resize', _flips(), 'labels', 'pack']
    return Pipelines([labels, resize, pack], train, ['resize', 'labels', 'pack'], variants)


def _of_labels(recipe: Recipe) -> Pipelines:
    level = recipe.augmentation.value
    low, high = (0.5, 2.0) if level > 1 else (0.75, 1.5)
    shared = [
        "labels = dict(type='LoadAnnotations')",
        "resize = dict(type='Resize', scale=(side, side), keep_ratio=True)",
        "multiple = dict(type='ResizeToMultiple', size_divisor=32)  # as the backbone needs",
        "pack = dict(type='PackSegInputs')",
    ]
    scales = f'ratio_range=({low}, {high}), keep_ratio=True'
    train = [
        'labels',
        f"dict(type='RandomResize', scale=(side, side), {scales})",
        "dict(type='RandomCrop', crop_size=(crop, crop), cat_max_ratio=0.75)",
        "dict(type='RandomFlip', prob=0.5)",
        *(["dict(type='PhotoMetricDistortion')"] if level else []),
        'pack',
    ]
    flips = _flips(", direction='horizontal'")
    test = ['resize', 'multiple', 'labels', 'pack']
    return Pipelines(shared, train, test, ['resize', 'multiple', flips, 'labels', 'pack'])


def _of_classes(recipe: Recipe) -> Pipelines:
    level = recipe.augmentation.value
    low = 0.4 if level > 1 else 0.7
    jitter = "dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3)"
    train = [
        f"dict(type='RandomResizedCrop', scale=side, crop_ratio_range=({low}, 1.0))",
        "dict(type='RandomFlip', prob=0.5)",
        *([jitter] if level else []),
        'pack',
    ]
    test = [
        "dict(type='ResizeEdge', scale=side, edge='short')",
        "dict(type='CenterCrop', crop_size=side)",
        'pack',
    ]
    return Pipelines(["pack = dict(type='PackInputs')"], train, test, [])
