"""Write a recipe as a config that people read: every number has its reason in a comment."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from ...data.checks.messages import counted, first_few
from ...data.importers.dataset import Dataset
from .choices import Machine
from .models import Base, backbone_of
from .pipelines import pipelines
from .recipe import Recipe

WIDTH = 100
LAYER_SCALE = 0.5  # as for all trainings from random weights here
NAMES = 6  # so many classes are named in the first line
NARROW = 128  # channels of the feature pyramid on a CPU
# From random weights the published layer scale of 1e-5 would keep blocks switched off too long.
WITH_LAYER_SCALE = ('RapidNet', 'MobileViG')


class Setting(NamedTuple):
    """A setting of the config with the comment above it."""

    line: str
    comment: str = ''


def config_text(
    data: Dataset,
    base: Base,
    place: str,
    recipe: Recipe,
    machine: Machine,
    from_scratch: bool,
    command: str,
    train: str,
) -> str:
    """Return the text of a config.

    Args:
        data: the imported data set; its ``dataset.json`` is beside the config.
        base: the config of ours that it stands on.
        place: how ``_base_`` names that config.
        recipe: the settings.
        machine: what the training runs on.
        from_scratch: whether it starts from random weights.
        command: the command that writes it, for the first lines.
        train: the command that trains it.
    """
    parts = [
        _head(data, base, command, train),
        f"_base_ = '{place}'\n"
        "dataset = 'dataset.json'  # files, classes and metrics: all that depends on the data",
        '\n'.join(_numbers(recipe)),
        _model(data, base, recipe, machine, from_scratch),
        pipelines(data.task, base.kind, recipe),
        _loaders(data.task),
        _schedule(data.task),
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def base_place(name: str) -> str:
    """Return how a config anywhere on this machine names one of ours in ``_base_``."""
    return f'rapidnet_mm::configs/{name}.py'


def comment(text: str) -> str:
    """Return a text as lines of comment that are not too long."""
    return '\n'.join(textwrap.wrap(text, WIDTH, initial_indent='# ', subsequent_indent='# '))


def _head(data: Dataset, base: Base, command: str, train: str) -> str:
    names = first_few(data.classes, NAMES)
    classes = counted(len(data.classes), 'class')
    lines = [f'{base.title}, for {classes}: {names}.', f'Written by: {command}']
    lines.append(f'Train it with: {train}')
    return '\n'.join(comment(_plain(line)) for line in lines)


def _plain(text: str) -> str:
    """Return a text without line breaks and other characters that would end a comment."""
    return ''.join(sign if sign.isprintable() else '?' for sign in text)


def _numbers(recipe: Recipe) -> list[str]:
    """Return the lines with all numbers and their reasons."""
    total, interval = recipe.iterations, recipe.interval
    settings = [
        Setting(
            f'side = {recipe.side.value}', f'Side of the images in pixels, {recipe.side.reason}.'
        ),
    ]
    if recipe.crop:
        settings.append(
            Setting(f'crop = {recipe.crop.value}', f'For training: {recipe.crop.reason}.')
        )
    settings += [
        Setting(f'batch = {recipe.batch.value}', f'Images in a step. {recipe.batch.sentence}'),
        Setting(f'iterations = {total.value}', f'Steps: {total.reason}.'),
        Setting(f'warm_up = {recipe.warm_up.value}', f'Steps: {recipe.warm_up.reason}.'),
        Setting(f'lr = {recipe.lr.value:g}', f'Learning rate {recipe.lr.reason}.'),
        Setting(f'interval = {interval.value}', f'Steps between validations: {interval.reason}.'),
        Setting(
            f'workers = {recipe.workers.value}',
            f'Processes that load images: {recipe.workers.reason}.',
        ),
    ]
    if recipe.anchors:
        anchors = recipe.anchors
        ratio = anchors.ratio
        settings += [
            Setting(
                f'anchor_scale = {anchors.scale}',
                f'Anchors: {anchors.covered:.0%} of the boxes overlap one by half or more '
                f"({anchors.usual:.0%} with COCO's scale 8 and ratio 2).",
            ),
            Setting(f'anchor_ratios = [{round(1 / ratio, 2):g}, 1.0, {ratio:g}]'),
        ]
    lines = [line for one in settings for line in (comment(one.comment), one.line) if line]
    if recipe.class_weights:
        note = 'The more a class has, the less each of its pixels counts.'
        lines.append(comment(f'{recipe.class_weights.sentence} {note}'))
        lines += _weights(recipe.class_weights.value)
    return lines


def _weights(weights: list[float]) -> list[str]:
    lines = textwrap.wrap(', '.join(f'{weight:g}' for weight in weights), 90)
    if len(lines) == 1:
        return [f'weights = [{lines[0]}]']
    return ['weights = [', *(f'    {line}' for line in lines), ']']


def _model(data: Dataset, base: Base, recipe: Recipe, machine: Machine, from_scratch: bool) -> str:
    """Return what differs from the model of the base."""
    narrow = machine.is_cpu and base.kind in ('FasterRCNN', 'MaskRCNN', 'EncoderDecoder')
    lines: list[str] = []
    if base.without_masks:
        lines += ["type='FasterRCNN',", 'data_preprocessor=dict(pad_mask=False),']
    if data.task == 'semantic':
        lines.append('data_preprocessor=dict(size=(crop, crop)),')
    lines += _backbone(data.task, base, from_scratch)
    if base.kind in ('FasterRCNN', 'MaskRCNN'):
        lines += _two_stages(base, narrow, recipe.objects)
    elif data.task == 'semantic':
        lines += _decode_head(narrow, recipe)
    elif data.task == 'classes':
        lines.append('train_cfg=None,  # no Mixup: it needs a long training')
        if base.cfg.model.get('teacher'):
            lines += ['teacher=None,', 'head=dict(distilled=False),']
    if not lines:
        return ''
    note = f'width = {NARROW}  # of the feature pyramid: half of the usual, for a CPU\n'
    body = textwrap.indent('\n'.join(lines), '    ')
    return f'{note if narrow else ""}model = dict(\n{body}\n)'


def _backbone(task: str, base: Base, from_scratch: bool) -> list[str]:
    backbone, is_inside = backbone_of(base)
    arguments: list[str] = []
    if from_scratch:
        arguments += ['init_cfg=None']
        if backbone.type in WITH_LAYER_SCALE:
            arguments.append(f'layer_scale_init={LAYER_SCALE}')
        if backbone.get('frozen_stages', -1) >= 0:
            arguments.append('frozen_stages=-1')
        if backbone.get('norm_eval'):
            arguments.append('norm_eval=False')
    elif task == 'classes':
        start = f"init_cfg=dict(type='Pretrained', checkpoint='{base.weights}')"
        return [f'backbone=dict({start}),']
    if not arguments:
        return []
    inner = f'dict({", ".join(arguments)})'
    outer = f'dict(backbone={inner})' if is_inside else inner
    return ['# It starts from random weights.', f'backbone={outer},']


def _two_stages(base: Base, narrow: bool, objects: float) -> list[str]:
    """Return the settings of Faster and Mask R-CNN."""
    anchors = 'anchor_generator=dict(scales=[anchor_scale], ratios=anchor_ratios)'
    boxes_only = 'mask_roi_extractor=None, mask_head=None' if base.without_masks else ''
    if not narrow:
        lines = [f'rpn_head=dict({anchors}),']
        return [*lines, f'roi_head=dict({boxes_only}),'] if boxes_only else lines
    regions = 64 if objects <= 10 else 128 if objects <= 30 else 256
    extractor = 'dict(out_channels=width, roi_layer=dict(sampling_ratio=1))'
    lines = [
        'neck=dict(out_channels=width),',
        'rpn_head=dict(',
        '    in_channels=width,',
        '    feat_channels=width,',
        f'    {anchors},',
        '),',
        'roi_head=dict(',
        f'    bbox_roi_extractor={extractor},',
        '    bbox_head=dict(in_channels=width, fc_out_channels=2 * width),',
    ]
    if base.kind == 'MaskRCNN':
        lines += [
            f'    mask_roi_extractor={extractor},',
            '    mask_head=dict(num_convs=2, in_channels=width, conv_out_channels=width),',
        ]
    elif base.without_masks:
        lines += ['    mask_roi_extractor=None,', '    mask_head=None,']
    count = f'{counted(round(objects), "object")} in an image'
    return [
        *lines,
        '),',
        f'# Regions to learn from and to look at: few, because there are about {count}.',
        'train_cfg=dict(',
        f'    rpn=dict(sampler=dict(num={2 * regions})),',
        '    rpn_proposal=dict(nms_pre=500, max_per_img=200),',
        f'    rcnn=dict(sampler=dict(num={regions})),',
        '),',
        'test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),',
    ]


def _decode_head(narrow: bool, recipe: Recipe) -> list[str]:
    lines: list[str] = []
    head: list[str] = []
    if narrow:
        lines.append('neck=dict(out_channels=width),')
        head += ['in_channels=[width] * 4,', 'channels=width // 2,']
    if recipe.class_weights:
        loss = "_delete_=True, type='WeightedCrossEntropy', class_weight=weights"
        head.append(f'loss_decode=dict({loss}),')
    if head:
        lines += ['decode_head=dict(', *(textwrap.indent(line, '    ') for line in head), '),']
    return lines


def _loaders(task: str) -> str:
    batch = 32 if task == 'classes' else 1
    return textwrap.dedent(f"""\
        train_dataloader = dict(
            batch_size=batch,
            num_workers=workers,
            sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
            dataset=dict(pipeline=train_pipeline),
        )
        val_dataloader = dict(
            batch_size={batch},
            num_workers=workers,
            dataset=dict(pipeline=test_pipeline),
        )
        test_dataloader = val_dataloader""")


def _schedule(task: str) -> str:
    # The classifiers' schedule names its metric; the others take their first.
    best = '' if task == 'classes' else ", save_best='auto'"
    hooks = "custom_hooks = [dict(type='CurvesHook'), dict(type='TrimMemoryHook')]\n"
    hooks = hooks if task == 'classes' else ''
    return textwrap.dedent("""\
        # Counted in iterations. Gradients are clipped, because early ones can be large.
        train_cfg = dict(
            _delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=interval
        )
        optim_wrapper = dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=lr, weight_decay=0.05),
            clip_grad=dict(max_norm=10, norm_type=2),
        )
        param_scheduler = [
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=warm_up, end=iterations),
        ]
        auto_scale_lr = dict(base_batch_size=batch)
        randomness = dict(seed=0)
        default_hooks = dict(
            logger=dict(interval=10, log_metric_by_epoch=False),
            checkpoint=dict(by_epoch=False, interval=interval, max_keep_ckpts=1{best}),
        )
        {hooks}log_processor = dict(by_epoch=False)""").format(best=best, hooks=hooks)
