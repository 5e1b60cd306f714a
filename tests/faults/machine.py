"""Faults of the machine: what a training finds in its work directory, and what it makes of it.

A plant is a function of the work directory that :func:`make_work_dir` made, with two checkpoints.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from .fault import Fault, nothing


def save(path: Path, iteration: int) -> None:
    """Write a checkpoint that says how far it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {'iter': iteration, 'epoch': 0, 'seed': 4}
    torch.save({'meta': meta, 'state_dict': {'a': torch.ones(300)}}, path)


def make_work_dir(folder: Path) -> None:
    """Make a work directory as a training leaves it."""
    save(folder / 'iter_5.pth', 5)
    save(folder / 'iter_10.pth', 10)
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_10.pth'))


def cut(folder: Path) -> None:
    path = folder / 'iter_10.pth'
    path.write_bytes(path.read_bytes()[:-60])


def half(folder: Path) -> None:
    path = folder / 'iter_10.pth'
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(folder: Path) -> None:
    (folder / 'iter_10.pth').write_bytes(b'')


def rubbish(folder: Path) -> None:
    (folder / 'iter_10.pth').write_bytes(os.urandom(5000))


def web_page(folder: Path) -> None:
    (folder / 'iter_10.pth').write_text('<!DOCTYPE html>')


def directory(folder: Path) -> None:
    (folder / 'iter_12.pth').mkdir()


def dangling(folder: Path) -> None:
    (folder / 'iter_10.pth').unlink()
    (folder / 'iter_10.pth').symlink_to(folder / 'nowhere.pth')


def all_cut(folder: Path) -> None:
    for path in folder.glob('iter_*.pth'):
        path.write_bytes(path.read_bytes()[:-60])


def other_times(folder: Path) -> None:
    os.utime(folder / 'iter_10.pth', (5, 5))


def other_names(folder: Path) -> None:
    (folder / 'iter_5.pth').rename(folder / 'iter_11.pth')


def epochs_too(folder: Path) -> None:
    content = torch.load(folder / 'iter_10.pth', weights_only=False)
    for epoch, iteration in ((2, 8), (3, 12)):
        content['meta']['iter'] = iteration
        torch.save(content, folder / f'epoch_{epoch}.pth')


def empty_note(folder: Path) -> None:
    (folder / 'last_checkpoint').write_text('')


def stale_note(folder: Path) -> None:
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_99.pth'))


def no_checkpoints(folder: Path) -> None:
    for path in folder.glob('iter_*.pth'):
        path.unlink()


