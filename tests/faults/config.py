"""Faults of configs and of ``--cfg-options``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .fault import Fault, nothing

TRAIN = 'train --work-dir work'


def written(text: str | bytes, name: str = 'mine.py') -> Callable[[Path], None]:
    """Return a plant that writes a config file."""
    content = text.encode() if isinstance(text, str) else text
    return lambda root: (root / name).write_bytes(content) and None


def changed(text: str, base: str = 'segmentation') -> Callable[[Path], None]:
    """Return a plant that writes a config on top of a good one."""
    return written(f"_base_ = ['{base}.py']\n{text}\n")


def file(name: str, content: str | bytes, command_file: str, *facts: str) -> Fault:
    """Return the fault of a whole file."""
    command = f'{TRAIN} {command_file}'
    return Fault(name, written(content, command_file), (f'config {command_file}', *facts), command)


def option(name: str, options: str, *facts: str) -> Fault:
    """Return the fault of a change on the command line."""
    command = f'{TRAIN} segmentation.py --cfg-options {options}'
    return Fault(name, nothing, facts, command)


def circle(root: Path) -> None:
    """Write three configs that stand on each other."""
    for name, base in (('mine', 'second'), ('second', 'third'), ('third', 'mine')):
        written(f"_base_ = ['{base}.py']\n", f'{name}.py')(root)


def broken_base(root: Path) -> None:
    """Write a config on top of one that is no Python."""
    written('model = dict(\n', 'broken.py')(root)
    written("_base_ = ['broken.py']\n")(root)


FILES = (
    file('a bracket is missing', 'model = dict(\n', 'mine.py', 'SyntaxError', 'line 1'),
    file('not UTF-8', '# caf\xe9\n'.encode('latin1'), 'mine.py', 'utf-8'),
    file('binary', b'\xff\xfe\0\1' * 99, 'mine.py', 'utf-8'),
    file('it raises', 'raise ValueError("no GPU here")\n', 'mine.py', 'no GPU here'),
    file('it divides by zero', 'x = 1 / 0\n', 'mine.py', 'ZeroDivisionError'),
    file('it recurses', 'def f(): f()\nf()\n', 'mine.py', 'RecursionError'),
    file('it ends the program', 'import sys\nsys.exit(0)\n', 'mine.py', 'ends the program'),
    file('no base', "_base_ = ['none.py']\n", 'mine.py', 'none.py', 'does not exist'),
    file('a base of ours', "_base_ = 'rapidnet_mm::configs/x.py'\n", 'mine.py', 'configs/x.py'),
    file('a base of others', "_base_ = 'nobody::configs/x.py'\n", 'mine.py', 'nobody::'),
    file('a number as base', '_base_ = 5\n', 'mine.py', '_base_', '5'),
    file('its own base', "_base_ = 'mine.py'\n", 'mine.py', 'stands on itself'),
    file(
        'two bases of one kind',
        "_base_ = ['detection.py', 'segmentation.py']\n",
        'mine.py',
        'Duplicate key',
    ),
    Fault('a circle of bases', circle, ('config mine.py', 'stands on itself')),
    Fault('a base that is no Python', broken_base, ('config mine.py', 'broken.py', 'SyntaxError')),
    file('an open list', 'a: [1\n', 'mine.yaml', 'line 1'),
    file('a tab', 'a: 1\n\tb: 2\n', 'mine.yaml', 'tab'),
    file('a Python tag', 'a: !!python/name:os.system\n', 'mine.yaml', 'python/name:os.system'),
    file('code as type', 'model: {type: os.system}\n', 'mine.yaml', 'os.system'),
    file('a list of settings', '- 1\n', 'mine.yaml', 'holds a list'),
    file('nothing', '', 'mine.yaml', 'holds'),
    file('a comma too many', '{"a": 1,}', 'mine.json', 'line 1 column 9'),
    file('no settings', 'null', 'mine.json', 'holds'),
    file('a text', 'a = 1\n', 'mine.txt', '.py, .yaml'),
    Fault(
        'a folder',
        lambda root: (root / 'mine.py').mkdir(),
        ('config mine.py is a folder',),
    ),
    Fault('no file', nothing, ('config mine.py does not exist',)),
    Fault('a long name', nothing, ('does not exist',), f'train {"a" * 300}.py'),
    Fault('an image', nothing, ('.py, .yaml',), 'train data/train/0.jpg'),
)


def value(name: str, text: str, *facts: str, base: str = 'segmentation') -> Fault:
    """Return the fault of a value in a config."""
    return Fault(name, changed(text, base), facts)


def loop(setting: str, *facts: str) -> Fault:
    return value(f'the loop has {setting}', f'train_cfg = dict({setting})', 'train_cfg', *facts)


def optim(setting: str, *facts: str) -> Fault:
    return value(f'{setting}', f'optim_wrapper = dict({setting})', 'optim_wrapper', *facts)


def schedule(arguments: str, *facts: str) -> Fault:
    text = f'param_scheduler = [dict({arguments})]'
    return value(f'a schedule of {arguments}', text, 'param_scheduler', *facts)


STEPS = "[dict(type='LoadImageFromFile'), {}]"
VALUES = (
    loop('max_iters=0', 'max_iters', 'from 1'),
    loop('max_iters=-5', '-5'),
    loop("max_iters='many'", 'many'),
    loop('val_interval=0', 'val_interval', 'from 1'),
    loop("type='NoLoop'", 'NoLoop'),
    loop("type='EpochBasedTrainLoop'", 'max_iters'),
    optim('optimizer=dict(lr=-1)', 'lr', '-1'),
    optim("optimizer=dict(lr='fast')", 'lr', 'fast'),
    optim("optimizer=dict(lr=float('nan'))", 'lr', 'nan'),
    optim("optimizer=dict(type='AdmW')", 'AdmW', 'AdamW'),
    optim('optimizer=dict(wd=1)', 'wd'),
    optim('optimizer=None', 'optimizer'),
    optim('clip_grad=dict(max_norm=0)', 'max_norm'),
    optim('accumulative_counts=0', 'accumulative_counts'),
    schedule("type='PolyLR', begin=50, end=10", '50', '10'),
    schedule("type='PolyLR', begin=5, end=5", 'to end=5'),
    schedule("type='NoLR'", 'NoLR'),
    schedule('begin=1'),
    schedule("type='MultiStepLR', milestones=[3, 1]", 'milestones', '[3, 1]'),
    schedule("type='CosineAnnealingLR', T_max=0", 'T_max'),
    schedule("type='LinearLR', start_factor=0", 'start_factor'),
    value('a batch of 0', 'train_dataloader = dict(batch_size=0)', 'train_dataloader.batch_size'),
    value('a batch below 0', 'train_dataloader = dict(batch_size=-2)', 'batch_size', '-2'),
    value('a batch in words', "train_dataloader = dict(batch_size='two')", 'batch_size', 'two'),
    value('workers below 0', 'train_dataloader = dict(num_workers=-1)', 'num_workers', '-1'),
    value('a number as data', 'train_dataloader = 5', 'train_dataloader'),
    value(
        'an unknown sampler',
        "train_dataloader = dict(sampler=dict(type='None'))",
        'None',
        'sampler',
    ),
    value('an unknown setting', 'train_dataloader = dict(batchsize=2)', 'batchsize'),
    value('a number as pipeline', 'train_dataloader = dict(dataset=dict(pipeline=5))', 'pipeline'),
    value(
        'an unknown step',
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='Load')]))",
        'Load',
        'transform',
    ),
    value(
        'a pipeline without labels',
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'), "
        "dict(type='PackSegInputs')]))",
        'first step',
        'decode_head',
    ),
    value('an unknown metric', "val_evaluator = dict(type='IoU')", 'IoU', 'metric'),
    value('no evaluator', 'val_evaluator = None', 'val_evaluator'),
    value('no validation loop', 'val_cfg = None', 'val_cfg'),
    value(
        'the evaluator reads another file',
        "val_evaluator = dict(ann_file='data/annotations/train.json')",
        'val_evaluator.ann_file',
        'data/annotations/val.json',
        base='detection',
    ),
    value('an unknown model', "model = dict(type='Segmenter')", 'Segmenter'),
    value('no model', 'model = dict(_delete_=True)', 'no model'),
    value('a number as model', 'model = 5', 'model'),
    value('no backbone', 'model = dict(backbone=None)', 'model.backbone'),
    value('an unknown backbone', "model = dict(backbone=dict(type='Rapid'))", 'Rapid'),
    value('an unknown arch', "model = dict(backbone=dict(arch='xl'))", 'xl', "'ti'"),
    value(
        'a stage too far', 'model = dict(backbone=dict(out_indices=(0, 1, 2, 4)))', '(0, 1, 2, 4)'
    ),
    value('an unknown argument', 'model = dict(backbone=dict(depth=50))', 'depth', 'arch'),
    value('a neck of others', 'model = dict(neck=dict(in_channels=[1, 2, 3, 4]))', 'in_channels'),
    value('classes of others', 'model = dict(decode_head=dict(num_classes=150))', '150', '3'),
    value('no classes', 'model = dict(decode_head=dict(num_classes=0))', 'num_classes', 'from 1'),
    value(
        'channels that do not fit',
        'model = dict(decode_head=dict(in_channels=[7, 7, 7, 7]))',
        'first step',
        'decode_head',
    ),
    value('a map too many', 'model = dict(decode_head=dict(in_index=[0, 1, 2, 9]))', 'first step'),
    value('a norm of others', "model = dict(backbone=dict(norm_cfg=dict(type='XN')))", 'XN', 'BN'),
    value('hooks as a number', 'custom_hooks = 5', 'custom_hooks'),
    value('an unknown hook', "custom_hooks = [dict(type='NoHook')]", 'NoHook'),
    value('a seed in words', "randomness = dict(seed='x')", 'randomness.seed'),
    value('no interval', 'default_hooks = dict(checkpoint=dict(interval=0))', 'interval'),
)


def other_folders(root: Path) -> None:
    """Give a class folder of the validation another name."""
    (root / 'birds/val/owl').rename(root / 'birds/val/wren')


DATASET = 'train_dataloader = dict(dataset=dict({}))'
DATA = (
    value('no data', DATASET.format("data_root='none/'"), 'data_root none', base='detection'),
    value(
        'no image folder',
        DATASET.format("data_prefix=dict(img='none/')"),
        'data/none',
        base='detection',
    ),
    value(
        'images of others',
        DATASET.format("data_prefix=dict(img='../birds/train/duck/')"),
        'birds/train/duck',
        base='detection',
    ),
    value(
        'names of others',
        DATASET.format("metainfo=dict(classes=('disc', 'cat'))"),
        'cat',
        'metainfo',
        base='detection',
    ),
    value(
        'a name without a comma',
        DATASET.format("metainfo=dict(classes='disc')"),
        "'disc'",
        base='detection',
    ),
    value(
        'a class 0 that is left out',
        f'{DATASET}\nval_{DATASET[6:]}'.format(*2 * ['reduce_zero_label=True']),
        'reduce_zero_label=False',
    ),
    value(
        'more in a batch than there is',
        'train_dataloader = dict(batch_size=99, drop_last=True)',
        'batch_size=99',
        base='classification',
    ),
    Fault(
        'class folders that differ', other_folders, ('owl', 'wren'), f'{TRAIN} classification.py'
    ),
    value(
        'a head of others',
        'model = dict(head=dict(in_channels=3))',
        '224',
        base='classification',
    ),
    Fault(
        'no batch to scale for',
        changed('auto_scale_lr = dict(_delete_=True)'),
        ('--auto-scale-lr', 'base_batch_size'),
        f'{TRAIN} mine.py --auto-scale-lr',
    ),
    option(
        'no ImageNet weights',
        'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=none.pth',
        'none.pth',
    ),
)
OPTIONS = (
    option('a misspelt key', 'train_dataloader.batchsize=8', 'batchsize', 'batch_size'),
    option('an unknown key', 'nonsense=1', 'nonsense'),
    option('a variable of the file', 'iterations=5', 'iterations', 'variable'),
    option('an open bracket', 'model.neck.in_channels=[1,2', 'in_channels', 'brackets'),
    option('a text for a number', 'train_cfg.max_iters=ten', 'max_iters', 'ten'),
    option('inside a number', 'train_cfg.max_iters.x=1', 'max_iters'),
    option('an index too far', 'param_scheduler.7.power=1', 'param_scheduler.7'),
)
FAULTS = (*FILES, *VALUES, *DATA, *OPTIONS)
