"""Write all predictions of a test into a file that the tools of the MM family can read."""

from __future__ import annotations

import pickle

from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from ...errors import UserError
from ...files import writable_file, write_output

ENDINGS = ('.pkl', '.pickle')


def dump_predictions(runner: Runner, path: str) -> None:
    """Make a test write its predictions into a pickle file: a list with one entry per image.

    Masks of detectors are written as RLE, to save space.

    Raises:
        UserError: the file has another ending, or cannot be written.
    """
    if not path.endswith(ENDINGS):
        raise UserError(f'--dump {path}: the file must end with {" or ".join(ENDINGS)}')
    writable_file(path, '--dump')
    if runner.cfg.get('default_scope') == 'mmdet':
        # It takes seconds to import, and only detectors need it.
        from mmdet.evaluation import DumpDetResults as kind
    else:
        kind = DumpResults
    kept = type('KeptResults', (_Kept, kind), {})
    runner.test_evaluator.metrics.append(kept(out_file_path=path))


class _Kept:
    """Writes the predictions whole or not at all; the next run may replace its own file."""

    def compute_metrics(self, results: list) -> dict:
        """Write what the test has collected; there is no metric."""
        write_output(pickle.dumps(results), self.out_file_path)
        return {}
