"""Runs the tools and commands as a user does, and says how they ended."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.warm import WarmCommands

REPOSITORY = Path(__file__).parents[1]
CACHE = tempfile.TemporaryDirectory(prefix='cache-of-tests-')  # of all tools together
ENV = {
    'OMP_NUM_THREADS': '2',
    **os.environ,
    'PYTHON': sys.executable,
    'XDG_CACHE_HOME': CACHE.name,
}


def program(name, *args, cwd, **env):
    """Start ``tools/NAME`` as a program; return the finished process with its output as text."""
    script = REPOSITORY / 'tools' / name
    command = ['bash', script] if name.endswith('.sh') else [sys.executable, script]
    return subprocess.run(
        [*map(str, command), *map(str, args)],
        cwd=cwd,
        env={**ENV, **env},
        capture_output=True,
        text=True,
        timeout=600,
    )


def tool(name, *args, cwd, **env):
    """Run what ``tools/NAME.py`` runs, in a process that has imported torch and MM already.

    Returns the same as :func:`program`, several seconds earlier.
    """
    door = (REPOSITORY / 'tools' / name).read_text()
    command = [re.search(r"tool\('(.+)'\)", door)[1], *map(str, args)]
    env = {'XDG_CACHE_HOME': CACHE.name, **env}
    result = WarmCommands(Path(cwd)).run(command, timeout=600, environment=env)
    assert result.in_time, result.output[-3000:] + result.errors[-3000:]
    return subprocess.CompletedProcess(command, result.status, result.output, result.errors)


def succeeded(done):
    """What was printed by a process that ended well."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def refused(done, pattern):
    """One line on stderr, exit status 2, no traceback."""
    assert done.returncode == 2, done.stdout[-3000:] + done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1, done.stderr
    assert re.search(pattern, lines[0]), lines[0]
    assert 'Traceback' not in done.stderr
