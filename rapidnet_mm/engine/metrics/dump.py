"""All predictions of a test in a file, as the tools of the MM family read them."""

from __future__ import annotations

from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from ...errors import UserError
from ...files import writable_file

ENDINGS = ('.pkl', '.pickle')


def dump_predictions(runner: Runner, path: str) -> None:
    """Let the test of a runner write its predictions into a pickle file: a list, one an image.

    Masks of detectors are written as RLE, which is small.

    Raises:
        UserError: the file has another ending, or cannot be written.
    """
    if not path.endswith(ENDINGS):
        raise UserError(f'--dump {path}: the file must end with {" or ".join(ENDINGS)}')
    writable_file(path, '--dump')
    if runner.cfg.get('default_scope') == 'mmdet':
        from mmdet.evaluation import DumpDetResults as kind  # heavy, and not for other tasks
    else:
        kind = DumpResults
    runner.test_evaluator.metrics.append(kind(out_file_path=path))
