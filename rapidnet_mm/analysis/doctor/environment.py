"""What is wrong or odd in this environment: versions, operators, GPU, memory, disk space."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

from ...engine.device import default_device, device_name, memory, wait_for_gpu
from ...errors import one_line
from ...files import cache_folder
from .finding import BREAKS, ODD, SPOILS, Finding

WHERE = 'environment'
# Both names of each MM package: the maintained one, the original one. They share a folder.
STACKS = {
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv-lite', 'mmcv'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
}
LIBRARIES = ('torch', 'torchvision', 'numpy', 'timm', 'opencv-python', 'faster-coco-eval')
GIB = 2**30
LEAST_MEMORY, LEAST_DISK = 2 * GIB, 5 * GIB  # a detector of these sizes trains with this much
SLOW = 60.0  # seconds; the self-test takes two


def facts() -> dict[str, str]:
    """Return what this environment is, in lines to print."""
    stack = {name: installed(names) for name, names in STACKS.items()}
    packages = [f'{dist} {number}' for found in stack.values() for dist, number in found.items()]
    libraries = [f'{name} {number}' for name, number in installed(LIBRARIES).items()]
    free, total = memory()
    return {
        'Python': f'{platform.python_version()} on {platform.system()} {platform.machine()}',
        'MM packages': ', '.join(packages) or 'none',
        'libraries': ', '.join(libraries),
        'device': f'{default_device()}, {device_name()}, {os.cpu_count()} processors',
        'memory': f'{free / GIB:.1f} of {total / GIB:.1f} GiB free' if total else 'not known',
        'disk': f'{shutil.disk_usage(".").free / GIB:.0f} GiB free in {Path.cwd()}',
    }


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def findings() -> Iterator[Finding]:
    """Yield what is wrong or odd in the environment."""
    stacks = {name: tuple(installed(names)) for name, names in STACKS.items()}
    numbers = installed(('torch', 'torchvision', 'numpy', 'opencv-python'))
    yield from _packages(stacks)
    yield from version_findings(stacks, numbers)
    yield from _device()
    yield from _resources()
    yield from _operators()
    yield from _self_test()


def _packages(stacks: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    missing = [name for name in STACKS if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding(
            BREAKS,
            WHERE,
            f'{", ".join(missing)} cannot be imported',
            "pip install 'rapidnet-mm[mm]', or work in the environment that has them",
        )
    for name, found in stacks.items():
        if len(found) > 1:
            yield Finding(
                BREAKS,
                WHERE,
                f'{" and ".join(found)} are both installed, in the same folder {name}',
                f'pip uninstall {" ".join(found)}, then install the one that you want',
            )


def version_findings(
    stacks: dict[str, tuple[str, ...]], numbers: dict[str, str]
) -> Iterator[Finding]:
    """Yield what does not fit together.

    Args:
        stacks: the installed distributions of each MM package.
        numbers: versions of torch, torchvision and numpy.
    """
    first = [found[0] for found in stacks.values() if len(found) == 1]
    original = [name for name in first if not name.startswith('onedl-')]
    if original and len(original) < len(first):
        others = [name for name in first if name not in original]
        yield Finding(
            SPOILS,
            WHERE,
            f'{", ".join(original)} and {", ".join(others)} are of different releases',
            'install all of one: onedl-* or the original packages',
        )
    torch_number, vision = (_numbers(numbers.get(name)) for name in ('torch', 'torchvision'))
    # torch 2.x belongs to torchvision 0.(x + 15), for all x until now.
    if torch_number and vision and torch_number[0] == 2 and vision[1] != torch_number[1] + 15:
        yield Finding(
            BREAKS,
            WHERE,
            f'torch {numbers["torch"]} and torchvision {numbers["torchvision"]} are no pair',
            f'torch {torch_number[0]}.{torch_number[1]} needs torchvision '
            f'0.{torch_number[1] + 15}: install both in one command',
        )
    numpy = _numbers(numbers.get('numpy'))
    if original and numpy and numpy[0] >= 2:
        yield Finding(
            BREAKS,
            WHERE,
            f'numpy {numbers["numpy"]} with the original MM packages, which need numpy 1',
            "pip install 'numpy<2' 'opencv-python<4.12'",
        )


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r'\d+', text or '')[:2]))


def _device() -> Iterator[Finding]:
    if torch.version.cuda and not torch.cuda.is_available() and shutil.which('nvidia-smi'):
        yield Finding(
            SPOILS,
            WHERE,
            f'there is an NVIDIA driver, but torch {torch.__version__} finds no GPU',
            'compare the CUDA version of nvidia-smi with that of torch; install a torch for it',
        )
    elif default_device() == 'cpu':
        yield Finding(
            ODD,
            WHERE,
            'there is no GPU: trainings of the published length take weeks',
            'use small images and short schedules, as the configs for the built-in data do',
        )
    if torch.get_num_threads() == 1 and (os.cpu_count() or 1) > 1:
        yield Finding(
            ODD,
            WHERE,
            f'torch uses one thread of {os.cpu_count()} processors',
            'unset OMP_NUM_THREADS, unless other programs need the processors',
        )


def _resources() -> Iterator[Finding]:
    free, total = memory()
    if total and free < LEAST_MEMORY:
        yield Finding(
            SPOILS,
            WHERE,
            f'only {free / GIB:.1f} GiB of memory are free',
            'close other programs, or train with a smaller batch and fewer workers',
        )
    shm = Path('/dev/shm')
    if shm.is_dir() and shutil.disk_usage(shm).total < GIB / 4:
        yield Finding(
            SPOILS,
            WHERE,
            f'/dev/shm has {shutil.disk_usage(shm).total / 2**20:.0f} MiB, and data loader workers '
            'pass images through it',
            'start the container with --shm-size=8g, or set num_workers=0',
        )
    for folder, use in ((Path('.'), 'checkpoints'), (_existing(cache_folder()), 'the cache')):
        free = shutil.disk_usage(folder).free
        if free < LEAST_DISK:
            yield Finding(
                SPOILS,
                WHERE,
                f'only {free / GIB:.1f} GiB are free in {folder.resolve()}, for {use}',
                'remove files, or choose another --work-dir',
            )


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())


def _operators() -> Iterator[Finding]:
    """Compare NMS and RoIAlign on this device with what is right."""
    try:
        kept, pooled = operator_results(default_device())
    except Exception as error:  # whatever a broken installation raises
        yield Finding(
            BREAKS,
            WHERE,
            f'NMS or RoIAlign fail: {type(error).__name__}: {one_line(error):.200}',
            'detectors need them: install torch and torchvision as a pair',
        )
        return
    if kept != [1, 2] or any(abs(value - 3.0) > 1e-4 for value in pooled):
        yield Finding(
            BREAKS,
            WHERE,
            f'NMS or RoIAlign give wrong results on {default_device()}: {kept}, {pooled[:2]}',
            'detectors need them: install torch and torchvision as a pair',
        )


def operator_results(device: str) -> tuple[list[int], list[float]]:
    """Return which of three boxes NMS keeps, and what RoIAlign pools from a map of threes."""
    from mmcv.ops import nms, roi_align

    boxes = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 11.0], [20.0, 20.0, 30.0, 30.0]]
    scores = torch.tensor([0.5, 0.9, 0.7], device=device)
    _, kept = nms(torch.tensor(boxes, device=device), scores, 0.5)
    features = torch.full((1, 2, 16, 16), 3.0, device=device)
    regions = torch.tensor([[0.0, 2.0, 2.0, 9.0, 9.0]], device=device)
    pooled = roi_align(features, regions, (2, 2), 1.0, 0, 'avg', True)
    return sorted(kept.tolist()), pooled.flatten().tolist()


def _self_test() -> Iterator[Finding]:
    """Train a tiny network for a few steps on this device."""
    start = time.monotonic()
    try:
        first, last = train_a_little(default_device())
    except Exception as error:  # whatever a broken driver or installation raises
        yield Finding(
            BREAKS,
            WHERE,
            f'a tiny model does not train on {default_device()}: '
            f'{type(error).__name__}: {one_line(error):.200}',
            'update the driver or install another torch; CUDA_VISIBLE_DEVICES= trains on the CPU',
        )
        return
    seconds = time.monotonic() - start
    if not last < first:
        yield Finding(
            BREAKS,
            WHERE,
            f'a tiny model does not learn on {default_device()}: its loss went from {first:.3f} '
            f'to {last:.3f}',
            'the device computes wrong results: try another version of torch',
        )
    if seconds > SLOW:
        yield Finding(
            SPOILS,
            WHERE,
            f'a tiny model took {seconds:.0f} seconds for ten steps, which should be two',
            'close other programs; look at the load of the machine',
        )


def train_a_little(device: str) -> tuple[float, float]:
    """Return the first and the last loss of ten steps of a tiny convolutional network."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 64, 64, generator=generator).to(device)
    targets = images.mean(1, keepdim=True)[..., ::2, ::2]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            nn.Conv2d(16, 1, 1),
        ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = nn.functional.mse_loss(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    wait_for_gpu()
    return losses[0], losses[-1]
