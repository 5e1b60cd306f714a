"""Run a trained model on images, videos and cameras; write pictures, videos and json files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UserError
from ..files import is_foreign, same_name, writable_folder, write_output
from . import arguments

if TYPE_CHECKING:
    from ..display.inputs import Input

# Endings of the other result files, after the name of a picture or a video.
ENDINGS = ('.json', '.labels.png', '.jsonl')
HELP = 'Run a trained model on images, videos and cameras'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint: file, URL or name (rapidnet weights list)')
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, video, folder, pattern in quotes ("shots/**/*.jpg"), or camera:0',
    )
    parser.add_argument('--out-dir', required=True, help='where the results go')
    parser.add_argument(
        '--score-thr', type=arguments.score, default=0.3, help='least score (default: 0.3)'
    )
    parser.add_argument(
        '--batch-size',
        type=arguments.positive,
        default=1,
        help='images or frames that go through the model together (default: 1)',
    )
    parser.add_argument(
        '--frames', type=arguments.positive, metavar='N', help='stop a video or camera after N'
    )
    parser.add_argument(
        '--device', help='cuda, cuda:1, mps, cpu, ... (default: a GPU if there is one)'
    )
    arguments.add_verbose(parser)
    arguments.add_options(parser)


class _Job(NamedTuple):
    """An input, and the path of its picture or video."""

    source: Input
    target: Path


@arguments.quietly
def run(args: argparse.Namespace) -> int:
    """Write the results of every image; return 1 if an image was skipped."""
    from ..deploy.inferencer import Inferencer
    from ..display.images import picture_name
    from ..display.inputs import find_inputs
    from ..display.videos import video_name
    from ..engine.options import parse_options

    out_dir = Path(args.out_dir)
    items, faults = find_inputs(args.inputs, leave_out=out_dir)
    for fault in faults:
        print(f'skipped: {fault}', file=sys.stderr)
    jobs = [
        _Job(item, out_dir / (video_name if item.moves else picture_name)(item.name))
        for item in items
    ]
    writable_folder(out_dir, '--out-dir')
    _check_free(out_dir, [item.path for item in items], [job.target for job in jobs])
    model = Inferencer(args.config, args.checkpoint, args.device, parse_options(args.cfg_options))
    images = [job for job in jobs if not job.source.moves]
    videos = [job for job in jobs if job.source.moves]
    done = _infer_images(model, images, args) if images else 0
    whole = sum(_infer_video(model, job, args) for job in videos)
    counts = [f'{done} of {len(images)} images'] if images else []
    counts += [f'{whole} of {len(videos)} videos'] if videos else []
    print(f'{" and ".join(counts)} done, results in {out_dir}')
    return 1 if faults or done + whole < len(jobs) else 0


def _infer_images(model: Any, jobs: Sequence[_Job], args: argparse.Namespace) -> int:
    """Write the results of images; return of how many."""
    from ..display.progress import progress

    done = 0
    with progress('images', len(jobs)) as advance:
        for start in range(0, len(jobs), args.batch_size):
            for job, pixels, result in _results(model, jobs[start : start + args.batch_size]):
                try:
                    if isinstance(result, UserError):
                        raise result
                    _write(model, job, pixels, result, args.score_thr)
                    done += 1
                except UserError as error:
                    print(f'skipped: {error}', file=sys.stderr)
                advance()
    return done


def _results(model: Any, jobs: Sequence[_Job]) -> Iterator[tuple[_Job, Any, Any]]:
    """Yield each image of a batch with its pixels and its result, or with an error."""
    from ..display.images import frames_note, read_image

    images = []
    for job in jobs:
        try:
            images.append((job, read_image(job.source.path)))
        except UserError as error:
            yield job, None, error
            continue
        if note := frames_note(job.source.path):
            print(f'note: {note}', file=sys.stderr)
    try:
        results = model.batch([pixels for _, pixels in images])
    except UserError as error:
        if len(images) == 1:
            yield *images[0], UserError(f'{images[0][0].source.path}: {error}')
        else:  # one of them cannot be used; find out which
            for job, _ in images:
                yield from _results(model, [job])
        return
    for (job, pixels), result in zip(images, results, strict=True):
        yield job, pixels, result


def _write(model: Any, job: _Job, pixels: Any, result: Any, score_thr: float) -> None:
    from ..display.images import write_image

    write_image(model.picture(pixels, result, score_thr), job.target)
    for ending, data in result.files(str(job.source.path), score_thr).items():
        write_output(data, job.target.with_name(job.target.name + ending))


def _infer_video(model: Any, job: _Job, args: argparse.Namespace) -> bool:
    """Write the results of a video; return whether all its frames have some."""
    from ..deploy.video import infer_video
    from ..display.progress import progress
    from ..display.videos import VideoReader

    path = job.source.path
    try:
        video = VideoReader(path, job.source.camera)
        if job.source.camera is not None:
            print(f'{path}: press Ctrl-C to stop', file=sys.stderr)
        frames = min(video.count or sys.maxsize, args.frames or sys.maxsize)
        total = frames if frames < sys.maxsize else None
        with progress(str(job.source.name), total) as advance:
            report = infer_video(
                model,
                video,
                job.target,
                batch_size=args.batch_size,
                score_thr=args.score_thr,
                limit=args.frames,
                on_frame=advance,
            )
    except UserError as error:
        print(f'skipped: {error}', file=sys.stderr)
        return False
    rate = report.frames / max(report.seconds, 1e-9)
    print(f'{path}: {report.frames} frames, {rate:.1f} a second')
    if report.fault:
        print(f'not whole: {report.fault}; what could be read has results', file=sys.stderr)
    return report.fault is None


def _check_free(out_dir: Path, images: Sequence[Path], targets: Sequence[Path]) -> None:
    """Raise an error if a target is an input, a file that is not ours, or there twice."""
    inputs = {os.path.realpath(image) for image in images}
    files = [t.with_name(t.name + ending) for t in targets for ending in ('', *ENDINGS)]
    if any(os.path.realpath(file) in inputs for file in files):
        raise UserError(f'--out-dir {out_dir} holds the images themselves; choose another folder')
    if twice := same_name(files, out_dir):
        raise UserError(
            f'two inputs have the same name: both would be {twice}; give their common folder '
            'instead, or rename one'
        )
    if foreign := next(filter(is_foreign, files), None):
        raise UserError(
            f'--out-dir {out_dir}: {foreign.relative_to(out_dir)} is there already, and this '
            'command has not written it, or it was changed since; choose another folder'
        )
