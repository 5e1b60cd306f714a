"""The text of a new config's pipelines: how images are loaded and changed."""

from __future__ import annotations

from .recipe import Recipe

DETECTOR_PACK = """dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    )"""


def pipelines(task: str, kind: str, recipe: Recipe) -> str:
    """Return the text of the training, test and flipped-test pipelines.

    Args:
        task: of the data.
        kind: of the model.
        recipe: the settings; it says how much images are changed.
    """
    if task == 'classes':
        train, test, variants = _of_classes(recipe)
    elif task == 'semantic':
        train, test, variants = _of_labels(recipe)
    else:
        train, test, variants = _of_objects(kind, recipe)
    changes = f'{recipe.augmentation.reason[:1].upper()}{recipe.augmentation.reason[1:]}.'
    lines = [f'# {changes}', *_list('train_pipeline', train), *_list('test_pipeline', test)]
    if variants:
        lines += [
            '# For `rapidnet test --tta`: every image as it is and flipped.',
            'tta_pipeline = [',
            "    dict(type='LoadImageFromFile'),",
            '    dict(',
            "        type='TestTimeAug',",
            '        transforms=[',
            *(f'            [{one}],' for one in variants),
            '        ],',
            '    ),',
            ']',
        ]
    return '\n'.join(lines)


def _list(name: str, steps: list[str]) -> list[str]:
    return [
        f'{name} = [',
        "    dict(type='LoadImageFromFile'),",
        *(f'    {s},' for s in steps),
        ']',
    ]


def _flips(more: str = '') -> str:
    return f"dict(type='RandomFlip', prob=p{more}) for p in (0.0, 1.0)"


def _of_objects(kind: str, recipe: Recipe) -> tuple[list[str], list[str], list[str]]:
    level = recipe.augmentation.value
    masks = ', with_mask=True' if kind == 'MaskRCNN' else ''
    load = f"dict(type='LoadAnnotations', with_bbox=True{masks})"
    fixed = kind == 'SingleStageDetector'
    resize = f"dict(type='Resize', scale=(side, side), keep_ratio={not fixed})"
    scales = 'ratio_range=(0.75, 1.25), keep_ratio=True'
    random = f"dict(type='RandomResize', scale=(side, side), {scales})"
    crop = "dict(type='MinIoURandomCrop', min_ious=(0.5, 0.7, 0.9), min_crop_size=0.5)"
    train = [
        load,
        *([crop] if level > 1 or (fixed and level) else []),
        random if level and not fixed else resize,
        "dict(type='RandomFlip', prob=0.5)",
        *(["dict(type='PhotoMetricDistortion')"] if level else []),
        "dict(type='PackDetInputs')",
    ]
    test = [resize, load, DETECTOR_PACK]
    return train, test, [resize, _flips(), load, "dict(type='PackDetInputs')"]


def _of_labels(recipe: Recipe) -> tuple[list[str], list[str], list[str]]:
    level = recipe.augmentation.value
    resize = "dict(type='Resize', scale=(side, side), keep_ratio=True)"
    low, high = (0.5, 2.0) if level > 1 else (0.75, 1.5)
    multiple = "dict(type='ResizeToMultiple', size_divisor=32)"
    load, pack = "dict(type='LoadAnnotations')", "dict(type='PackSegInputs')"
    scales = f'ratio_range=({low}, {high}), keep_ratio=True'
    train = [
        load,
        f"dict(type='RandomResize', scale=(side, side), {scales})",
        "dict(type='RandomCrop', crop_size=(crop, crop), cat_max_ratio=0.75)",
        "dict(type='RandomFlip', prob=0.5)",
        *(["dict(type='PhotoMetricDistortion')"] if level else []),
        pack,
    ]
    flips = _flips(", direction='horizontal'")
    return train, [resize, multiple, load, pack], [resize, multiple, flips, load, pack]


def _of_classes(recipe: Recipe) -> tuple[list[str], list[str], list[str]]:
    level = recipe.augmentation.value
    low = 0.4 if level > 1 else 0.7
    jitter = "dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3)"
    train = [
        f"dict(type='RandomResizedCrop', scale=side, crop_ratio_range=({low}, 1.0))",
        "dict(type='RandomFlip', prob=0.5)",
        *([jitter] if level else []),
        "dict(type='PackInputs')",
    ]
    test = [
        "dict(type='ResizeEdge', scale=side, edge='short')",
        "dict(type='CenterCrop', crop_size=side)",
        "dict(type='PackInputs')",
    ]
    return train, test, []