def in_the_way(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text('a file')


def half_written(folder: Path) -> None:
    (folder / '.iter_15.pth.123.partial').write_bytes(b'PK')


def locked(folder: Path) -> Any:
    """Hold the lock of the work directory, as a training does that runs."""
    guard = FileLock(folder / '.training.lock')
    guard.acquire()
    return guard


def beside(name: str) -> Callable[[Path], None]:
    """Return a plant that puts a file with a text beside the work directory."""
    return lambda folder: (folder.parent / name).write_text('mine') and None


def folder_beside(name: str) -> Callable[[Path], None]:
    """Return a plant that puts a folder beside the work directory."""
    return lambda folder: (folder.parent / name).mkdir()


def link_beside(name: str) -> Callable[[Path], None]:
    """Return a plant that puts a link to a text beside the work directory."""

    def plant(folder: Path) -> None:
        beside('mine.txt')(folder)
        (folder.parent / name).symlink_to('mine.txt')

    return plant


def protected(name: str) -> Callable[[Path], None]:
    """Return a plant that puts a file beside the work directory that may not be written."""

    def plant(folder: Path) -> None:
        beside(name)(folder)
        (folder.parent / name).chmod(0o444)

    return plant


def pictures_of_others(folder: Path) -> None:
    """Put a file where the picture of a result would go."""
    image = sorted((folder.parent / 'labels/images/val').iterdir())[0]
    (folder.parent / 'out').mkdir()
    shutil.copy(image, folder.parent / 'out')


def inputs_of_one_name(folder: Path) -> None:
    """Put an image into another folder too."""
    image = sorted((folder.parent / 'labels/images/val').iterdir())[0]
    (folder.parent / 'more').mkdir()
    shutil.copy(image, folder.parent / 'more')


FALL_BACK = ('iter_10.pth', 'going on from', 'iter_5.pth')
WAY_OUT = ('has checkpoints', '--resume', '--work-dir')
TRAIN = 'train segmentation.py --work-dir work --cfg-options train_cfg.max_iters=14'
RESUME = f'{TRAIN} --resume'
STARTS = (
    Fault('the newest checkpoint is cut off at the end', cut, FALL_BACK, RESUME, 'iter_5.pth'),
    Fault('the newest checkpoint is cut in half', half, FALL_BACK, RESUME, 'iter_5.pth'),
    Fault('the newest checkpoint is empty', empty, FALL_BACK, RESUME, 'iter_5.pth'),
    Fault('the newest checkpoint is rubbish', rubbish, FALL_BACK, RESUME, 'iter_5.pth'),
    Fault('the newest checkpoint is a web page', web_page, FALL_BACK, RESUME, 'iter_5.pth'),
    Fault('the newest checkpoint is a folder', directory, (), RESUME, 'iter_10.pth'),
    Fault('the newest checkpoint is a dangling link', dangling, FALL_BACK, RESUME, 'iter_5.pth'),
    Fault('no checkpoint is whole', all_cut, ('--resume', 'is whole', '--work-dir'), RESUME),
    Fault('the newest has an old time', other_times, (), RESUME, 'iter_10.pth'),
    Fault('an old one has a high number', other_names, (), RESUME, 'iter_10.pth'),
    Fault('epochs and iterations are mixed', epochs_too, (), RESUME, 'epoch_3.pth'),
    Fault('last_checkpoint is empty', empty_note, (), RESUME, 'iter_10.pth'),
    Fault('last_checkpoint names nothing', stale_note, (), RESUME, 'iter_10.pth'),
    Fault('a checkpoint is half-written', half_written, (), RESUME, 'iter_10.pth'),
    Fault('there are checkpoints and no --resume', nothing, WAY_OUT, TRAIN),
    Fault('there is a broken checkpoint and no --resume', all_cut, WAY_OUT, TRAIN),
    Fault('no checkpoint of that name', nothing, ('iter_7.pth',), f'{RESUME} work/iter_7.pth'),
    Fault('that checkpoint is cut', cut, ('iter_10.pth',), f'{RESUME} work/iter_10.pth'),
    Fault('the work directory is a file', in_the_way, ('work', '--work-dir'), RESUME),
    Fault('there is nothing to resume from', no_checkpoints, ('no checkpoint in',), RESUME, ''),
)


def rewritten(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    """Return a plant that changes the content of the last checkpoint."""

    def plant(folder: Path) -> None:
        content = torch.load(folder / 'iter_10.pth', weights_only=False)
        change(content)
        torch.save(content, folder / 'iter_10.pth')

    return plant


def not_a_number(content: dict) -> None:
    next(iter(content['state_dict'].values())).fill_(float('nan'))


def half_a_backbone(content: dict) -> None:
    state = content['state_dict']
    for name in [name for name in state if name.startswith('backbone.stages.3')]:
        del state[name]


def only_weights(content: dict) -> None:
    for name in set(content) - {'state_dict'}:
        del content[name]


def other_moments(content: dict) -> None:
    moments = content['optimizer']['state']
    moments[0]['exp_avg'] = torch.ones(3)


# What only a command meets. Its last checkpoint is work/iter_10.pth.
LAST = 'work/iter_10.pth'
TEST = f'test segmentation.py {LAST}'
INFER = f'infer segmentation.py {LAST} labels/images/val'
PLACES = (
    Fault('another training runs', locked, ('another training runs', 'work'), RESUME),
    Fault(
        'the parent is a file',
        nothing,
        ('0.png/work',),
        'train detection.py --work-dir birds/train/duck/0.png/work',
    ),
    Fault(
        'a name of 300 letters',
        nothing,
        ('too long',),
        f'train detection.py --work-dir {"w" * 300}',
    ),
    Fault(
        'the metrics are a folder',
        folder_beside('m.json'),
        ('--out', 'm.json', 'folder'),
        f'{TEST} --out m.json',
    ),
    Fault(
        'the pictures are a file', beside('show'), ('--show-dir', 'show'), f'{TEST} --show-dir show'
    ),
    Fault('the results are a file', beside('out'), ('--out-dir', 'out'), f'{INFER} --out-dir out'),
    Fault(
        'the results are the images',
        nothing,
        ('--out-dir', 'labels/images/val'),
        f'{INFER} --out-dir labels/images/val',
    ),
    Fault(
        'nothing to infer',
        nothing,
        ('none.jpg', 'does not exist'),
        f'infer segmentation.py {LAST} none.jpg --out-dir out',
    ),
    Fault(
        'a folder without images',
        folder_beside('empty'),
        ('empty', 'holds no images'),
        f'infer segmentation.py {LAST} empty --out-dir out',
    ),
    Fault('no such device', nothing, ("'cuda:9'",), f'{INFER} --out-dir out --device cuda:9'),
    Fault('a device in words', nothing, ("'toaster'",), f'{INFER} --out-dir out --device toaster'),
    Fault('convert into the source', nothing, (LAST,), f'convert {LAST} {LAST}'),
    Fault(
        'convert into a folder',
        folder_beside('o.safetensors'),
        ('o.safetensors',),
        f'convert {LAST} o.safetensors',
    ),
    Fault(
        'convert over a file of others',
        beside('o.safetensors'),
        ('o.safetensors', 'is there already'),
        f'convert {LAST} o.safetensors',
    ),
    Fault(
        'convert over a link',
        link_beside('o.safetensors'),
        ('o.safetensors', 'mine.txt', 'is there already'),
        f'convert {LAST} o.safetensors',
    ),
    Fault(
        'convert over a protected file',
        protected('o.safetensors'),
        ('o.safetensors', 'write-protected'),
        f'convert {LAST} o.safetensors',
    ),
    Fault(
        'pictures over pictures of others',
        pictures_of_others,
        ('--out-dir', 'out', 'is there already'),
        f'{INFER} --out-dir out',
    ),
    Fault(
        'two inputs of one name',
        inputs_of_one_name,
        ('same name',),
        f'{INFER} more --out-dir out',
    ),
    Fault(
        'a release into a file',
        beside('out'),
        ('--out-dir', 'out'),
        f'publish segmentation.py {LAST} --out-dir out',
    ),
    Fault(
        'metrics that are no JSON',
        beside('m.json'),
        ('--metrics', 'm.json'),
        f'publish segmentation.py {LAST} --metrics m.json',
    ),
    Fault('shapes into a file', beside('shapes'), ('shapes', 'file'), 'make-shapes --root shapes'),
    Fault(
        'shapes beside other files', nothing, ('birds', 'not a part'), 'make-shapes --root birds'
    ),
)
NEW = 'train segmentation.py --work-dir new --cfg-options'
INIT = f'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint={LAST}'
PRETRAINED = (
    'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.allow_partial=True '
    'model.backbone.init_cfg.checkpoint='
)
WEIGHTS = (
    Fault(
        'weights for a browser only',
        nothing,
        ('rexnet_lite_100', 'no program can fetch it', '--from-scratch'),
        f'{NEW} {PRETRAINED}rexnet_lite_100',
    ),
    Fault(
        'weights that nobody has published',
        nothing,
        ('rexnet_090', 'no file of it is published', '--from-scratch'),
        f'{NEW} {PRETRAINED}rexnet_090',
    ),
    Fault(
        'a typing error in the name of weights',
        nothing,
        ('rapidnet_mm', 'the nearest name of known weights is rapidnet_m'),
        f'{NEW} {PRETRAINED}rapidnet_mm',
    ),
    Fault(
        'half of a name on the hub',
        nothing,
        ('hf://SLDGroup', 'hf://OWNER/REPO/FILE'),
        f'{NEW} {PRETRAINED}hf://SLDGroup',
    ),
    Fault(
        "a segmenter's results for COCO's server",
        nothing,
        ('--format-only', 'SemanticIoU'),
        f'test segmentation.py {LAST} --format-only',
    ),
    Fault(
        'predictions into a text',
        nothing,
        ('--dump', 'x.txt', '.pkl'),
        f'test segmentation.py {LAST} --dump x.txt',
    ),
    Fault('unknown weights', nothing, ('rapidnet_z',), 'weights list rapidnet_z'),
    Fault(
        'a list',
        lambda folder: torch.save([1], folder / 'iter_10.pth'),
        (LAST, 'holds a list'),
        TEST,
    ),
    Fault('weights that are NaN', rewritten(not_a_number), (LAST, 'NaN'), TEST),
    Fault('half a backbone', rewritten(half_a_backbone), (LAST, 'allow_partial'), f'{NEW} {INIT}'),
    Fault('a backbone of others', nothing, (LAST, "'s'"), f'{NEW} {INIT} model.backbone.arch=s'),
    Fault('a model of others', nothing, (LAST, 'another model'), f'test detection.py {LAST}'),
    Fault('no state', rewritten(only_weights), (LAST, 'no state'), f'{RESUME} {LAST}'),
    Fault('other moments', rewritten(other_moments), (LAST, 'another'), f'{RESUME} {LAST}'),
)
FAULTS = (*STARTS, *PLACES, *WEIGHTS)
