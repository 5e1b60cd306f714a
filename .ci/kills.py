"""Kill a training of the demo at random moments, go on each time, and compare the end to the bit.

The demo's config is trained without interruption once. Then it is trained again, with SIGKILL at
random moments, a third of them while a file is written, and ``--resume`` after each. All tensors
of the last checkpoint and of the best have to be equal.

    python .ci/kills.py --kills 20
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from rapidnet_mm.weights.read import read_checkpoint

CONFIG = Path(__file__).parents[1] / 'configs/maskrcnn_rapidnet_ti_shapes.py'
COMMAND = [sys.executable, '-m', 'rapidnet_mm']
# What says where and when a training ran, not what it has learned.
LEFT_OUT = ('meta', 'message_hub')


def main() -> None:
    """Train, kill, compare; exit with 1 if a tensor differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--kills', type=int, default=20, help='how often (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--train', type=int, default=40, help='images; the demo has 200')
    parser.add_argument('--val', type=int, default=10, help='images; the demo has 50')
    parser.add_argument('--epochs', type=int, default=5, help='the demo has 5')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sizes = ['--train', str(args.train), '--val', str(args.val)]
        subprocess.run([*COMMAND, 'make-shapes', *sizes], cwd=root, check=True)
        start = time.monotonic()
        with training(root, 'whole', args.epochs) as process:
            assert process.wait() == 0, 'the training failed'
        seconds = time.monotonic() - start
        print(f'without interruption: {seconds:.0f} s', flush=True)
        draw, kills, runs, different = random.Random(args.seed), 0, 0, 0
        while kills < args.kills:
            kills += killed_training(root, f'run{runs}', args, seconds, draw, args.kills - kills)
            different += compare(root / 'whole', root / f'run{runs}')
            runs += 1
    print(f'{kills} kills in {runs} trainings: {different} tensors differ')
    sys.exit(different > 0)


def training(root: Path, name: str, epochs: int) -> subprocess.Popen:
    """Start a training, or go on with it."""
    options = [f'train_cfg.max_epochs={epochs}', f'param_scheduler.1.T_max={epochs}']
    options += [f'train_cfg.val_interval={min(epochs, 2)}']
    words = [*COMMAND, 'train', CONFIG, '--work-dir', name, '--resume', '--cfg-options', *options]
    with open(root / f'{name}.log', 'a') as log:
        return subprocess.Popen(words, cwd=root, stdout=log, stderr=subprocess.STDOUT)


def killed_training(
    root: Path, name: str, args: Any, seconds: float, draw: random.Random, most: int
) -> int:
    """Kill a training up to ``most`` times, then let it end; return how often it was killed."""
    kills = 0
    while kills < most:
        # The start takes some seconds, too; half of a training has some checkpoints.
        moment, while_writing = draw.uniform(0, seconds / 2), draw.random() < 1 / 3
        with training(root, name, args.epochs) as process:
            if not is_alive_after(process, moment, root / name if while_writing else None):
                assert process.returncode == 0, (root / f'{name}.log').read_text()[-3000:]
                return kills
            time.sleep(draw.uniform(0, 0.05))
            process.kill()
        kills += 1
        state = sorted(p.name for p in (root / name).glob('*_*.pth')) + half_written(root / name)
        print(f'kill {kills} after {moment:.1f} s: {", ".join(state) or "nothing yet"}', flush=True)
    with training(root, name, args.epochs) as process:
        assert process.wait() == 0, (root / f'{name}.log').read_text()[-3000:]
    return kills


def is_alive_after(process: subprocess.Popen, moment: float, folder: Path | None) -> bool:
    """Wait for a moment, then until a file is being written in the folder, if there is one."""
    end = time.monotonic() + moment
    while process.poll() is None:
        if time.monotonic() >= end and (folder is None or half_written(folder)):
            return True
        time.sleep(0.001)
    return False


def half_written(folder: Path) -> list[str]:
    """Return the names of files that are not whole yet."""
    return sorted(path.name for path in folder.glob('.*.partial'))


def compare(whole: Path, resumed: Path) -> int:
    """Compare the checkpoints of two trainings; return how many tensors differ."""
    names = sorted(path.name for path in whole.glob('*.pth'))
    left = half_written(resumed)
    # Killed between a new checkpoint and the removal of the old one, a training keeps both.
    assert set(names) <= {path.name for path in resumed.glob('*.pth')}, (names, resumed)
    assert not left, left
    different = 0
    for name in names:
        one, other = (dict(tensors(read_checkpoint(folder / name))) for folder in (whole, resumed))
        assert one.keys() == other.keys(), name
        wrong = [key for key in one if not same(one[key], other[key])]
        print(f'{resumed.name}/{name}: {len(wrong)} of {len(one)} values differ {wrong[:3]}')
        different += len(wrong)
    return different


def tensors(value: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    """Yield what is at the ends of nested dicts and lists, with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if name or key not in LEFT_OUT:
                yield from tensors(inner, f'{name}/{key}')
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from tensors(inner, f'{name}/{index}')
    else:
        yield name, value


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal in every bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and one == other


if __name__ == '__main__':
    main()
