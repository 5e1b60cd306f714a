"""Break the saving of checkpoints at every call to the system, one after another.

A small training runs in a forked process, in which one call about a file in its work directory
fails, or the process is killed just before it. A write breaks in the middle. Then a second process
goes on. ``python -m tests.engine.saving HOW FOLDER`` prints what it found as json.
"""

import builtins
import errno
import io
import json
import os
import random
import shutil
import signal
import sys
import traceback
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel

from rapidnet_mm import UserError
from rapidnet_mm.engine.hooks.checkpoint import latest_checkpoint
from rapidnet_mm.engine.runner import CheckedRunner

ERRORS = (errno.ENOSPC, errno.EIO)  # in turns
OF_THE_USER = ('notes.txt', 'iter_mine.txt', '.mine.partial')
END = 6  # iterations


class Model(BaseModel):
    """Has moments, statistics and random numbers."""

    def __init__(self):
        super().__init__()
        parts = [torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)]
        self.layers = torch.nn.Sequential(*parts)
        self.register_buffer('steps', torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='tensor'):  # noqa: ARG002
        if mode == 'loss':
            self.steps += 1
            return dict(loss=self.layers(torch.stack(inputs)).square().mean())
        return [self.steps.item()] * len(inputs)


class Points(torch.utils.data.Dataset):
    """Every point has noise of its own."""

    metainfo = dict(classes=('a',))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return dict(inputs=torch.rand(3) + index + random.random(), data_samples=index)


class Steps(BaseMetric):
    """Grows, so that every validation is the best so far."""

    def process(self, data_batch, data_samples):  # noqa: ARG002
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(steps=float(results[0]))


def runner_of(folder, train_cfg=None):
    """A training of six iterations that saves, validates and logs."""
    loader = dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(type=Points),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='pseudo_collate'),
    )
    checkpoint = dict(
        type='AtomicCheckpointHook',
        interval=2,
        by_epoch=False,
        max_keep_ckpts=1,
        save_best='steps',
        rule='greater',
    )
    return CheckedRunner(
        model=Model(),
        work_dir=str(folder),
        train_dataloader=loader,
        val_dataloader={**loader, 'sampler': dict(type='DefaultSampler', shuffle=False)},
        train_cfg=train_cfg or dict(type='IterBasedTrainLoop', max_iters=END, val_interval=3),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=[Steps()],
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5)],
        default_hooks=dict(checkpoint=checkpoint, logger=dict(type='LoggerHook', interval=3)),
        randomness=dict(seed=1),
    )


class Breaker:
    """Counts the calls about files in a folder, and breaks one of them.

    Args:
        folder: the folder.
        number: which call breaks; 0 for none.
        how: 'kill' or 'error'.
    """

    def __init__(self, folder, number, how):
        self.folder, self.number, self.how, self.count = str(folder), number, how, 0
        self.saved = 0  # iteration of the last checkpoint that got its name
        self._open = builtins.open

    def install(self):
        builtins.open = io.open = self.open
        for name in ('open', 'replace', 'rename', 'unlink', 'remove', 'mkdir', 'chmod', 'fsync'):
            setattr(os, name, self._broken(name, getattr(os, name)))

    def _broken(self, name, function):
        def call(first, *arguments, **keywords):
            if name == 'fsync' or self.folder in str(first):
                self.check(f'{name} {first}')
            result = function(first, *arguments, **keywords)
            if name == 'replace' and Path(arguments[0]).name.startswith('iter_'):
                self.saved = int(Path(arguments[0]).stem[5:])
                os.pwrite(self.report, f'{self.saved:6}'.encode(), 0)
            return result

        return call

    def open(self, file, mode='r', *arguments, **keywords):
        writes = self.folder in str(file) and set(mode) & set('wa+x')
        if writes:
            self.check(f'open {file}')
        opened = self._open(file, mode, *arguments, **keywords)
        return Written(opened, self) if writes else opened

    def check(self, what, partly=lambda: None):
        """Count a call; break it, if it is the one."""
        self.count += 1
        if self.count != self.number:
            return
        partly()
        if self.how == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        code = ERRORS[self.number % len(ERRORS)]
        raise OSError(code, os.strerror(code), what)


class Written:
    """A file whose first write may break in the middle."""

    def __init__(self, file, breaker):
        self._file, self._breaker, self._first = file, breaker, True

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        def partly():
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        if self._first:
            self._breaker.check(f'write {self._file.name}', partly)
        self._first = False
        return self._file.write(data)


