"""Whatever breaks while a checkpoint is saved, the training goes on from the last whole one."""

import json
import os
import subprocess
import sys

import pytest

from rapidnet_mm.engine.config import CHECKOUT


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='forks')
@pytest.mark.parametrize('how', ['error', 'kill'])
def test_no_call_to_the_system_can_lose_a_checkpoint(how, tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'tests.engine.saving', how, tmp_path],
        cwd=CHECKOUT.parent,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(CHECKOUT.parent)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found['problems'] == []
    assert found['calls'] > 60  # six checkpoints of two kinds, with ten calls each, and the rest