def forked(function, report):
    """Run a function in a forked process; return its status, -9 if it was killed."""
    pid = os.fork()
    if not pid:
        random.seed(1)  # Python gives a forked process another seed
        status = 1
        try:
            sink = os.open(report, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            function()
            status = 0
        except UserError as error:
            print(f'error: {error}')
            status = 2
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def broken_training(runner, breaker):
    """Train with a call that breaks; the last line that is printed is the number of calls."""
    breaker.report = os.open(f'{breaker.folder}.saved', os.O_CREAT | os.O_TRUNC | os.O_RDWR)
    breaker.install()
    runner.train()
    os.pwrite(breaker.report, f'{breaker.saved:6}{breaker.count:6}'.encode(), 0)


def resumed_training(runner, start):
    """Go on from a checkpoint, or from the beginning."""
    if start is not None:
        runner._resume, runner._load_from = True, str(start)
    runner.train()


KEPT = ('state_dict', 'optimizer', 'param_schedulers', 'resume_state')


def state_of(folder):
    content = torch.load(folder / f'iter_{END}.pth', weights_only=False)
    return {key: content[key] for key in KEPT}


def faults_after(folder, output, status, saved, how):
    """What is wrong after a training that broke."""
    if how == 'kill' and status not in (0, -signal.SIGKILL):
        yield f'status {status}: {output[-1500:]}'
    if how != 'kill' and status not in (0, 2):
        yield f'status {status}: {output[-1500:]}'
    lines = [line for line in output.splitlines() if line.startswith('error: ')]
    if status == 2 and (len(lines) != 1 or 'Traceback' in output):
        yield f'not one line: {output[-1500:]}'
    for name in OF_THE_USER:
        if (folder / name).read_text() != 'mine':
            yield f'{name} is lost'
    start = latest_checkpoint(folder)
    reached = torch.load(start, weights_only=False)['meta']['iter'] if start else 0
    if reached < saved:
        yield f'{saved} was saved and {start} is the newest whole one'


def run(how, folder):
    """Break every call of a training in turn; return the number of calls and the faults."""
    work, report = folder / 'work', folder / 'report.txt'
    runner = runner_of(work)
    kept = {path.name for path in work.iterdir()}

    def begin():
        for path in work.iterdir():
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path)
            elif path.name not in kept:
                path.unlink()
        for name in OF_THE_USER:
            (work / name).write_text('mine')

    begin()
    assert forked(lambda: broken_training(runner, Breaker(work, 0, how)), report) == 0, (
        report.read_text()
    )
    calls = int(Path(f'{work}.saved').read_text()[6:])
    whole, names = state_of(work), {path.name for path in work.glob('*.pth')}
    problems = []
    for number in range(1, calls + 1):
        begin()
        breaker = Breaker(work, number, how)
        status = forked(lambda breaker=breaker: broken_training(runner, breaker), report)
        saved = int(Path(f'{work}.saved').read_text()[:6] or 0)
        found = list(faults_after(work, report.read_text(), status, saved, how))
        start = latest_checkpoint(work)
        status = forked(lambda start=start: resumed_training(runner, start), report)
        if status:
            found.append(f'going on from {start}: status {status}: {report.read_text()[-1500:]}')
        else:
            if differences(whole, state_of(work)):
                found.append(f'going on from {start} ends with other values')
            if left := list(work.glob('.[ib]*.partial')):
                found.append(f'{left} stay')
            if not names <= {path.name for path in work.glob('*.pth')}:
                found.append('checkpoints are missing')
        problems += [f'{how} at call {number}: {text}' for text in found]
    return dict(calls=calls, problems=problems)


def differences(one, other):
    """How many tensors and values differ in a bit."""
    if isinstance(one, torch.Tensor):
        return int(not torch.equal(one, other))
    if isinstance(one, dict):
        return sum(differences(one[key], other[key]) for key in one) + (one.keys() != other.keys())
    if isinstance(one, list | tuple):
        return sum(map(differences, one, other)) + (len(one) != len(other))
    return int(one != other)


if __name__ == '__main__':
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # a killed process loses nothing of what it wrote; this saves minutes
    sys.stdout.write(f'\n{json.dumps(run(sys.argv[1], Path(sys.argv[2])))}\n')
